import base64
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import algorithms, der, oids
from smime_proxy.cms.algorithms import SHA256
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.pss import PssParameters
from smime_proxy.cms.schemes import PSS_SHA256
from smime_proxy.cms.sign import sign
from smime_proxy.cms.signed_data import parse_signed_data
from smime_proxy.cms.trial import MAX_DIGESTS, MAX_TRIES, WHOLE_CONTENT
from smime_proxy.cms.verify import Integrity, SignerReport, verify
from tests import pki
from tests.pki import with_key_algorithm
from tests.unit.cms import made
from tests.unit.cms.parties import (
    CONTENT,
    SIGNING_TIME,
    party,
    private_key,
    root,
    signer,
)

ATTRIBUTES = [made.CONTENT_TYPE, made.message_digest(CONTENT)]
DETACHED = sign(CONTENT, signer(), signing_time=SIGNING_TIME, detached=True)


def judge(raw: bytes, *contents: bytes, extra: tuple[bytes, ...] = ()) -> SignerReport:
    (report,) = verify(parse_signed_data(raw), contents, extra)
    return report


def verdict(raw: bytes, *contents: bytes, extra: tuple[bytes, ...] = ()) -> tuple[Integrity, str]:
    report = judge(raw, *contents, extra=extra)
    return report.integrity, report.reason


def made_signed(*attributes: bytes, **options: str | bytes | PssParameters | None) -> bytes:
    return made.signed_data(made.signer_info(list(attributes), **options))  # type: ignore[arg-type]


def twin() -> bytes:
    """Make another certificate with alice's issuer and serial, and bob's key."""
    serial = party().certificate.x509().serial_number
    return pki.person(root(), "b@example.test", label="cms bob rsa", serial=serial).der


def test_all_certificates_with_the_identifier_are_tried() -> None:
    """E51."""
    raw = made.signed_data(made.signer_info(ATTRIBUTES), certificates=[twin(), party().der])
    report = judge(raw, CONTENT)
    assert report.integrity is Integrity.INTACT
    assert report.certificate == party().der
    wrong = made.signed_data(made.signer_info(ATTRIBUTES), certificates=[twin()])
    assert verdict(wrong, CONTENT) == (Integrity.BROKEN, "the signature does not verify")


def test_a_certificate_that_was_not_meant_is_not_taken() -> None:
    """RFC 5035 2: the same key in another certificate."""
    fields = read_certificate(party().der)
    renewed = pki.person(
        root(), "evil@example.test", label="cms alice rsa", serial=fields.serial
    ).der
    raw = DETACHED.replace(party().der, renewed)
    assert len(raw) != 0
    signed = parse_signed_data(sign(CONTENT, signer(), signing_time=None, detached=True))
    (report,) = verify(signed, [CONTENT], [renewed])
    assert report.certificate == party().der
    bag = made.signed_data(
        made.signer_info([*ATTRIBUTES, made.attribute(oids.SIGNING_CERTIFICATE_V2, ess_of(b"x"))])
    )
    assert verdict(bag, CONTENT) == (Integrity.BROKEN, "another certificate was signed with")
    sha1 = made.attribute(oids.SIGNING_CERTIFICATE, ess_of(bytes(20)))
    assert judge(made_signed(*ATTRIBUTES, sha1), CONTENT).integrity is Integrity.BROKEN


def ess_of(value: bytes) -> bytes:
    raw = der.element(der.OCTET_STRING, value)
    for _ in range(3):
        raw = der.element(der.SEQUENCE, raw)
    return raw


@pytest.mark.parametrize(
    ("kind", "oid", "digest"),
    [
        ("rsa", "2.16.840.1.101.3.4.3.14", "sha3_256"),
        ("p256", "2.16.840.1.101.3.4.3.10", "sha3_256"),
        ("p256", "1.3.6.1.5.5.7.6.33", "shake256"),
        ("p256", "1.3.6.1.5.5.7.6.32", "shake128"),
        ("p256", "1.2.840.10045.2.1", "sha256"),
        ("brainpool512", algorithms.ECDSA_WITH_SHA512, "sha512"),
        ("ed25519", algorithms.ED25519, "sha512"),
        ("ed25519", algorithms.ED25519, "sha256"),
        ("ed448", algorithms.ED448, "shake256"),
        ("mldsa44", algorithms.ML_DSA_44, "sha256"),
        ("mldsa44", algorithms.ML_DSA_44, "shake256"),
    ],
)
def test_signatures_of_every_kind_are_judged(kind: str, oid: str, digest: str) -> None:
    """E56."""
    raw = signed_by(kind, oid, digest)
    report = judge(raw, CONTENT)
    assert (report.integrity, report.reason) == (Integrity.INTACT, "")
    assert (report.digest, report.weak) == (digest, False)
    assert judge(raw, b"other").integrity is Integrity.BROKEN


