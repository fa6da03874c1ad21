"""Certificate revocation lists of the built-in authority: full ones, signed by the issuer itself.

RFC 5280 5 (profile), 5.2.3 (numbers that only grow), 5.3.1 (reasons).
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.certs.authority import (
    CLOCK_SKEW,
    PrivateKey,
    authority_identifier,
    digest_for,
)
from smime_proxy.certs.certificate import Certificate

CRL_LIFETIME = timedelta(days=7)  # CA/Browser S/MIME requirements 4.9.7: ten at most


class Reason(enum.Enum):
    """Why a certificate was revoked, in the words of RFC 5280 5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


@dataclass(frozen=True, slots=True)
class Revoked:
    """An entry of a list."""

    serial: int
    revoked_at: datetime
    reason: Reason


def sign_crl(
    issuer: Certificate,
    issuer_key: PrivateKey,
    number: int,
    revoked: Iterable[Revoked],
    at: datetime,
) -> bytes:
    """Make the list in DER, good from shortly before `at` for `CRL_LIFETIME`.

    Raises `CertificateError` when the issuer has no subjectKeyIdentifier.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.x509().subject)
        .last_update((at - CLOCK_SKEW).replace(microsecond=0))
        .next_update((at + CRL_LIFETIME).replace(microsecond=0))
        .add_extension(authority_identifier(issuer), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(_entry(entry))
    return builder.sign(issuer_key, digest_for(issuer_key)).public_bytes(Encoding.DER)


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(revoked.serial)
        .revocation_date(revoked.revoked_at.replace(microsecond=0))
    )
    if revoked.reason is not Reason.UNSPECIFIED:  # RFC 5280 5.3.1: said by saying nothing
        code = x509.CRLReason(x509.ReasonFlags(revoked.reason.value))
        builder = builder.add_extension(code, critical=False)
    return builder.build()
