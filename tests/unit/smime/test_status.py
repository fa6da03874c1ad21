"""The fields on delivered mail: their syntax holds whatever strangers write into certificates."""

import re
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.validation import Validation
from smime_proxy.message.header import HeaderBlock, field_line
from smime_proxy.smime.report import Report
from smime_proxy.smime.status import (
    MAX_REASON,
    mark_private,
    pending_field,
    result_fields,
    strip_results,
)
from tests.unit.smime.cases import ALICE, ID, clear, enveloped, key, message, person, received

OURS = [
    ID,
    ID.upper(),
    f" {ID} ",
    f"{ID}.",
    f"{ID} 1",
    f'"{ID}"',
    r'"proxy\.example.test"',
    f"(a comment) {ID}",
    f"(one (two) ; three) {ID} (four)",
    f'(a " quote) {ID} (b " quote)',
    f"(\\) {ID}) {ID}",
    f"\r\n\t{ID}",
    f"(folded\r\n comment)\r\n\t{ID}",
    f"({ID}",
    f'"unclosed {ID}',
    f";{ID}",
    f"{ID}\0",
    f"{ID},",
    f"{ID}/1",
    "proxy\0.example.test",
    '"proxy\0.example.test"',
    '"proxy".example.test',
    f'""{ID}',
    f'"" {ID}',
    f'"{ID};"',
    f'",{ID}"',
    '"=?utf-8?q?proxy=2Eexample=2Etest?="',
    "proxy.example(a comment).test",
    "=?utf-8?q?proxy.example.test?=",
]
OTHERS = [
    f"mx.{ID}",
    f"{ID}.example",
    "mx.example.test",
    f"mx.example.test (not {ID})",
    f"x{ID}",
    f"({ID}) mx.example.test",
    f'"({ID})"',
    "",
]


@pytest.mark.parametrize("value", OURS)
def test_a_forged_result_in_our_name_is_removed_however_it_is_written(value: str) -> None:
    """E08, RFC 8601 5."""
    forged = f"Authentication-Results: {value}; smime=pass\r\n".encode()
    header = HeaderBlock(b"From: a@b.c\r\n" + forged + b"To: d@e.f\r\n")
    assert bytes(strip_results(header, ID)) == b"From: a@b.c\r\nTo: d@e.f\r\n"


def test_a_forged_result_folded_before_its_colon_is_removed() -> None:
    """E08: some readers unfold before they look for the colon."""
    forged = f"Authentication-Results\r\n : {ID}; smime=pass\r\n".encode()
    others = b"Authentication-Results\r\n : mx.example; spf=pass\r\n"
    assert bytes(strip_results(HeaderBlock(others + forged), ID)) == others


@pytest.mark.parametrize("name", ["Authentication-Results\0", "Authentication-\0Results"])
def test_a_forged_result_with_what_servers_drop_from_its_name_is_removed(name: str) -> None:
    """E08."""
    header = HeaderBlock(f"{name}: {ID}; smime=pass\r\nTo: d@e.f\r\n".encode())
    assert bytes(strip_results(header, ID)) == b"To: d@e.f\r\n"


@pytest.mark.parametrize("value", OTHERS)
def test_what_others_say_stays(value: str) -> None:
    header = HeaderBlock(f"AUTHENTICATION-Results: {value}; spf=pass\r\n".encode())
    assert strip_results(header, ID) is header


def test_an_international_name_is_ours_in_either_form() -> None:
    header = HeaderBlock("Authentication-Results: MÜLLER.example; smime=pass\r\n".encode())
    assert bytes(strip_results(header, "xn--mller-kva.example")) == b""


def test_deeply_nested_comments_cost_no_more_than_their_length() -> None:
    deep = "(" * 40_000 + ")" * 40_000
    header = HeaderBlock(f"Authentication-Results: {deep} {ID}; smime=pass\r\n".encode())
    assert bytes(strip_results(header, ID)) == b""


def test_mail_is_marked_private_once_whatever_its_sender_says() -> None:
    header = HeaderBlock(b"Sensitivity: Personal\r\nFrom: a@b.c\r\nsensitivity: x\r\n")
    assert bytes(mark_private(header)) == b"Sensitivity: Private\r\nFrom: a@b.c\r\n"


