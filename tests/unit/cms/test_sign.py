import hashlib
from datetime import datetime

import pytest
from asn1crypto import cms as asn1
from asn1crypto import core
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import ber, oids
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.sign import CmsSigner, sign, sign_pieces
from smime_proxy.cms.signed_data import SignerInfo, parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from tests import pki
from tests.unit.cms.parties import CONTENT, SIGNING_TIME, party, private_key, root, signer

KINDS = ["rsa", "p256", "p384", "p521"]


def only_signer(raw: bytes) -> SignerInfo:
    (info,) = parse_signed_data(raw).signers
    return info


def values(raw: bytes) -> dict[str, bytes]:
    return {attribute.oid: attribute.values[0] for attribute in only_signer(raw).attributes}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detached", [True, False])
def test_what_is_signed_verifies(kind: str, detached: bool) -> None:
    raw = sign(CONTENT, signer(kind), signing_time=SIGNING_TIME, detached=detached)
    (report,) = verify(parse_signed_data(raw), [CONTENT] if detached else [])
    assert report.integrity is Integrity.INTACT
    assert report.certificate == party(kind).der
    assert report.digest == signer(kind).digest_name
    assert report.signing_time == SIGNING_TIME
    assert not report.weak


@pytest.mark.parametrize(
    ("kind", "digest"),
    [("rsa", "sha256"), ("p256", "sha256"), ("p384", "sha384"), ("p521", "sha512")],
)
def test_the_digest_fits_the_key(kind: str, digest: str) -> None:
    """RFC 5480 4."""
    assert signer(kind).digest_name == digest


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=300), max_size=5), st.booleans())
def test_pieces_are_signed_as_the_whole(pieces: list[bytes], detached: bool) -> None:
    whole = b"".join(pieces)
    one = sign(pieces, signer(), signing_time=SIGNING_TIME, detached=detached)
    assert one == sign(whole, signer(), signing_time=SIGNING_TIME, detached=detached)
    assert parse_signed_data(one).content_octets() == (None if detached else whole)


def test_large_content_is_not_copied() -> None:
    content = bytes(100_000)
    pieces = sign_pieces(content, signer(), signing_time=None, detached=False)
    assert any(piece is content for piece in pieces)


@pytest.mark.parametrize("detached", [True, False])
def test_the_result_is_der(detached: bool) -> None:
    raw = sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=detached)
    info = asn1.ContentInfo.load(raw, strict=True)
    assert info.dump(force=True) == raw
    assert info["content"]["version"].native == "v1"


def test_certificate_and_chain_are_carried() -> None:
    """E39."""
    raw = sign(CONTENT, signer(), signing_time=None, detached=True)
    assert set(parse_signed_data(raw).certificates) == {party().der, root().der}


def test_a_certificate_twice_in_the_chain_is_carried_once() -> None:
    own = party()
    built = CmsSigner.build(private_key(own), own.der, (own.der,), capabilities=False)
    raw = sign(CONTENT, built, signing_time=None, detached=True)
    assert parse_signed_data(raw).certificates == (own.der,)


def test_attributes_say_what_they_must() -> None:
    found = values(sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=True))
    assert found.keys() == {
        oids.CONTENT_TYPE,
        oids.MESSAGE_DIGEST,
        oids.SIGNING_TIME,
        oids.SMIME_CAPABILITIES,
        oids.ENCRYPTION_KEY_PREFERENCE,
        oids.SIGNING_CERTIFICATE_V2,
    }
    assert core.ObjectIdentifier.load(found[oids.CONTENT_TYPE]).dotted == oids.DATA
    digest = hashlib.sha256(CONTENT).digest()
    assert core.OctetString.load(found[oids.MESSAGE_DIGEST]).native == digest
    assert core.UTCTime.load(found[oids.SIGNING_TIME]).native == SIGNING_TIME
    assert found[oids.SIGNING_CERTIFICATE_V2] == bytes.fromhex("3026302430220420") + (
        hashlib.sha256(party().der).digest()
    )


def test_capabilities_offer_aes_the_strongest_first() -> None:
    """RFC 8551 2.5.2."""
    found = values(sign(CONTENT, signer(), signing_time=None, detached=True))
    aes = "2.16.840.1.101.3.4.1."
    expected = [core.ObjectIdentifier(aes + last).dump() for last in ("42", "22", "2")]
    listed = found[oids.SMIME_CAPABILITIES]
    assert [listed.index(oid) for oid in expected] == sorted(listed.index(o) for o in expected)


def test_the_encryption_key_preference_is_the_certificate() -> None:
    found = values(sign(CONTENT, signer(), signing_time=None, detached=True))
    preferred = ber.read_only(found[oids.ENCRYPTION_KEY_PREFERENCE])
    assert preferred.tag == 0xA0  # issuerAndSerialNumber [0] IMPLICIT (RFC 8551 2.5.3)
    issuer, serial = preferred.children()
    assert issuer.encoding.tobytes() == party().certificate.x509().issuer.public_bytes()
    assert ber.integer(serial) == party().certificate.x509().serial_number


def test_teams_invite_nobody_to_encrypt() -> None:
    team = signer(capabilities=False)
    found = values(sign(CONTENT, team, signing_time=SIGNING_TIME, detached=True))
    assert oids.SMIME_CAPABILITIES not in found
    assert oids.ENCRYPTION_KEY_PREFERENCE not in found
    assert oids.SIGNING_CERTIFICATE_V2 in found


def test_keys_that_cannot_be_encrypted_to_are_not_preferred() -> None:
    signing = pki.person(
        root(), "a@example.test", label="cms alice rsa", usage=("digital_signature",)
    )
    only = CmsSigner.build(private_key(signing), signing.der, (), capabilities=True)
    for one in (only, signer("p256")):
        found = values(sign(CONTENT, one, signing_time=None, detached=True))
        assert oids.SMIME_CAPABILITIES in found
        assert oids.ENCRYPTION_KEY_PREFERENCE not in found


def test_no_time_is_written_when_none_is_given() -> None:
    found = values(sign(CONTENT, signer(), signing_time=None, detached=True))
    assert oids.SIGNING_TIME not in found


def test_times_outside_a_century_are_generalized() -> None:
    late = datetime.fromisoformat("2050-01-01T00:00:00+00:00")
    found = values(sign(CONTENT, signer(), signing_time=late, detached=True))
    assert found[oids.SIGNING_TIME] == b"\x18\x0f20500101000000Z"


def test_key_and_certificate_must_belong_together() -> None:
    with pytest.raises(CmsError, match="does not belong"):
        CmsSigner.build(private_key(party(name="bob")), party().der, (), capabilities=True)
    with pytest.raises(CmsError, match="does not belong"):
        CmsSigner.build(private_key(party("p256")), party().der, (), capabilities=True)


@pytest.mark.parametrize("kind", ["rsa1024", "brainpool"])
def test_keys_that_sign_nothing_here_are_refused(kind: str) -> None:
    weak = pki.person(root(), "weak@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm):
        CmsSigner.build(private_key(weak), weak.der, (), capabilities=True)


def test_an_unreadable_certificate_is_refused() -> None:
    with pytest.raises(MalformedCms):
        CmsSigner.build(private_key(party()), b"junk", (), capabilities=True)


def test_keys_do_not_show_in_a_repr() -> None:
    assert "private" not in repr(signer()).lower()
