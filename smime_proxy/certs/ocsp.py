"""Answers of OCSP responders: whether one is about a certificate, and by whom it may be given.

RFC 6960 3.2 and 4.2, RFC 5019 (without nonces, so that answers can be kept), RFC 9654.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate, Validity
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.names import name_key, read_element
from smime_proxy.certs.pss import read_pss
from smime_proxy.certs.signature import is_signed_by, verifies

_RSA, _RSASSA_PSS, _ECDSA = "1.2.840.113549.1.1.", "1.2.840.113549.1.1.10", "1.2.840.10045.4."

_UNDERSTOOD = frozenset({x509.CRLReason.oid, x509.InvalidityDate.oid})  # RFC 6960 4.4.5

MAX_OCSP_OCTETS = 64_000  # an answer with a responder's certificate has about 2,000
MAX_RESPONDERS = 4  # certificates of one answer that are looked at
AGE_WITHOUT_NEXT = timedelta(days=1)  # of an answer that does not say how long it holds


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """What a responder said of one certificate; `revoked_at` is None when it is not revoked.

    `known` is False for the answer that it does not know the certificate.
    """

    known: bool
    revoked_at: datetime | None
    reason: str
    this_update: datetime
    next_update: datetime
    _parsed: ocsp.OCSPResponse = field(repr=False, compare=False)

    @classmethod
    def from_der(cls, der: bytes) -> "OcspAnswer":
        """Read a response with one answer; raises `CertificateError` (RFC 6960 4.2.1)."""
        if len(der) > MAX_OCSP_OCTETS:
            raise CertificateError(f"an OCSP response of more than {MAX_OCSP_OCTETS} octets")
        try:
            parsed = ocsp.load_der_ocsp_response(der)
            if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                raise CertificateError(f"the responder says {parsed.response_status.name.lower()}")
            critical = [e.oid for e in parsed.extensions if e.critical]
            # RFC 6960 4.4: those of lists may stand with a single answer.
            single = parsed.single_extensions
            critical += [e.oid for e in single if e.critical and e.oid not in _UNDERSTOOD]
            if critical:
                raise CertificateError(f"unknown critical extension {critical[0].dotted_string}")
            return _answer(parsed)
        except LIBRARY_ERRORS as error:
            raise CertificateError("not a readable OCSP response") from error

    def is_about(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Tell whether it speaks of this certificate of this issuer (RFC 6960 4.1.1)."""
        parsed = self._parsed
        try:
            issued = _hashes(issuer, parsed.hash_algorithm)
        except LIBRARY_ERRORS:
            return False
        named = (parsed.issuer_name_hash, parsed.issuer_key_hash)
        return parsed.serial_number == certificate.serial and named == issued

    def is_given_by(self, issuer: Certificate, at: datetime) -> bool:
        """Tell whether the issuer said so, or who it delegated that to (RFC 6960 4.2.2.2)."""
        return not self.objection(issuer, at)

    def objection(self, issuer: Certificate, at: datetime) -> str:
        """Say why it is not the word of an issuer at a time, aware UTC; "" when it is.

        A delegate is certified by the issuer itself for OCSP signing, is in its dates, and needs
        no check of its own (id-pkix-ocsp-nocheck, RFC 6960 4.2.2.2.1): nothing would say who is
        asked then.
        """
        if self._is_signed_by(issuer):
            return ""
        objection = "it is not its issuer's"
        for der in self._certificates():
            try:
                delegate = Certificate.from_der(der)
            except CertificateError:
                continue
            if self._is_signed_by(delegate):
                unfit = _delegate_objection(delegate, issuer, at)
                if not unfit:
                    return ""
                objection = f"its responder {unfit}"
        return objection

    def _certificates(self) -> list[bytes]:
        try:
            found = self._parsed.certificates[:MAX_RESPONDERS]
            return [one.public_bytes(Encoding.DER) for one in found]
        except LIBRARY_ERRORS:
            return []

    def _is_signed_by(self, signer: Certificate) -> bool:
        parsed = self._parsed
        try:
            if not _names(parsed, signer):
                return False
            parameters, digest = _algorithm(parsed)
            return verifies(
                signer.x509().public_key(),
                parsed.signature,
                parsed.tbs_response_bytes,
                parameters,
                digest,
                parsed.signature_algorithm_oid.dotted_string,
            )
        except (*LIBRARY_ERRORS, IndexError):
            return False


