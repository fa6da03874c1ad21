"""OCSP answers count when they are about the certificate, and its issuer's word; RFC 6960."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import AGE_WITHOUT_NEXT, MAX_OCSP_OCTETS, OcspAnswer
from tests import pki

from .answers import DAY, NOW, answer, ocsp_der

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other root", kind="p256")
ALICE = pki.person(ROOT, "alice@example.test", kind="p256")
BOB = pki.person(ROOT, "bob@example.test", kind="p256")
NO_CHECK = (x509.OCSPNoCheck(), False)


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
    "declared",
    [
        {"eku": (pki.EMAIL,)},
        {"eku": None},
        {"extra": []},
        {"not_after": NOW - DAY},
        {"kind": "rsa1024"},
    ],
)
def test_nobody_else_may(declared: dict[str, Any]) -> None:
    """RFC 6960 4.2.2.2."""
    given = answer(ALICE, ROOT, responder=responder(ROOT, **declared))
    assert not given.is_given_by(ROOT.certificate, NOW)


def test_a_delegate_of_another_authority_may_not() -> None:
    assert not answer(ALICE, ROOT, responder=responder(OTHER)).is_given_by(ROOT.certificate, NOW)
    below = pki.intermediate(ROOT, kind="p256")
    assert not answer(ALICE, ROOT, responder=responder(below)).is_given_by(ROOT.certificate, NOW)


def test_any_flipped_octet_is_unreadable_or_nobodys_word() -> None:
    der = ocsp_der(ALICE, ROOT)
    for at in range(0, len(der), 5):
        flipped = bytearray(der)
        flipped[at] ^= 1
        try:
            read = OcspAnswer.from_der(bytes(flipped))
        except CertificateError:
            continue
        assert not read.is_given_by(ROOT.certificate, NOW), at


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x00" * (MAX_OCSP_OCTETS + 1)])
def test_what_is_no_answer_is_refused(der: bytes) -> None:
    with pytest.raises(CertificateError):
        OcspAnswer.from_der(der)


def test_a_responder_that_says_no_is_told() -> None:
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    with pytest.raises(CertificateError, match="try_later"):
        OcspAnswer.from_der(later.public_bytes(Encoding.DER))
