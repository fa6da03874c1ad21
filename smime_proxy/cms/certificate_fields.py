"""The few fields of a certificate that CMS refers to; everything else is `certs`' business.

RFC 5280 4.1 and 4.2.1, RFC 5652 10.2.4.
"""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import load_der_public_key

from smime_proxy.cms import algorithms, ber, ciphers, der
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm

PublicKey = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | dsa.DSAPublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | x25519.X25519PublicKey
    | x448.X448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
    | mlkem.MLKEM768PublicKey
    | mlkem.MLKEM1024PublicKey
)

KEY_ENCIPHERMENT = 0x20  # bit 2 of keyUsage, RFC 5280 4.2.1.3
KEY_AGREEMENT = 0x08  # bit 4

# RFC 4055 1.2: an RSA key that is for one scheme only says so in its identifier.
_RSA_FOR_ONE_SCHEME = frozenset((algorithms.RSASSA_PSS, ciphers.RSAES_OAEP.oid))
_RSA_ENCRYPTION = der.element(
    der.SEQUENCE, der.object_identifier(algorithms.RSA_ENCRYPTION), der.NULL
)

# Encoded, so that the other extensions are passed over unread.
_SUBJECT_KEY_IDENTIFIER = der.object_identifier("2.5.29.14")
_KEY_USAGE = der.object_identifier("2.5.29.15")
_VERSION, _EXTENSIONS = 0xA0, 0xA3


@dataclass(frozen=True, slots=True)
class CertificateFields:
    """Issuer (DER), serial number, subject key identifier if stated, SubjectPublicKeyInfo (DER).

    `key_usage` is the first octet of the extension, 0xFF when it is absent.
    """

    issuer: bytes
    serial: int
    ski: bytes | None
    public_key_info: bytes
    key_usage: int

    @property
    def key_identifier(self) -> bytes:
        """The stated identifier, else method (1) of RFC 5280 4.2.1.2."""
        if self.ski is not None:
            return self.ski
        match ber.read_only(self.public_key_info).children():
            case [_, key]:
                # The RFC's method: an identifier, not protection.
                return hashlib.sha1(key.contents[1:], usedforsecurity=False).digest()
            case _:
                raise MalformedCms("public key is unreadable")

    @property
    def issuer_and_serial(self) -> bytes:
        """IssuerAndSerialNumber as DER."""
        return der.element(der.SEQUENCE, self.issuer, der.integer(self.serial))

    def key_algorithm(self) -> tuple[str, bytes]:
        """Dotted name and encoded parameters of the key's algorithm; raises MalformedCms."""
        match ber.read_only(self.public_key_info).children():
            case [algorithm, _]:
                return read_algorithm(algorithm)
            case _:
                raise MalformedCms("public key is unreadable")

    def public_key(self) -> PublicKey:
        """The key; raises UnsupportedAlgorithm when it is of another kind or unreadable.

        An RSA key for one scheme only comes as any other: `key_algorithm` says which.
        """
        oid = self._algorithm()
        try:
            key = load_der_public_key(self._loadable(oid))
        except Exception:  # noqa: BLE001 - the loader raises four kinds on strangers' keys
            raise UnsupportedAlgorithm(oid, "unreadable public key") from None
        if isinstance(key, PublicKey):
            return key
        raise UnsupportedAlgorithm(oid, "unsupported public key")

    def _loadable(self, oid: str) -> bytes:
        if oid not in _RSA_FOR_ONE_SCHEME:
            return self.public_key_info
        key = ber.read_only(self.public_key_info).children()[1]
        return der.element(der.SEQUENCE, _RSA_ENCRYPTION, key.encoding.tobytes())

    def _algorithm(self) -> str:
        algorithm = ber.read_only(self.public_key_info).children()[:1]
        oid = algorithm[0].children()[:1] if algorithm else []
        return ber.object_identifier(oid[0]) if oid else "unknown"


def read_certificate(certificate: bytes) -> CertificateFields:
    """Fields of a DER certificate; raises MalformedCms."""
    match ber.read_only(certificate).expect(der.SEQUENCE).children():
        case [to_be_signed, _, _]:
            fields = to_be_signed.expect(der.SEQUENCE).children()
        case _:
            raise MalformedCms("certificate is not signed")
    if fields and fields[0].tag == _VERSION:
        fields = fields[1:]
    match fields:
        case [serial, _, issuer, _, _, key, *others]:
            extensions = _extensions(others)
        case _:
            raise MalformedCms("certificate lacks fields")
    return CertificateFields(
        issuer.expect(der.SEQUENCE).encoding.tobytes(),
        ber.integer(serial),
        _key_identifier(extensions.get(_SUBJECT_KEY_IDENTIFIER)),
        key.expect(der.SEQUENCE).encoding.tobytes(),
        _key_usage(extensions.get(_KEY_USAGE)),
    )


def _extensions(fields: list[Element]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for field in fields:
        if field.tag != _EXTENSIONS:
            continue
        for sequence in field.children()[:1]:
            for extension in sequence.children():
                oid = extension.contents[: len(_KEY_USAGE)].tobytes()
                if oid in {_SUBJECT_KEY_IDENTIFIER, _KEY_USAGE}:
                    found.setdefault(oid, extension.children()[-1].contents.tobytes())
    return found


def _key_identifier(extension: bytes | None) -> bytes | None:
    return None if extension is None else ber.octet_string(ber.read_only(extension))


def _key_usage(extension: bytes | None) -> int:
    if extension is None:
        return 0xFF
    bits = ber.read_only(extension).expect(der.BIT_STRING).contents
    return bits[1] if len(bits) > 1 else 0