def _answer(parsed: ocsp.OCSPResponse) -> OcspAnswer:
    status = parsed.certificate_status
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    reason = parsed.revocation_reason if revoked else None
    return OcspAnswer(
        known=status is not ocsp.OCSPCertStatus.UNKNOWN,
        revoked_at=parsed.revocation_time_utc if revoked else None,
        reason=reason.value if reason else "unspecified" if revoked else "",
        this_update=parsed.this_update_utc,
        next_update=parsed.next_update_utc or parsed.this_update_utc + AGE_WITHOUT_NEXT,
        _parsed=parsed,
    )


def _delegate_objection(delegate: Certificate, issuer: Certificate, at: datetime) -> str:
    if delegate.issuer_key != issuer.subject_key or not is_signed_by(delegate, issuer):
        return "was certified by another authority"
    if delegate.valid_at(at) is not Validity.VALID:
        return "is not in its dates"
    if delegate.weak:
        return f"is not believed: {delegate.weak}"
    try:
        return _unfit(delegate.x509().extensions)
    except LIBRARY_ERRORS:
        return "has extensions that cannot be read"


def _unfit(extensions: x509.Extensions) -> str:
    purposes, unchecked = False, False
    for extension in extensions:
        match extension.value:
            case x509.ExtendedKeyUsage() as usage:
                purposes = ExtendedKeyUsageOID.OCSP_SIGNING in usage
            case x509.OCSPNoCheck():
                unchecked = True
            case x509.KeyUsage(digital_signature=False, content_commitment=False):
                return "has a key that may not sign"
            case x509.UnrecognizedExtension() if extension.critical:  # RFC 5280 4.2
                return f"has the unknown critical extension {extension.oid.dotted_string}"
            case _:
                pass
    if not purposes:
        return "was not certified to sign OCSP answers"
    return "" if unchecked else "has no id-pkix-ocsp-nocheck, so that it may have been revoked"


def _names(parsed: ocsp.OCSPResponse, signer: Certificate) -> bool:
    """Tell whether a certificate is the one the response says signed it (RFC 6960 4.2.1)."""
    named = parsed.responder_name
    if named is not None:
        return name_key(named.public_bytes()) == signer.subject_key
    return parsed.responder_key_hash == _key_hash(signer, "sha1")


def _algorithm(parsed: ocsp.OCSPResponse) -> tuple[object, hashes.HashAlgorithm | None]:
    """Give how it was signed; the library tells it of certificates only."""
    oid = parsed.signature_algorithm_oid.dotted_string
    if oid == _RSASSA_PSS:
        return read_pss(_signature_parameters(parsed.public_bytes(Encoding.DER)))
    digest = parsed.signature_hash_algorithm
    if oid.startswith(_RSA):
        return padding.PKCS1v15(), digest
    if oid.startswith(_ECDSA) and digest is not None:
        return ec.ECDSA(digest), digest
    return None, digest


def _signature_parameters(der: bytes) -> bytes:
    """Cut the parameters of the signature algorithm out of a response (RFC 6960 4.2.1)."""
    _, at, _ = read_element(der, 0)
    at = read_element(der, at)[2]  # responseStatus
    _, at, _ = read_element(der, at)  # responseBytes [0]
    _, at, _ = read_element(der, at)
    _, at, _ = read_element(der, read_element(der, at)[2])  # response, behind responseType
    _, at, _ = read_element(der, at)  # BasicOCSPResponse
    _, at, end = read_element(der, read_element(der, at)[2])  # behind tbsResponseData
    return der[read_element(der, at)[2] : end]


def _hashes(issuer: Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    name = hashlib.new(algorithm.name, issuer.subject_der).digest()
    return name, _key_hash(issuer, algorithm.name)


def _key_hash(certificate: Certificate, algorithm: str) -> bytes:
    """Hash the key alone, without algorithm and tag (RFC 6960 4.1.1)."""
    der = (
        certificate.x509()
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    _, inside, _ = read_element(der, 0)
    _, bits, end = read_element(der, read_element(der, inside)[2])
    return hashlib.new(algorithm, der[bits + 1 : end]).digest()