def signed_by(kind: str, oid: str, digest: str, *attributes: bytes, name: str = "alice") -> bytes:
    one = party(kind, name)
    info = made.signer_info(
        [made.CONTENT_TYPE, made.message_digest(CONTENT, digest), *attributes],
        digest=digest,
        sid=read_certificate(one.der).issuer_and_serial,
        signature_algorithm=made.algorithm(oid),
        key=one.key,
    )
    return made.signed_data(info, certificates=[one.der])


@pytest.mark.parametrize(
    ("oid", "digest"), [("1.2.840.10040.4.3", "sha1"), ("2.16.840.1.101.3.4.3.2", "sha256")]
)
def test_dsa_is_intact_and_weak(oid: str, digest: str) -> None:
    """V12."""
    report = judge(signed_by("dsa", oid, digest), CONTENT)
    assert (report.integrity, report.signature) == (Integrity.INTACT, "dsa")
    assert report.weak


def pss_signature(certificate: bytes, *, by_pkcs1: bool = False) -> bytes:
    algorithm = made.algorithm(algorithms.RSASSA_PSS, PSS_SHA256.encode())
    info = made.signer_info(
        sorted(ATTRIBUTES),
        signature_algorithm=made.RSA if by_pkcs1 else algorithm,
        pss=None if by_pkcs1 else PSS_SHA256,
    )
    return made.signed_data(info, certificates=[certificate])


def test_a_key_for_pss_only_verifies_pss_only() -> None:
    """RFC 4055 1.2."""
    for parameters, integrity in (
        (b"", Integrity.INTACT),
        (PSS_SHA256.encode(), Integrity.INTACT),
        (PssParameters(SHA256, SHA256, 33).encode(), Integrity.UNKNOWN),
    ):
        algorithm = made.algorithm(algorithms.RSASSA_PSS, parameters)
        certificate = with_key_algorithm(party().der, algorithm)
        assert judge(pss_signature(certificate), CONTENT).integrity is integrity
        by_pkcs1 = pss_signature(certificate, by_pkcs1=True)
        assert judge(by_pkcs1, CONTENT).integrity is Integrity.UNKNOWN
    assert judge(pss_signature(party().der, by_pkcs1=True), CONTENT).integrity is Integrity.INTACT


OF_OCTETS = {
    "ed25519": algorithms.ED25519,
    "ed448": algorithms.ED448,
    "mldsa44": algorithms.ML_DSA_44,
}


def bare(kind: str, content: bytes, digest: str = "sha512", *, carried: bool = False) -> bytes:
    one = party(kind)
    info = made.signer_info(
        None,
        content=content,
        digest=digest,
        sid=read_certificate(one.der).issuer_and_serial,
        signature_algorithm=made.algorithm(OF_OCTETS[kind]),
        key=one.key,
    )
    return made.signed_data(info, certificates=[one.der], content=content if carried else None)


@pytest.mark.parametrize("kind", OF_OCTETS)
def test_without_attributes_the_content_itself_is_signed(kind: str) -> None:
    """RFC 8419 3.1, RFC 9882 3.2: whatever digest is named."""
    for digest in ("sha512", "md5"):
        raw = bare(kind, CONTENT, digest)
        report = judge(raw, b"as it is stored", CONTENT)
        assert (report.integrity, report.weak) == (Integrity.INTACT, False)
        assert verdict(raw, b"other") == (Integrity.BROKEN, "the signature does not verify")
    assert judge(bare(kind, CONTENT, carried=True)).integrity is Integrity.INTACT


@pytest.mark.parametrize("kind", OF_OCTETS)
def test_attributes_of_another_signature_are_no_content_of_these_kinds(kind: str) -> None:
    octets = der.element(der.SET, *ATTRIBUTES)
    raw = bare(kind, octets, carried=True)
    assert verdict(raw) == (Integrity.BROKEN, "the content is another signature's attributes")


def test_signatures_over_the_whole_content_are_few() -> None:
    """E91: each of them hashes all of the content again."""
    one = party("ed25519")
    info = made.signer_info(
        None,
        sid=read_certificate(one.der).issuer_and_serial,
        signature_algorithm=made.algorithm(algorithms.ED25519),
        signature=bytes(64),
    )
    reports = verify(
        parse_signed_data(made.signed_data(*[info] * 16, certificates=[one.der])), [CONTENT]
    )
    reasons = [report.reason for report in reports]
    allowed = MAX_TRIES // WHOLE_CONTENT
    assert reasons[:allowed] == ["the signature does not verify"] * allowed
    assert reasons[allowed:] == ["too many certificates to try"] * (16 - allowed)


