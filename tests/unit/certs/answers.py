"""Revocation lists and OCSP answers for tests, made by the authorities of `tests.pki`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.definite import encoded
from smime_proxy.certs.names import read_element
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from tests import pki

NOW = pki.NOW
DAY = timedelta(days=1)


@dataclass
class Known:
    """Answers at hand; every list and OCSP answer is offered for every certificate."""

    crls: Sequence[Crl] = ()
    ocsps: Sequence[OcspAnswer] = ()
    version: int = 0

    def lists(self, certificate: Certificate, issuer: Certificate) -> Sequence[Crl]:
        return self.crls

    def ocsp(self, certificate: Certificate, issuer: Certificate) -> Sequence[OcspAnswer]:
        return self.ocsps


def crl_der(
    issuer: pki.Identity,
    *revoked: pki.Identity,
    reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise,
    at: datetime = NOW - DAY,
    this_update: datetime = NOW - DAY,
    next_update: datetime | None = NOW + DAY,
    number: int = 7,
    signer: pki.Identity | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    entry_extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """Make a list; `extra` and `entry_extra` are further (extension, critical)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.x509().subject)
        .last_update(this_update)
        .next_update(next_update or NOW)
        .add_extension(x509.CRLNumber(number), False)
    )
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical)
    for one in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(one.certificate.serial)
            .revocation_date(at)
        )
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), False)
        for extension, critical in entry_extra:
            entry = entry.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(entry.build())
    key = (signer or issuer).key
    edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    digest = None if edwards else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)  # type: ignore[arg-type]  # kinds that sign


def crl_of_day(issuer: pki.Identity, revoked: pki.Identity, day: bytes) -> Crl:
    """Make a list with one entry whose date is this encoded Time, which no library writes."""
    written = b"\x17\x0d010203040506Z"
    made = crl_der(issuer, revoked, at=datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC))
    _, start, _ = read_element(made, 0)
    _, _, end = read_element(made, start)
    signed = _with(made[start:end], made.index(written) - start, day)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    signature = issuer.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    algorithm = made[end : read_element(made, end)[2]]
    return Crl.from_der(encoded(0x30, signed + algorithm + encoded(0x03, b"\0" + signature)))


def _with(der: bytes, place: int, new: bytes, at: int = 0) -> bytes:
    """Give the element at `at` with another in place of the one inside it at `place`."""
    tag, start, end = read_element(der, at)
    if at == place:
        return new
    if not start <= place < end:
        return der[at:end]
    members = []
    while start < end:
        members.append(_with(der, place, new, start))
        start = read_element(der, start)[2]
    return encoded(tag, b"".join(members))


def crl(issuer: pki.Identity, *revoked: pki.Identity, **declared: object) -> Crl:
    """Make a list as it is read."""
    return Crl.from_der(crl_der(issuer, *revoked, **declared))  # type: ignore[arg-type]  # as above


def ocsp_der(
    subject: pki.Identity,
    issuer: pki.Identity,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    at: datetime = NOW - DAY,
    this_update: datetime = NOW - DAY,
    next_update: datetime | None = NOW + DAY,
    responder: pki.Identity | None = None,
    by_name: bool = False,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """Make a response; a `responder` that is not the issuer puts its certificate into it."""
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    giving = responder or issuer
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=subject.certificate.x509(),
            issuer=issuer.certificate.x509(),
            algorithm=digest or hashes.SHA1(),  # noqa: S303 - what RFC 5019 has
            cert_status=status,
            this_update=this_update,
            next_update=next_update,
            revocation_time=at if revoked else None,
            revocation_reason=x509.ReasonFlags.superseded if revoked else None,
        )
        .responder_id(encoding, giving.certificate.x509())
    )
    if responder is not None:
        builder = builder.certificates([responder.certificate.x509()])
    made = builder.sign(giving.key, hashes.SHA256())  # type: ignore[arg-type]  # RSA and EC here
    return made.public_bytes(Encoding.DER)


def answer(subject: pki.Identity, issuer: pki.Identity, **declared: object) -> OcspAnswer:
    """Make a response as it is read."""
    return OcspAnswer.from_der(ocsp_der(subject, issuer, **declared))  # type: ignore[arg-type]  # as above