def test_the_fields_of_a_decrypted_and_signed_mail() -> None:
    report = received(message(enveloped(clear())), key()).report
    assert result_fields(report, ID) == (
        (
            "Authentication-Results",
            f"{ID};\r\n\tsmime=pass\r\n\tbody.smime-identifier={ALICE}\r\n\tbody.smime-part=2",
        ),
        (
            "X-SMIME-Signature",
            ";\r\n\t".join(
                (
                    "pass",
                    "integrity=intact",
                    "chain=trusted",
                    "identity=match",
                    f"signer={ALICE}",
                    "validation=unknown",
                )
            ),
        ),
        ("X-SMIME-Encryption", "decrypted; algorithm=aes256_cbc; authenticated=no"),
        ("X-SMIME-Badge", "green"),
        ("X-SMIME-Lock", "green"),
    )


def test_what_a_public_authority_confirmed_is_told() -> None:
    signer = received(message(clear())).report.signer
    assert signer is not None
    confirmed = replace(signer, validation=Validation.ORGANISATION)
    report = replace(received(message(clear())).report, signer=confirmed)
    assert dict(result_fields(report, ID))["X-SMIME-Signature"].endswith("validation=class2")


@pytest.mark.parametrize(
    "reason",
    [
        "CN=evil)\r\nX-SMIME-Badge: green",
        "a) smime=pass (b",
        "back\\slash \\) (",
        "\x00\x1b[31m\u202e",
        "é" * 300,
        "x" * 5000,
    ],
)
def test_hostile_names_end_neither_comment_nor_line(reason: str) -> None:
    report = replace(received(message(clear())).report, signature="policy", reason=reason)
    value = dict(result_fields(report, ID))["Authentication-Results"]
    assert field_line("Authentication-Results", value.encode())  # raises for anything unfolded
    assert value.isascii()
    assert value.count("smime=") == 1 + reason.count("smime=")
    comments = re.findall(r"\([^()\\\r\n]*\)", value)
    bare = re.sub(r"\([^()\\\r\n]*\)", "", value)
    assert not re.search(r"[()\\]|smime=pass", bare)
    assert all(0 < len(comment) - 2 <= MAX_REASON for comment in comments)
    assert max(map(len, value.split("\r\n"))) < 998


@pytest.mark.parametrize("address", ['"a;b (c)"@example.test', "ü@example.test"])
def test_a_signers_address_that_needs_quoting_is_not_named(address: str) -> None:
    content = message(clear(identity=person(address)))
    values = dict(result_fields(received(content).report, ID))
    assert "identifier" not in values["Authentication-Results"]
    assert "signer=unknown" in values["X-SMIME-Signature"]


def test_the_identifier_is_the_address_that_from_names() -> None:
    """E77."""
    both = person("first@example.test", ALICE)
    values = dict(result_fields(received(message(clear(identity=both))).report, ID))
    assert f"body.smime-identifier={ALICE}" in values["Authentication-Results"]
    other = received(message(clear(identity=both), sender="x@example.test")).report
    assert (
        "identifier=first@example.test" in dict(result_fields(other, ID))["Authentication-Results"]
    )


def test_an_ordinary_if_odd_address_is_named() -> None:
    odd = "a=b?c+d@example.test"
    assert str(parse_mailbox(odd)) == odd
    report = received(message(clear(identity=person(odd)), sender=odd)).report
    assert f"identifier={odd}" in dict(result_fields(report, ID))["Authentication-Results"]


def test_without_a_layer_every_field_says_none() -> None:
    nothing = Report((), "none", "", None, "none", "none", "", authenticated=False, lock="none")
    assert {value.rpartition("=")[2] for _, value in result_fields(nothing, ID)} == {"none"}


@pytest.mark.parametrize(
    ("address", "warning", "value"),
    [
        ("p@y.org", "", "p@y.org; id=0123456789abcdef"),
        ("p@y.org", "changed", "p@y.org; id=0123456789abcdef; warning=changed"),
        ("ü@y.org", "", "unknown; id=0123456789abcdef"),
        ('"a; id=0"@y.org', "", "unknown; id=0123456789abcdef"),
    ],
)
def test_a_key_that_waits_is_told_of_by_address_and_id(
    address: str, warning: str, value: str
) -> None:
    found = pending_field(parse_mailbox(address), "0123456789abcdef" * 4, warning)
    assert found == ("X-SMIME-Pending-Key", value)