RFC_9882 = Path(__file__).parent / "rfc9882"


@pytest.mark.parametrize("name", ["mldsa44", "mldsa65", "mldsa87"])
def test_the_examples_of_rfc_9882_verify(name: str) -> None:
    """RFC 9882 appendix B, the certificates of RFC 9881 appendix C."""
    blocks = [
        base64.b64decode("".join((RFC_9882 / f"{name}{suffix}").read_text().splitlines()[1:-1]))
        for suffix in (".pem", ".crt")
    ]
    report = judge(blocks[0], extra=(blocks[1],))
    assert (report.integrity, report.signature) == (Integrity.INTACT, name)
    altered = bytearray(blocks[0])
    altered[-1] ^= 1
    assert judge(bytes(altered), extra=(blocks[1],)).integrity is Integrity.BROKEN


def test_the_digests_of_one_message_are_few() -> None:
    """E91: each is a pass over all of the content."""
    names = ["sha256", "sha384", "sha512", "sha3_256", "sha3_512", "sha256"]
    infos = [
        made.signer_info([made.CONTENT_TYPE, made.message_digest(CONTENT, name)], digest=name)
        for name in names
    ]
    reports = verify(parse_signed_data(made.signed_data(*infos)), [CONTENT])
    found = [report.integrity for report in reports]
    assert found == [Integrity.INTACT] * MAX_DIGESTS + [Integrity.UNKNOWN, Integrity.INTACT]
    assert reports[MAX_DIGESTS].reason == "too many digests"


@cache
def opaque(kind: str, scheme: str) -> bytes:
    return sign(CONTENT, signer(kind).using(scheme), signing_time=SIGNING_TIME, detached=False)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        ("rsa", "rsassa_pss"),
        *((kind, "rsassa_pkcs1v15") for kind in ("p256", "brainpool", "ed25519", "ed448")),
        ("mldsa44", "rsassa_pkcs1v15"),
    ],
)
@settings(max_examples=40)
@given(data=st.data())
def test_a_flipped_octet_never_passes(kind: str, scheme: str, data: st.DataObject) -> None:
    """V3: in content, attributes or signature of every scheme."""
    raw = opaque(kind, scheme)
    (info,) = parse_signed_data(raw).signers
    assert info.signed_attributes is not None
    places = (CONTENT, info.signed_attributes, info.signature)
    covered = data.draw(st.sampled_from(places))
    at = raw.index(covered) + data.draw(st.integers(0, len(covered) - 1))
    altered = bytearray(raw)
    altered[at] ^= data.draw(st.integers(1, 255))
    try:
        signed = parse_signed_data(bytes(altered))
    except CmsError:
        return
    assert all(report.integrity is not Integrity.INTACT for report in verify(signed, []))


def test_keys_of_another_kind_are_unknown() -> None:
    """The certificate's key does not fit the algorithm that the signer names."""
    serial = party().certificate.x509().serial_number
    for kind in ("p256", "ed25519", "brainpool", "x25519", "mldsa44"):
        other = pki.person(root(), "c@example.test", kind=kind, serial=serial).der
        raw = made.signed_data(made.signer_info(ATTRIBUTES), certificates=[other])
        report = judge(raw, CONTENT)
        assert report.integrity is Integrity.UNKNOWN
        assert report.certificate == other


def test_short_rsa_keys_are_weak() -> None:
    """V12."""
    short = pki.person(root(), "short@example.test", kind="rsa1024")
    key = private_key(short)
    raw = made.signed_data(
        made.signer_info(ATTRIBUTES, sid=read_certificate(short.der).issuer_and_serial, key=key),
        certificates=[short.der],
    )
    report = judge(raw, CONTENT)
    assert (report.integrity, report.weak) == (Integrity.INTACT, True)


def test_public_key_operations_are_limited() -> None:
    """E91: sixteen signers with a bag of certificates that all fit."""
    serial = party().certificate.x509().serial_number
    bag = [
        pki.person(root(), f"{n}@example.test", label="cms bob rsa", serial=serial).der
        for n in range(20)
    ]
    raw = made.signed_data(*[made.signer_info(sorted(ATTRIBUTES))] * 16, certificates=bag)
    reports = verify(parse_signed_data(raw), [CONTENT])
    assert reports[0].reason == "the signature does not verify"
    assert reports[-1].integrity is Integrity.UNKNOWN
    assert reports[-1].reason == "too many certificates to try"
    assert MAX_TRIES == 64
