"""The built-in certificate authority: root, issuing authority, certificates for mailboxes, files.

RFC 5280 4 (profile), RFC 8550 4.4 (S/MIME extensions), RFC 9598 3, RFC 7292 (PKCS #12). Shapes are
those of the CA/Browser Forum's S/MIME requirements 7.1.2 (key usages, lengths, where the CRL is).
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.definite import encoded
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.extensions import SMTP_UTF8_MAILBOX
from smime_proxy.certs.keys import PrivateKey as AnyPrivateKey

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)

_FileKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

MAX_COMMON_NAME = 64  # octets; RFC 5280 appendix A says characters, many readers count octets
MAX_SERIAL_BITS = 159  # RFC 5280 4.1.2.2: 20 octets and positive
CLOCK_SKEW = timedelta(minutes=5)  # peers' clocks run slow; a certificate should work at once

_UTF8_STRING = 0x0C
_CURVE_DIGESTS: dict[str, hashes.SHA384 | hashes.SHA512] = {
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class KeyUses(enum.Enum):
    """What a certificate for a mailbox is for, in the words of the store and of `ca list`."""

    BOTH = "signing and encryption"
    SIGNING = "signing"
    ENCRYPTION = "encryption"


@dataclass(frozen=True, slots=True)
class PublishedAt:
    """Where people find what an authority has revoked, and its certificate (URLs)."""

    crl: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority's certificate with its key, and where its own list and certificate are."""

    certificate: Certificate
    private_key: PrivateKey = field(repr=False)
    published: PublishedAt | None = None


