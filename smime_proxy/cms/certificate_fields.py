"""The few fields of a certificate that CMS refers to; everything else is `certs`' business.

RFC 5280 4.1 and 4.2.1, RFC 5652 10.2.4.
"""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from smime_proxy.cms import ber, der
from smime_proxy.cms.ber import Element
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

KEY_ENCIPHERMENT = 0x20  # bit 2 of keyUsage, RFC 5280 4.2.1.3

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

    def public_key(self) -> PublicKey:
        """The RSA or EC key; raises UnsupportedAlgorithm for every other."""
        try:
            key = load_der_public_key(self.public_key_info)
        except Exception:  # noqa: BLE001 - the loader raises four kinds on strangers' keys
            raise UnsupportedAlgorithm(self._algorithm(), "unreadable public key") from None
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            return key
        raise UnsupportedAlgorithm(self._algorithm(), "unsupported public key")

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
