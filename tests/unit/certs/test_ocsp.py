"""OCSP answers count when they are about the certificate, and its issuer's word; RFC 6960."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.names import read_element
from smime_proxy.certs.ocsp import AGE_WITHOUT_NEXT, MAX_OCSP_OCTETS, OcspAnswer
from smime_proxy.cms import der
from smime_proxy.cms.algorithms import DIGESTS_BY_NAME
from smime_proxy.cms.pss import PssParameters
from tests import pki

from .answers import DAY, NOW, answer, ocsp_der

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other root", kind="p256")
ALICE = pki.person(ROOT, "alice@example.test", kind="p256")
BOB = pki.person(ROOT, "bob@example.test", kind="p256")
NO_CHECK = (x509.OCSPNoCheck(), False)


STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def responder(issuer: pki.Identity, **declared: Any) -> pki.Identity:
    """Make a delegated responder."""
    values = {"eku": (ExtendedKeyUsageOID.OCSP_SIGNING,), "extra": [NO_CHECK], "kind": "p256"}
    return pki.certify(issuer, name="Responder", **(values | declared))


def test_an_answer_says_what_it_knows() -> None:
    good = answer(ALICE, ROOT)
    assert (good.known, good.revoked_at, good.reason) == (True, None, "")
    assert (good.this_update, good.next_update) == (NOW - DAY, NOW + DAY)
    revoked = answer(ALICE, ROOT, status=ocsp.OCSPCertStatus.REVOKED)
    assert (revoked.revoked_at, revoked.reason) == (NOW - DAY, "superseded")
    assert not answer(ALICE, ROOT, status=ocsp.OCSPCertStatus.UNKNOWN).known


def test_an_answer_that_does_not_say_how_long_it_holds_is_young_for_a_day() -> None:
    assert answer(ALICE, ROOT, next_update=None).next_update == NOW - DAY + AGE_WITHOUT_NEXT


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()])  # noqa: S303 - RFC 5019
def test_an_answer_is_about_one_certificate_of_one_issuer(digest: hashes.HashAlgorithm) -> None:
    about = answer(ALICE, ROOT, digest=digest)
    assert about.is_about(ALICE.certificate, ROOT.certificate)
    assert not about.is_about(BOB.certificate, ROOT.certificate)
    twin = pki.person(OTHER, "t@example.test", kind="p256", serial=ALICE.certificate.serial)
    assert not about.is_about(twin.certificate, OTHER.certificate)
    renamed = pki.root(kind="p256", label="another key")
    assert not about.is_about(ALICE.certificate, renamed.certificate)


@pytest.mark.parametrize("by_name", [True, False])
def test_the_issuer_may_say_so_itself(by_name: bool) -> None:
    assert answer(ALICE, ROOT, by_name=by_name).is_given_by(ROOT.certificate, NOW)
    assert not answer(ALICE, ROOT, by_name=by_name).is_given_by(OTHER.certificate, NOW)


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_so_may_whom_it_delegated_that_to(kind: str) -> None:
    given = answer(ALICE, ROOT, responder=responder(ROOT, kind=kind))
    assert given.is_given_by(ROOT.certificate, NOW)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"eku": (pki.EMAIL,)}, "was not certified to sign OCSP answers"),
        ({"eku": None}, "was not certified to sign OCSP answers"),
        ({"extra": []}, "has no id-pkix-ocsp-nocheck"),
        ({"not_after": NOW - DAY}, "is not in its dates"),
        ({"kind": "rsa1024"}, "is not believed"),
        ({"usage": ("key_agreement",)}, "has a key that may not sign"),
        ({"extra": [NO_CHECK, (STRANGE, True)]}, "has the unknown critical extension 1.2.3.4"),
    ],
)
def test_nobody_else_may(declared: dict[str, Any], reason: str) -> None:
    """RFC 6960 4.2.2.2."""
    given = answer(ALICE, ROOT, responder=responder(ROOT, **declared))
    assert not given.is_given_by(ROOT.certificate, NOW)
    assert reason in given.objection(ROOT.certificate, NOW)


def test_a_delegate_whose_extensions_nobody_can_read_is_none() -> None:
    """Whoever has an authority below an anchor could end the fetching with one."""
    unreadable = x509.UnrecognizedExtension(x509.ExtendedKeyUsage.oid, b"\x04\x00")
    made = responder(ROOT, eku=None, extra=[NO_CHECK, (unreadable, False)])
    given = answer(ALICE, ROOT, responder=made)
    assert "cannot be read" in given.objection(ROOT.certificate, NOW)


def test_a_delegate_of_another_authority_may_not() -> None:
    given = answer(ALICE, ROOT, responder=responder(OTHER))
    assert "another authority" in given.objection(ROOT.certificate, NOW)
    below = pki.intermediate(ROOT, kind="p256")
    assert not answer(ALICE, ROOT, responder=responder(below)).is_given_by(ROOT.certificate, NOW)


def test_any_flipped_octet_is_unreadable_or_nobodys_word() -> None:
    whole = ocsp_der(ALICE, ROOT)
    for at in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        try:
            read = OcspAnswer.from_der(bytes(flipped))
        except CertificateError:
            continue
        assert not read.is_given_by(ROOT.certificate, NOW), at


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"\x00" * (MAX_OCSP_OCTETS + 1)])
def test_what_is_no_answer_is_refused(octets: bytes) -> None:
    with pytest.raises(CertificateError):
        OcspAnswer.from_der(octets)


def test_a_responder_that_says_no_is_told() -> None:
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    with pytest.raises(CertificateError, match="try_later"):
        OcspAnswer.from_der(later.public_bytes(Encoding.DER))


RSA_ROOT = pki.root("RSA root")
CAROL = pki.person(RSA_ROOT, "carol@example.test", kind="p256")


def parts(encoded: bytes) -> list[bytes]:
    """Cut the content of an element into the elements it is made of."""
    _, at, end = read_element(encoded, 0)
    found = []
    while at < end:
        behind = read_element(encoded, at)[2]
        found.append(encoded[at:behind])
        at = behind
    return found


def rebuilt(
    response: bytes, sign: Callable[[bytes], bytes], algorithm: bytes = b"", extensions: bytes = b""
) -> bytes:
    """Make a response anew as the library makes none: other algorithm, extensions of its answer."""
    status, inside = parts(response)
    kind, octets = parts(parts(inside)[0])
    _, first, last = read_element(octets, 0)
    answered, before, _, *certificates = parts(octets[first:last])
    responder_id, produced, responses = parts(answered)
    (single,) = parts(responses)
    single = der.element(0x30, *parts(single), extensions)
    answered = der.element(0x30, responder_id, produced, der.element(0x30, single))
    signature = der.element(0x03, b"\0", sign(answered))
    basic = der.element(0x30, answered, algorithm or before, signature, *certificates)
    wrapped = der.element(0x30, kind, der.element(0x04, basic))
    return der.element(0x30, status, der.element(0xA0, wrapped))


def extended(oid: str, value: bytes, *, critical: bool) -> OcspAnswer:
    """Make a response whose one answer has an extension."""
    flag = b"\x01\x01\xff" if critical else b""
    body = der.element(0x30, der.object_identifier(oid), flag, der.element(0x04, value))
    extensions = der.element(0xA1, der.element(0x30, body))
    key = ROOT.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = rebuilt(
        ocsp_der(ALICE, ROOT), lambda tbs: key.sign(tbs, ec.ECDSA(hashes.SHA256())), b"", extensions
    )
    return OcspAnswer.from_der(made)


def test_an_unknown_critical_extension_makes_an_answer_unusable() -> None:
    """RFC 6960 4.4, RFC 5280 4.2."""
    unknown = ("1.3.6.1.4.1.99999.1", b"\x05\0")
    assert extended(*unknown, critical=False).is_given_by(ROOT.certificate, NOW)
    with pytest.raises(CertificateError, match="unknown critical extension"):
        extended(*unknown, critical=True)
    reason = extended("2.5.29.21", b"\x0a\x01\x04", critical=True)
    assert reason.is_given_by(ROOT.certificate, NOW)


def pss_answer(salt: int, digest: hashes.HashAlgorithm, said: bytes | None = None) -> OcspAnswer:
    """Make a response signed with RSASSA-PSS; `said` in place of its true parameters."""
    key = RSA_ROOT.key
    assert isinstance(key, rsa.RSAPrivateKey)
    used = padding.PSS(padding.MGF1(digest), salt)
    true = PssParameters(DIGESTS_BY_NAME[digest.name], DIGESTS_BY_NAME[digest.name], salt).encode()
    oid = der.object_identifier("1.2.840.113549.1.1.10")
    algorithm = der.element(0x30, oid, true if said is None else said)
    return OcspAnswer.from_der(
        rebuilt(ocsp_der(CAROL, RSA_ROOT), lambda tbs: key.sign(tbs, used, digest), algorithm)
    )


@pytest.mark.parametrize("salt", [20, 32, 200])
@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_rsassa_pss_is_verified(digest: hashes.HashAlgorithm, salt: int) -> None:
    if salt == 200 and digest.digest_size == 64:
        salt = 150  # what a key of 2048 bits has room for
    given = pss_answer(salt, digest)
    assert given.is_given_by(RSA_ROOT.certificate, NOW)
    assert not given.is_given_by(ROOT.certificate, NOW)


def test_rsassa_pss_with_other_parameters_is_nobodys_word() -> None:
    sha256 = DIGESTS_BY_NAME["sha256"]
    lies = [b"\x30\0", PssParameters(sha256, sha256, 20).encode()]
    for said in lies:
        assert not pss_answer(32, hashes.SHA256(), said).is_given_by(RSA_ROOT.certificate, NOW)
