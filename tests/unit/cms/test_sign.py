import hashlib
from datetime import datetime

import pytest
from asn1crypto import algos, core
from asn1crypto import cms as asn1
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import algorithms, ber, der, oids
from smime_proxy.cms.algorithms import SHA1, SHA256, SHA512
from smime_proxy.cms.capabilities import Capabilities, parse_capabilities
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters, read_pss_parameters
from smime_proxy.cms.schemes import PSS_SHA256
from smime_proxy.cms.sign import CmsSigner, sign, sign_pieces
from smime_proxy.cms.signed_data import SignerInfo, parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from tests import pki
from tests.pki import with_key_algorithm
from tests.unit.cms.parties import (
    CONTENT,
    SIGNING_TIME,
    party,
    private_key,
    root,
    signer,
)

KINDS = [
    *("rsa", "p256", "p384", "p521", "brainpool", "brainpool384", "brainpool512"),
    *("ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87"),
]


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
    [
        ("rsa", "sha256"),
        ("p256", "sha256"),
        ("p384", "sha384"),
        ("p521", "sha512"),
        ("brainpool", "sha256"),
        ("brainpool384", "sha384"),
        ("brainpool512", "sha512"),
        ("ed25519", "sha512"),
        ("ed448", "shake256"),
        ("mldsa65", "sha512"),
    ],
)
def test_the_digest_fits_the_key(kind: str, digest: str) -> None:
    """RFC 5480 4, RFC 8419 3.1, RFC 9882 3.3."""
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
        oids.ALGORITHM_PROTECTION,
    }
    assert core.ObjectIdentifier.load(found[oids.CONTENT_TYPE]).dotted == oids.DATA
    digest = hashlib.sha256(CONTENT).digest()
    assert core.OctetString.load(found[oids.MESSAGE_DIGEST]).native == digest
    assert core.UTCTime.load(found[oids.SIGNING_TIME]).native == SIGNING_TIME
    assert found[oids.SIGNING_CERTIFICATE_V2] == bytes.fromhex("3026302430220420") + (
        hashlib.sha256(party().der).digest()
    )


def capabilities(one: CmsSigner) -> Capabilities:
    found = values(sign(CONTENT, one, signing_time=None, detached=True))
    return parse_capabilities(found[oids.SMIME_CAPABILITIES])


AES = [("2.16.840.1.101.3.4.1." + last, b"") for last in ("46", "6", "42", "22", "2")]


def test_capabilities_offer_aes_authenticated_and_the_strongest_first() -> None:
    """RFC 8551 2.5.2."""
    assert list(capabilities(signer()).identifiers[:5]) == AES
    assert list(capabilities(signer("ed25519")).identifiers) == AES


def test_capabilities_say_how_a_key_comes_to_the_certificate() -> None:
    oid, parameters = capabilities(signer()).identifiers[5]
    oaep = algos.RSAESOAEPParams.load(parameters, strict=True)
    assert oid == "1.2.840.113549.1.1.7"
    assert oaep["hash_algorithm"]["algorithm"].native == "sha256"
    assert oaep["mask_gen_algorithm"]["parameters"]["algorithm"].native == "sha256"
    # RFC 5753 7 spells the second of these two out.
    agreements = capabilities(signer("p256")).identifiers[5:]
    assert [der.element(der.SEQUENCE, der.object_identifier(o), p) for o, p in agreements] == [
        bytes.fromhex("301506062b8104010b01300b060960864801650304012d"),
        bytes.fromhex("301506062b8104010b01300b0609608648016503040105"),
    ]


