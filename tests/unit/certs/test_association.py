"""SMIMEA records: RFC 8162, RFC 6698 2."""

import hashlib

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.association import (
    Association,
    Matching,
    Selector,
    Usage,
    owner_name,
    read_association,
)
from tests import pki

PAT = pki.person(None, "pat@example.org", kind="p256").certificate
OTHER = pki.person(None, "other@example.org", kind="p256").certificate


def digest(local: str) -> str:
    return hashlib.sha256(local.encode()).digest()[:28].hex()


def test_the_name_is_the_one_of_the_rfc() -> None:
    # RFC 8162 3: "hugh@example.com", whose digest the RFC prints.
    assert owner_name(parse_mailbox("hugh@example.com")) == (
        "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com"
    )


def test_the_local_part_is_not_folded_and_the_domain_is() -> None:
    assert owner_name(parse_mailbox("Hugh@Example.COM")).startswith(digest("Hugh"))
    assert owner_name(parse_mailbox("Hugh@Example.COM")).endswith("._smimecert.example.com")
    assert owner_name(parse_mailbox("hü@bücher.example")) == (
        f"{digest('hü')}._smimecert.xn--bcher-kva.example"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [('"hugh"', "hugh"), (r'"hu\gh"', "hugh"), ('"hugh smith"', "hugh smith"), (r'"a\"b"', 'a"b')],
)
def test_quotes_that_only_quote_are_no_part_of_the_name(written: str, meant: str) -> None:
    assert owner_name(parse_mailbox(f"{written}@example.com")).startswith(digest(meant))


@pytest.mark.parametrize("selector", Selector)
@pytest.mark.parametrize("matching", Matching)
def test_e84_a_record_means_its_certificate_and_no_other(
    selector: Selector, matching: Matching
) -> None:
    """E84."""
    record = Association.of(PAT, Usage.DANE_EE, selector, matching)
    assert record.means(PAT)
    assert not record.means(OTHER)
    changed = bytes([record.content[0] ^ 1]) + record.content[1:]
    assert not Association(Usage.DANE_EE, selector, matching, changed).means(PAT)
    whole = (selector, matching) == (Selector.CERTIFICATE, Matching.FULL)
    assert record.certificate() == (PAT if whole else None)


def test_what_a_record_holds_may_be_no_certificate() -> None:
    record = Association(Usage.DANE_EE, Selector.CERTIFICATE, Matching.FULL, b"\x30\x00")
    assert record.certificate() is None


def test_fields_nobody_knows_make_a_record_that_is_not_there() -> None:
    assert read_association(3, 0, 0, b"x") is not None
    for usage, selector, matching, content in ((4, 0, 0, b"x"), (3, 2, 0, b"x"), (3, 0, 3, b"x")):
        assert read_association(usage, selector, matching, content) is None
    assert read_association(3, 0, 0, b"") is None
    assert read_association(3, 0, 0, bytes(100_001)) is None


def test_a_record_is_written_as_zone_files_have_it() -> None:
    record = Association.of(PAT, Usage.DANE_TA, Selector.PUBLIC_KEY, Matching.SHA256)
    assert record.text == f"2 1 1 {record.content.hex()}"
    assert len(record.content) == 32
    assert len(Association.of(PAT, Usage(3), Selector(0), Matching.SHA512).content) == 64
