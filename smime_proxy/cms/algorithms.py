"""The closed table of digests and signature algorithms: what is spoken, how strong, how named.

RFC 3370, RFC 5754 (SHA-2), RFC 5753 (ECDSA), RFC 8551 2; `ciphers` has what encrypts. A name
without an implementation is listed so that reports can say it; an identifier outside the table
goes by its dotted name.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import UnsupportedAlgorithm

MIN_RSA_BITS = 2048  # to sign and to encrypt to; a signature by a shorter key is weak
MIN_WEAK_RSA_BITS = 512  # to decrypt old mail and to verify; below nothing was ever issued
MAX_RSA_BITS = 8192  # RFC 8551 6: oversized keys exhaust verifiers


class Strength(Enum):
    """How far an algorithm is to be trusted."""

    STRONG = "strong"
    WEAK = "weak"
    BROKEN = "broken"


class KeyKind(Enum):
    """Which public keys a signature algorithm works with."""

    RSA = "rsa"
    EC = "ec"


class Hash(Protocol):
    """The part of hashlib's objects that is used here."""

    def update(self, octets: Octets, /) -> None:
        """Take in octets."""

    def digest(self) -> bytes:
        """Return the digest of all octets taken in."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest: `new` starts one, `primitive` names it to the signature primitives."""

    oid: str
    name: str
    strength: Strength
    new: Callable[[], Hash] | None
    primitive: hashes.HashAlgorithm | None

    def of(self, parts: Iterable[Octets]) -> bytes:
        """Digest of the parts one after the other; raises UnsupportedAlgorithm for broken ones."""
        if self.new is None:
            raise UnsupportedAlgorithm(self.oid, "broken digest")
        state = self.new()
        for part in parts:
            state.update(part)
        return state.digest()


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """A signature algorithm; `digest` is empty where the signerInfo's digest is meant.

    `key` is None where the algorithm is known by name only.
    """

    oid: str
    name: str
    key: KeyKind | None
    digest: str = ""


class Named(Protocol):
    """A row of a table, which its dotted name finds."""

    @property
    def oid(self) -> str:
        """Dotted name."""


_T = TypeVar("_T", bound=Named)


def by_oid(rows: Iterable[_T]) -> dict[str, _T]:
    """Rows of a table by their dotted names."""
    return {row.oid: row for row in rows}


_SHA2 = "2.16.840.1.101.3.4.2."
SHA256 = Digest(_SHA2 + "1", "sha256", Strength.STRONG, hashlib.sha256, hashes.SHA256())
SHA384 = Digest(_SHA2 + "2", "sha384", Strength.STRONG, hashlib.sha384, hashes.SHA384())
SHA512 = Digest(_SHA2 + "3", "sha512", Strength.STRONG, hashlib.sha512, hashes.SHA512())
# RFC 8551 2.1 and Appendix B: SHA-1 is historic, MD5 and MD2 are forgeable.
DIGESTS = by_oid(
    (
        SHA256,
        SHA384,
        SHA512,
        Digest(_SHA2 + "4", "sha224", Strength.STRONG, hashlib.sha224, hashes.SHA224()),
        Digest(
            "1.3.14.3.2.26",
            "sha1",
            Strength.WEAK,
            partial(hashlib.sha1, usedforsecurity=False),
            hashes.SHA1(),  # noqa: S303 - recognised so that old mail is judged weak, not unknown
        ),
        Digest("1.2.840.113549.2.5", "md5", Strength.BROKEN, None, None),
        Digest("1.2.840.113549.2.4", "md4", Strength.BROKEN, None, None),
        Digest("1.2.840.113549.2.2", "md2", Strength.BROKEN, None, None),
    )
)
DIGESTS_BY_NAME = {digest.name: digest for digest in DIGESTS.values()}

_PKCS1 = "1.2.840.113549.1.1."
_ECDSA = "1.2.840.10045.4."
RSA_ENCRYPTION = _PKCS1 + "1"
ECDSA_WITH_SHA256 = _ECDSA + "3.2"
ECDSA_WITH_SHA384 = _ECDSA + "3.3"
ECDSA_WITH_SHA512 = _ECDSA + "3.4"
_RSA_DIGESTS = (
    (RSA_ENCRYPTION, ""),
    (_PKCS1 + "2", "md2"),
    (_PKCS1 + "4", "md5"),
    (_PKCS1 + "5", "sha1"),
    ("1.3.14.3.2.29", "sha1"),
    (_PKCS1 + "14", "sha224"),
    (_PKCS1 + "11", "sha256"),
    (_PKCS1 + "12", "sha384"),
    (_PKCS1 + "13", "sha512"),
)
_EC_DIGESTS = (
    ("1.2.840.10045.2.1", ""),  # id-ecPublicKey, written by some signers
    (_ECDSA + "1", "sha1"),
    (_ECDSA + "3.1", "sha224"),
    (ECDSA_WITH_SHA256, "sha256"),
    (ECDSA_WITH_SHA384, "sha384"),
    (ECDSA_WITH_SHA512, "sha512"),
)
SIGNATURES = by_oid(
    (
        *(SignatureAlgorithm(o, "rsassa_pkcs1v15", KeyKind.RSA, d) for o, d in _RSA_DIGESTS),
        *(SignatureAlgorithm(o, "ecdsa", KeyKind.EC, d) for o, d in _EC_DIGESTS),
        SignatureAlgorithm(_PKCS1 + "10", "rsassa_pss", None),
        SignatureAlgorithm("1.2.840.10040.4.1", "dsa", None),
        SignatureAlgorithm("1.2.840.10040.4.3", "dsa", None),
        SignatureAlgorithm("2.16.840.1.101.3.4.3.2", "dsa", None),
        SignatureAlgorithm("1.3.101.112", "ed25519", None),
        SignatureAlgorithm("1.3.101.113", "ed448", None),
    )
)

# RFC 5754 3.3 and RFC 5480: each curve with the digest of its size.
CURVE_SIGNATURES: dict[type[ec.EllipticCurve], tuple[Digest, str]] = {
    ec.SECP256R1: (SHA256, ECDSA_WITH_SHA256),
    ec.SECP384R1: (SHA384, ECDSA_WITH_SHA384),
    ec.SECP521R1: (SHA512, ECDSA_WITH_SHA512),
}


def digest_name(oid: str) -> str:
    """Name for reports; the dotted one outside the table."""
    row = DIGESTS.get(oid)
    return row.name if row else oid


def signature_name(oid: str) -> str:
    """Name for reports; the dotted one outside the table."""
    row = SIGNATURES.get(oid)
    return row.name if row else oid