@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_what_the_verifier_is_told_is_what_was_written(kind: str) -> None:
    raw = sign(CONTENT, signer(kind), signing_time=None, detached=True)
    (report,) = verify(parse_signed_data(raw), [CONTENT])
    assert report.capabilities == capabilities(signer(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_algorithms_are_protected(kind: str) -> None:
    """RFC 6211."""
    raw = sign(CONTENT, signer(kind), signing_time=None, detached=True)
    info, found = only_signer(raw), values(raw)[oids.ALGORITHM_PROTECTION]
    protection = asn1.CMSAlgorithmProtection.load(found)
    assert protection["digest_algorithm"]["algorithm"].dotted == info.digest
    assert protection["signature_algorithm"]["algorithm"].dotted == info.signature_algorithm
    assert info.digest_parameters == signer(kind).digest.parameters


def test_rsa_keys_sign_by_pss_when_told_to() -> None:
    """RFC 4056."""
    one = signer().using("rsassa_pss")
    raw = sign(CONTENT, one, signing_time=SIGNING_TIME, detached=False)
    (report,) = verify(parse_signed_data(raw), [])
    assert (report.integrity, report.signature) == (Integrity.INTACT, "rsassa_pss")
    info = only_signer(raw)
    assert read_pss_parameters(info.signature_parameters) == PSS_SHA256
    assert one.using("rsassa_pss") is one
    back = one.using("rsassa_pkcs1v15")
    again = only_signer(sign(CONTENT, back, signing_time=SIGNING_TIME, detached=False))
    assert again.signature_algorithm == algorithms.RSA_ENCRYPTION


@pytest.mark.parametrize("kind", ["p256", "ed25519", "mldsa44"])
@pytest.mark.parametrize("scheme", ["rsassa_pss", "rsassa_pkcs1v15"])
def test_other_keys_have_one_scheme(kind: str, scheme: str) -> None:
    assert signer(kind).using(scheme) is signer(kind)


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(UnsupportedAlgorithm, match="pss2"):
        signer().using("pss2")
    with pytest.raises(UnsupportedAlgorithm):
        signer("p256").using("ecdsa")


def pss_only(parameters: bytes = b"") -> CmsSigner:
    oid = der.object_identifier(algorithms.RSASSA_PSS)
    changed = with_key_algorithm(party().der, der.element(der.SEQUENCE, oid, parameters))
    return CmsSigner.build(private_key(party()), changed, (), capabilities=True)


def test_certificates_for_pss_sign_by_nothing_else() -> None:
    """RFC 4055 1.2."""
    for one in (pss_only(), pss_only().using("rsassa_pkcs1v15")):
        raw = sign(CONTENT, one, signing_time=None, detached=True)
        (report,) = verify(parse_signed_data(raw), [CONTENT])
        assert (report.integrity, report.signature) == (Integrity.INTACT, "rsassa_pss")
        assert oids.ENCRYPTION_KEY_PREFERENCE not in values(raw)


def test_certificates_with_pss_parameters_get_these() -> None:
    """RFC 4055 3.3."""
    asked = PssParameters(SHA512, SHA256, 48)
    raw = sign(CONTENT, pss_only(asked.encode()), signing_time=None, detached=True)
    (report,) = verify(parse_signed_data(raw), [CONTENT])
    assert (report.integrity, report.digest) == (Integrity.INTACT, "sha512")
    assert read_pss_parameters(only_signer(raw).signature_parameters) == asked
    with pytest.raises(UnsupportedAlgorithm, match="weak digest"):
        pss_only(PssParameters(SHA1, SHA1, 20).encode())


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
    curve = pki.person(
        root(), "a@example.test", kind="p256", label="cms p", usage=("digital_signature",)
    )
    on_curve = CmsSigner.build(private_key(curve), curve.der, (), capabilities=True)
    for one in (only, on_curve, signer("ed25519")):
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


@pytest.mark.parametrize("kind", ["rsa1024", "dsa", "x25519"])
def test_keys_that_sign_nothing_here_are_refused(kind: str) -> None:
    weak = pki.person(root(), "weak@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm):
        CmsSigner.build(weak.key, weak.der, (), capabilities=True)  # type: ignore[arg-type]  # so


def test_an_unreadable_certificate_is_refused() -> None:
    with pytest.raises(MalformedCms):
        CmsSigner.build(private_key(party()), b"junk", (), capabilities=True)


def test_keys_do_not_show_in_a_repr() -> None:
    assert "private" not in repr(signer()).lower()
