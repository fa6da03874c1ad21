"""Signing an entity clear, and the signing time that does no harm."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from smime_proxy.cms import algorithms
from smime_proxy.cms.pss import PssParameters
from smime_proxy.cms.schemes import identifier
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.cms.signed_data import parse_signed_data
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.sign import (
    MAX_TIME_APART,
    read_date,
    sign_entity,
    sign_entity_opaque,
    signing_time,
)
from tests import pki
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


MICALGS = {
    "p384": "sha-384",
    "p521": "sha-512",
    "brainpool512": "sha-512",
    "ed25519": "sha-512",
    "ed448": "shake256",
    "mldsa65": "sha-512",
}


@pytest.mark.parametrize("kind", ["rsa", "p256", *MICALGS])
def test_what_is_signed_verifies_and_names_its_digest(kind: str) -> None:
    """V2, E34, E36."""
    identity = parties.party() if kind == "rsa" else person(ALICE, kind=kind, label=f"smime {kind}")
    entity = sign_entity(PART, signer_of(identity), signing_time=AT, boundary_seed=b"x" * 16)
    micalg = MICALGS.get(kind, "sha-256")
    assert f"micalg={micalg};".encode() in entity
    assert bytes(parse(entity).children[0]) == PART
    assert verdict(message(entity)) == "pass"
    altered = entity.replace(b"Hello Bob", b"Hello Bub")
    assert verdict(message(altered)).startswith("fail")


@pytest.mark.parametrize(
    ("digest", "name"),
    [
        *(("sha224", "sha-224"), ("sha256", "sha-256"), ("sha384", "sha-384")),
        *(("sha512", "sha-512"), ("sha3_224", "sha3-224"), ("sha3_512", "sha3-512")),
    ],
)
def test_certificates_that_ask_for_a_digest_sign_clear_with_it(digest: str, name: str) -> None:
    """RFC 4055 3.3."""
    one = algorithms.DIGESTS_BY_NAME[digest]
    pss = identifier(algorithms.RSASSA_PSS, PssParameters(one, one, 32).encode())
    own = parties.party()
    signer = CmsSigner.build(
        parties.private_key(own), pki.with_key_algorithm(own.der, pss), (), capabilities=False
    )
    entity = sign_entity(PART, signer, signing_time=AT, boundary_seed=b"x" * 16)
    assert f"micalg={name};".encode() in entity


@pytest.mark.parametrize("scheme", ["rsassa_pss", "rsassa_pkcs1v15"])
def test_what_is_signed_opaque_verifies_and_holds_the_part(scheme: str) -> None:
    """V2, E37."""
    signer = signer_of(parties.party()).using(scheme)
    entity = sign_entity_opaque(PART, signer, signing_time=AT)
    parsed = parse(entity)
    assert parsed.content_type.full == "application/pkcs7-mime"
    assert dict(parsed.content_type.parameters)["smime-type"] == "signed-data"
    signed = parse_signed_data(base64.b64decode(parsed.body))
    assert signed.content_octets() == PART
    assert verdict(message(entity)) == "pass"
