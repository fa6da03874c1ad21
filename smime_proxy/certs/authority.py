"""The built-in certificate authority: a root, certificates for mailboxes, key files.

RFC 5280 4 (profile), RFC 8550 4.4 (S/MIME extensions), RFC 9598 3, RFC 7292 (PKCS #12).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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


def create_authority(
    name: str, at: datetime, years: int, key: PrivateKey, *, serial: int
) -> Certificate:
    """Make the self-signed root of an authority that issues end entities only (RFC 5280 4.2.1.9).

    `name` becomes the common name; valid from shortly before `at` for `years` years.
    """
    subject = _common_name(name)
    builder = (
        _builder(subject, subject, key.public_key(), serial, at, timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return _signed(builder, key)


def issue(
    root: Certificate,
    root_key: PrivateKey,
    mailbox: Mailbox,
    public_key: PublicKey,
    at: datetime,
    days: int,
    *,
    signing_only: bool,
    serial: int,
) -> Certificate:
    """Certify one mailbox for S/MIME, by default for signing and encryption (RFC 8550 4.4).

    Team accounts get `signing_only` ones. The end is cut at the root's. Raises
    `CertificateError` when the root is past its end.
    """
    lifetime = min(timedelta(days=days), root.not_after - at)
    if lifetime <= timedelta(0):
        raise CertificateError("the authority's certificate has expired")
    issuer = root.x509().subject
    usage = _key_usage(
        digital_signature=True,
        key_encipherment=not signing_only and isinstance(public_key, rsa.RSAPublicKey),
        key_agreement=not signing_only and isinstance(public_key, ec.EllipticCurvePublicKey),
    )
    builder = (
        _builder(_common_name(mailbox.text), issuer, public_key, serial, at, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([general_name(mailbox)]), critical=False)
        .add_extension(_authority_identifier(root), critical=False)
    )
    return _signed(builder, root_key)


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


def _authority_identifier(root: Certificate) -> x509.AuthorityKeyIdentifier:
    if root.ski is None:
        raise CertificateError("the authority's certificate has no subjectKeyIdentifier")
    return x509.AuthorityKeyIdentifier(root.ski, None, None)


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
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 = hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        digest = _CURVE_DIGESTS.get(key.curve.name, digest)
    signed = builder.sign(key, digest)
    return Certificate.from_der(signed.public_bytes(serialization.Encoding.DER))