def create_authority(
    name: str, at: datetime, years: int, key: PrivateKey, *, serial: int
) -> Certificate:
    """Make the self-signed root above issuing authorities and nothing else (RFC 5280 4.2.1.9).

    `name` becomes the common name; valid from shortly before `at` for `years` years.
    """
    subject = _common_name(name)
    builder = (
        _builder(subject, subject, key.public_key(), serial, at, timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return _signed(builder, key)


def may_certify_authorities(root: Certificate) -> bool:
    """Tell whether its path length leaves room for an authority below it."""
    length = root.x509().extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return length is None or length > 0


def create_issuing(
    root: Issuer,
    name: str,
    public_key: PublicKey,
    at: datetime,
    *,
    serial: int,
    domains: Iterable[str] = (),
) -> Certificate:
    """Certify an authority for mail that issues end entities only, until the end of the root.

    With `domains` (A-labels) it may speak for addresses there alone (RFC 5280 4.2.1.10).
    Raises `CertificateError` when the root is past its end.
    """
    above = root.certificate
    lifetime = _lifetime(above, at, above.not_after - at)
    builder = (
        _builder(_common_name(name), above.x509().subject, public_key, serial, at, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(authority_identifier(above), critical=False)
    )
    permitted = [x509.RFC822Name(domain) for domain in domains]
    if permitted:
        builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    return _signed(_pointing(builder, root.published), root.private_key)


def permitted_domains(issuer: Certificate) -> tuple[str, ...]:
    """Give the domains an authority of ours is limited to, none when it is not."""
    try:
        found = issuer.x509().extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.value for name in found.permitted_subtrees or ())


def issue(
    issuer: Issuer,
    mailbox: Mailbox,
    public_key: PublicKey,
    at: datetime,
    days: int,
    *,
    serial: int,
    uses: KeyUses = KeyUses.BOTH,
) -> Certificate:
    """Certify one mailbox for S/MIME, by default for signing and encryption (RFC 8550 4.4).

    Team accounts get ones for signing. The end is cut at the issuer's. Raises
    `CertificateError` when that is past its end or limited to other domains.
    """
    above = issuer.certificate
    domains = permitted_domains(above)
    if domains and not (mailbox.local.isascii() and mailbox.domain in domains):
        raise CertificateError(
            f"the authority is limited to plain addresses at {', '.join(domains)}"
        )
    lifetime = _lifetime(above, at, timedelta(days=days))
    encrypts = uses is not KeyUses.SIGNING
    usage = _key_usage(
        digital_signature=uses is not KeyUses.ENCRYPTION,
        key_encipherment=encrypts and isinstance(public_key, rsa.RSAPublicKey),
        key_agreement=encrypts and isinstance(public_key, ec.EllipticCurvePublicKey),
    )
    name = _common_name(mailbox.text)
    builder = (
        _builder(name, above.x509().subject, public_key, serial, at, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([general_name(mailbox)]), critical=False)
        .add_extension(authority_identifier(above), critical=False)
    )
    return _signed(_pointing(builder, issuer.published), issuer.private_key)


def write_pkcs12(
    key: AnyPrivateKey, certificate: Certificate, chain: Sequence[Certificate], password: bytes
) -> bytes:
    """Put key, certificate and chain into a password-protected PKCS #12 file (RFC 7292 4).

    Raises `CertificateError` for an empty password, since such a file protects nothing, and for
    kinds of keys that the library puts into no such file.
    """
    if not password:
        raise CertificateError("the key file needs a password")
    if not isinstance(key, _FileKey):
        raise CertificateError("a key of this kind is written as PEM only")
    friendly_name = (certificate.subject or certificate.fingerprint).encode()
    return pkcs12.serialize_key_and_certificates(
        friendly_name,
        key,
        certificate.x509(),
        [link.x509() for link in chain],
        serialization.BestAvailableEncryption(password),
    )


def general_name(mailbox: Mailbox) -> x509.GeneralName:
    """Write a mailbox as subjectAltName: rfc822Name, or SmtpUTF8Mailbox (RFC 9598 3).

    The domain is written as A-labels, as both forms require.
    """
    address = f"{mailbox.local}@{mailbox.domain}"
    if address.isascii():
        return x509.RFC822Name(address)
    return x509.OtherName(SMTP_UTF8_MAILBOX, encoded(_UTF8_STRING, address.encode()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    serial: int,
    at: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    if serial <= 0 or serial.bit_length() > MAX_SERIAL_BITS:
        raise CertificateError(
            f"a serial number is positive and has at most {MAX_SERIAL_BITS} bits"
        )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before((at - CLOCK_SKEW).replace(microsecond=0))
        .not_valid_after((at + lifetime).replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _common_name(text: str) -> x509.Name:
    if not text:
        raise CertificateError("an authority needs a name")
    cut = text.encode()[:MAX_COMMON_NAME].decode(errors="ignore")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cut)])


def authority_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the issuer's key (RFC 5280 4.2.1.1); raises `CertificateError` when it has no name."""
    if issuer.ski is None:
        raise CertificateError("the authority's certificate has no subjectKeyIdentifier")
    return x509.AuthorityKeyIdentifier(issuer.ski, None, None)


def digest_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """Give the digest to sign with, as strong as the key (RFC 5480 4)."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _CURVE_DIGESTS.get(key.curve.name, hashes.SHA256())
    return hashes.SHA256()


def _lifetime(issuer: Certificate, at: datetime, wanted: timedelta) -> timedelta:
    lifetime = min(wanted, issuer.not_after - at)
    if lifetime <= timedelta(0):
        raise CertificateError("the authority's certificate has expired")
    return lifetime


def _pointing(
    builder: x509.CertificateBuilder, published: PublishedAt | None
) -> x509.CertificateBuilder:
    """Say where the issuer's CRL and certificate are (RFC 5280 4.2.1.13 and 4.2.2.1)."""
    if published is None:
        return builder
    crl = x509.UniformResourceIdentifier(published.crl)
    above = x509.UniformResourceIdentifier(published.certificate)
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, above)
    points = x509.CRLDistributionPoints([x509.DistributionPoint([crl], None, None, None)])
    return builder.add_extension(points, critical=False).add_extension(
        x509.AuthorityInformationAccess([access]), critical=False
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> Certificate:
    signed = builder.sign(key, digest_for(key))
    return Certificate.from_der(signed.public_bytes(serialization.Encoding.DER))
