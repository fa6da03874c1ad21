"""Signing an entity clear, and the signing time that does no harm."""

from datetime import UTC, datetime, timedelta

import pytest

from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.sign import MAX_TIME_APART, read_date, sign_entity, signing_time
from tests.unit.cms import parties
from tests.unit.smime.cases import ALICE, AT, PART, message, person, signer_of, verdict


def dated(value: str) -> HeaderBlock:
    return HeaderBlock(f"Date: {value}\r\n".encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 01 Jun 2026 12:00:00 +0000", AT),
        ("Mon, 01 Jun 2026 14:00:00 +0200", AT),
        ("1 Jun 2026 12:00:00 -0000", AT),
        ("1 Jun 2026 12:00:00", AT),
        ("1 Jun 2026 12:00 GMT", AT),
        ("Mon, 01 Jun 2026 12:00:00 +0000 (UTC)", AT),
        ("yesterday", None),
        ("", None),
        ("32 Jun 2026 12:00:00 +0000", None),
        ("1 Jun 2026 12:00:00 +9999", None),
        ("1 Jun 2026 12:00:00 +0000" + " " * 90 + "x", None),
        ("1 Jun 99999 12:00:00 +0000", None),
    ],
)
def test_a_date_is_read_as_utc_whatever_the_zone_of_the_machine(
    value: str, expected: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert read_date(dated(value)) == expected


def test_no_date_or_two_are_none() -> None:
    assert read_date(HeaderBlock(b"")) is None
    twice = bytes(dated("Mon, 01 Jun 2026 12:00:00 +0000")) * 2
    assert read_date(HeaderBlock(twice)) is None


def test_the_signing_time_is_left_out_where_thunderbird_would_fail_it() -> None:
    header = dated("Mon, 01 Jun 2026 12:00:00 +0000")
    for apart in (timedelta(0), MAX_TIME_APART, -MAX_TIME_APART):
        assert signing_time(header, AT + apart) == AT + apart
    for apart in (MAX_TIME_APART, -MAX_TIME_APART):
        assert signing_time(header, AT + apart * 1.01) is None
    assert signing_time(HeaderBlock(b""), AT) is None
    assert signing_time(dated("1 Jan 0001 00:00:00 +1400"), datetime.now(UTC)) is None


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_what_is_signed_verifies_and_names_its_digest(kind: str) -> None:
    """V2, E34, E36."""
    identity = parties.party() if kind == "rsa" else person(ALICE, kind=kind, label=f"smime {kind}")
    entity = sign_entity(PART, signer_of(identity), signing_time=AT, boundary_seed=b"x" * 16)
    micalg = {"p384": "sha-384", "p521": "sha-512"}.get(kind, "sha-256")
    assert f"micalg={micalg};".encode() in entity
    assert bytes(parse(entity).children[0]) == PART
    assert verdict(message(entity)) == "pass"
    altered = entity.replace(b"Hello Bob", b"Hello Bub")
    assert verdict(message(altered)).startswith("fail")
