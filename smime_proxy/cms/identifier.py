"""Whom a signerInfo or a recipientInfo means.

RFC 5652 5.3 (SignerIdentifier), 6.2.1 (RecipientIdentifier), RFC 5280 7.1 (names by value).
"""

from dataclasses import dataclass

from smime_proxy.cms import ber, der, names
from smime_proxy.cms.ber import Element
from smime_proxy.cms.errors import MalformedCms

MAX_KEY_IDENTIFIER = 64  # octets; a digest in practice

_SKI, _SKI_CHUNKED = 0x80, 0xA0  # [0] IMPLICIT OCTET STRING


@dataclass(frozen=True, slots=True)
class Identifier:
    """Issuer (DER) and serial number, or subject key identifier, or nobody."""

    issuer: bytes | None = None
    serial: int | None = None
    ski: bytes | None = None

    def matches(self, issuer: bytes, serial: int, ski: bytes | None) -> bool:
        """Whether it means the certificate with these; issuers compare by value."""
        if self.ski is not None:
            return self.ski == ski
        if self.issuer is None or self.serial != serial:
            return False
        return names.same(self.issuer, issuer)

    @property
    def printable_issuer(self) -> str:
        """RFC 4514 text of the issuer; empty for a key identifier."""
        return "" if self.issuer is None else names.printable(self.issuer)

    @property
    def printable_serial(self) -> str:
        """Serial number in upper case hexadecimal, whole octets, as OpenSSL prints it."""
        if self.serial is None:
            return ""
        digits = f"{abs(self.serial):X}"
        return ("-" if self.serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)

    def __str__(self) -> str:
        if self.ski is not None:
            return f"ski {self.ski.hex()}"
        if self.issuer is not None:
            return f"{self.printable_issuer} serial {self.printable_serial}"
        return ""


def read_identifier(element: Element) -> Identifier:
    """IssuerAndSerialNumber or [0] SubjectKeyIdentifier; raises MalformedCms."""
    if element.tag in {_SKI, _SKI_CHUNKED}:
        return Identifier(ski=key_identifier(b"".join(ber.octets(element))))
    match element.expect(der.SEQUENCE).children():
        case [issuer, serial]:
            return issuer_and_serial(issuer, serial)
        case _:
            raise MalformedCms("neither issuer and serial nor key identifier")


def issuer_and_serial(issuer: Element, serial: Element) -> Identifier:
    """Identifier of the two elements; an issuer of indefinite length becomes DER."""
    name = issuer.expect(der.SEQUENCE)
    encoded = name.encoding.tobytes() if name.definite else ber.to_der(name)
    return Identifier(issuer=encoded, serial=ber.integer(serial))


def key_identifier(octets: bytes) -> bytes:
    """The octets themselves; raises MalformedCms when they are too many."""
    if len(octets) > MAX_KEY_IDENTIFIER:
        raise MalformedCms("key identifier too long")
    return octets
