"""What the DNS says of the certificates of a mailbox, and which certificates it means.

RFC 8162 (SMIMEA), RFC 6698 2 (fields of the record) and 2.1.1 (usages), RFC 7671 5.
"""

import enum
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import MAX_CERTIFICATE_OCTETS, Certificate
from smime_proxy.certs.errors import CertificateError

LABEL = "_smimecert"
HASH_OCTETS = 28  # RFC 8162 3, so that the digest in hexadecimal fits a label


class Usage(enum.IntEnum):
    """What a record says of trust (RFC 6698 2.1.1, RFC 7218 2.1).

    PKIX_TA and PKIX_EE narrow what our anchors vouch for; DANE_TA is an anchor, DANE_EE the very
    certificate, by the word of DNSSEC alone.
    """

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(enum.IntEnum):
    """What of a certificate is meant (RFC 6698 2.1.2)."""

    CERTIFICATE = 0
    PUBLIC_KEY = 1


class Matching(enum.IntEnum):
    """How it is written (RFC 6698 2.1.3)."""

    FULL = 0
    SHA256 = 1
    SHA512 = 2


@dataclass(frozen=True, slots=True)
class Association:
    """One SMIMEA record; `content` is the certificate, its public key, or the digest of one."""

    usage: Usage
    selector: Selector
    matching: Matching
    content: bytes = field(repr=False)

    @classmethod
    def of(
        cls, certificate: Certificate, usage: Usage, selector: Selector, matching: Matching
    ) -> "Association":
        """Make the record that means this certificate; raises `CertificateError`."""
        return cls(usage, selector, matching, _content(certificate, selector, matching))

    def means(self, certificate: Certificate) -> bool:
        """Tell whether the record means this certificate (RFC 6698 2.1)."""
        try:
            return _content(certificate, self.selector, self.matching) == self.content
        except CertificateError:  # a key the library cannot read is nobody's
            return False

    def certificate(self) -> Certificate | None:
        """Give the certificate the record holds; None when it only points at one."""
        if self.selector is not Selector.CERTIFICATE or self.matching is not Matching.FULL:
            return None
        try:
            return Certificate.from_der(self.content)
        except CertificateError:
            return None

    @property
    def text(self) -> str:
        """Give the record as zone files have it (RFC 6698 2.2)."""
        return f"{self.usage:d} {self.selector:d} {self.matching:d} {self.content.hex()}"


def read_association(
    usage: int, selector: int, matching: int, content: bytes
) -> Association | None:
    """Read the fields of a record; None for values nobody here knows, which are passed over."""
    try:
        kinds = Usage(usage), Selector(selector), Matching(matching)
    except ValueError:  # RFC 6698 4.1: unusable, as if it were not there
        return None
    if not 0 < len(content) <= MAX_CERTIFICATE_OCTETS:
        return None
    return Association(*kinds, content)


def owner_name(mailbox: Mailbox) -> str:
    """Give the name of the records of a mailbox, without the last dot (RFC 8162 3).

    Of the local part as written: quotes that only quote are taken off, nothing is folded.
    """
    local = mailbox.local
    if local.startswith('"') and local.endswith('"') and len(local) > 1:
        local = _unquoted(local[1:-1])
    digest = hashlib.sha256(local.encode()).digest()[:HASH_OCTETS]
    return f"{digest.hex()}.{LABEL}.{mailbox.domain}"


def _unquoted(quoted: str) -> str:
    """Take the backslashes of quoted pairs away (RFC 5321 4.1.2)."""
    characters = iter(quoted)
    return "".join(next(characters, "") if one == "\\" else one for one in characters)


def _content(certificate: Certificate, selector: Selector, matching: Matching) -> bytes:
    meant = certificate.der
    if selector is Selector.PUBLIC_KEY:
        meant = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    match matching:
        case Matching.FULL:
            return meant
        case Matching.SHA256:
            return hashlib.sha256(meant).digest()
        case Matching.SHA512:
            return hashlib.sha512(meant).digest()
