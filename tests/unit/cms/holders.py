"""Holders of every kind of key that is encrypted to: certificate and private key."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from smime_proxy.cms import der
from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey
from smime_proxy.cms.recipient import CmsRecipient, EncryptionKey
from tests import pki
from tests.unit.cms.parties import root

_CURVES: dict[str, ec.EllipticCurve] = {
    "p224": ec.SECP224R1(),
    "secp256k1": ec.SECP256K1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "brainpool256": ec.BrainpoolP256R1(),
    "brainpool384": ec.BrainpoolP384R1(),
    "brainpool512": ec.BrainpoolP512R1(),
}
_OTHERS: dict[str, Callable[[], PrivateKey]] = {
    "x25519": X25519PrivateKey.generate,
    "x448": X448PrivateKey.generate,
    "mlkem768": MLKEM768PrivateKey.generate,
    "mlkem1024": MLKEM1024PrivateKey.generate,
}
CURVES = ("p256", "p384", "p521", "brainpool256", "brainpool384", "brainpool512")
KINDS = ("rsa", *CURVES, *_OTHERS)  # that can be encrypted to

RSA_OID = der.object_identifier("1.2.840.113549.1.1.1")


@dataclass(frozen=True)
class Holder:
    """A certificate with the private key to it."""

    der: bytes
    key: PrivateKey = field(repr=False)

    def recipient(self, *, oaep: bool = False) -> CmsRecipient:
        """Give him as one to encrypt to."""
        return CmsRecipient.from_certificate(self.der, oaep=oaep)

    def decryption_key(self) -> DecryptionKey:
        """Give his key as one to decrypt with."""
        return DecryptionKey.build(self.key, self.der)

    def files(self) -> tuple[bytes, bytes]:
        """Give certificate and key as PEM."""
        certificate = x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM)
        return certificate, self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )


@cache
def holder(kind: str, name: str = "alice") -> Holder:
    """Make the session's holder of a key of a kind, always the same one."""
    key = _key(kind, name)
    return Holder(certificate_for(key.public_key(), name), key)


def certificate_for(public_key: EncryptionKey, name: str = "alice") -> bytes:
    """Make a certificate for the key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = root()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.x509().subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(pki.NOT_BEFORE)
        .not_valid_after(pki.NOT_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def with_key_algorithm(holder_: Holder, algorithm: bytes) -> Holder:
    """Make the RSA key in the certificate one of another algorithm; nobody looks at the sign."""
    info = holder_.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    plain = der.element(der.SEQUENCE, RSA_OID, der.NULL)
    assert plain in info
    body = info[info.index(plain) + len(plain) :]
    changed = der.element(der.SEQUENCE, algorithm, body)
    to_be_signed = x509.load_der_x509_certificate(holder_.der).tbs_certificate_bytes
    rest = holder_.der[holder_.der.index(to_be_signed) + len(to_be_signed) :]
    fields = to_be_signed[4:].replace(info, changed)  # four octets of header: long form of two
    return Holder(der.element(der.SEQUENCE, der.element(der.SEQUENCE, fields), rest), holder_.key)


def _key(kind: str, name: str) -> PrivateKey:
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind in _OTHERS:
        return _OTHERS[kind]()
    key = pki.key(kind, f"holder {name}")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
