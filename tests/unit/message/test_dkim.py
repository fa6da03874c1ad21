import pytest

from smime_proxy.message.dkim import dkim_count, without_broken_dkim, without_dkim
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.requests import strip_own_fields

OURS = (
    b"DKIM-Signature: v=1; a=rsa-sha256;\r\n d=Example.Test; s=one;\r\n"
    b"\th=From:To:\r\n\t Subject; bh=AA==; b=d=other.example\r\n"
)
OTHERS = b"DKIM-Signature: v=1; d=other.example; s=x; h=from; bh=AA==; b=AA==\r\n"
BASE = b"From: a@example.test\r\nTo: b@example.net\r\nSubject: x\r\n"


def is_ours(domain: str) -> bool:
    return domain == "example.test"


def test_only_signatures_of_our_own_domains_go() -> None:
    header = HeaderBlock(OURS + BASE + OTHERS)
    assert dkim_count(header) == 2
    assert bytes(without_dkim(header, is_ours)) == BASE + OTHERS


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature: nonsense\r\n",
        b"DKIM-Signature: d = ; h=from\r\n",
        b"DKIM-Signature: x=d=example.test\r\n",
        b"DKIM-Signature: d=other.example; d=example.test; h=from\r\n",
        b"DKIM-Signature: d=example.test; h=from; h=to\r\n",
        b"X-DKIM-Signature: d=example.test\r\n",
    ],
)
def test_what_names_no_domain_of_ours_stays(field: bytes) -> None:
    header = HeaderBlock(field + BASE)
    assert bytes(without_dkim(header, is_ours)) == field + BASE


def test_a_header_without_any_is_the_same_object() -> None:
    header = HeaderBlock(BASE)
    assert without_dkim(header, is_ours) is header
    assert without_broken_dkim(header, header, is_ours) is header


@pytest.mark.parametrize(
    ("covered", "goes"),
    [(b"from:x-smime-sign", True), (b"from : X-SMIME-Sign", True), (b"from", False)],
)
def test_where_the_body_stays_only_what_covers_a_changed_field_goes(
    covered: bytes, goes: bool
) -> None:
    signature = b"DKIM-Signature: v=1; d=example.test; h=" + covered + b"; b=AA==\r\n"
    before = HeaderBlock(signature + b"X-SMIME-Sign: yes\r\n" + BASE)
    after = strip_own_fields(before)
    left = bytes(without_broken_dkim(before, after, is_ours))
    assert left == (BASE if goes else signature + BASE)
