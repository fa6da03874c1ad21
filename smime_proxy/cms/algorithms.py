"""The closed table of digests and signature algorithms: what is spoken, how strong, how named.

RFC 3370, RFC 5754 (SHA-2), RFC 8702 (SHAKE), RFC 5753 (ECDSA), RFC 4056 (RSASSA-PSS), RFC 8419
(EdDSA), RFC 9882 (ML-DSA), RFC 8551 2; `ciphers` has what encrypts. A name without an
implementation is listed so that reports can say it; an identifier outside the table goes by
its dotted name.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from smime_proxy.cms import der
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
    DSA = "dsa"
    ED25519 = "ed25519"
    ED448 = "ed448"
    ML_DSA_44 = "mldsa44"
    ML_DSA_65 = "mldsa65"
    ML_DSA_87 = "mldsa87"

    @property
    def signs_octets(self) -> bool:
        """Whether the octets themselves are signed and not their digest (RFC 8419, RFC 9882)."""
        return self not in {KeyKind.RSA, KeyKind.EC, KeyKind.DSA}


class Hash(Protocol):
    """The part of hashlib's objects that is used here."""

    def update(self, octets: Octets, /) -> None:
        """Take in octets."""

    def digest(self) -> bytes:
        """Return the digest of all octets taken in."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest: `new` starts one, `primitive` names it to the signature primitives.

    `parameters` are the encoded ones that must stand in the AlgorithmIdentifier, if any.
    """

    oid: str
    name: str
    strength: Strength
    new: Callable[[], Hash] | None
    primitive: hashes.HashAlgorithm | None
    parameters: bytes = b""

    def of(self, parts: Iterable[Octets]) -> bytes:
        """Digest of the parts one after the other; raises UnsupportedAlgorithm for broken ones."""
        if self.new is None:
            raise UnsupportedAlgorithm(self.oid, "broken digest")
        state = self.new()
        for part in parts:
            state.update(part)
        return state.digest()


class _Extendable(Protocol):
    """The part of hashlib's SHAKE objects that is used here."""

    def update(self, octets: Octets, /) -> None: ...

    def digest(self, length: int, /) -> bytes: ...


class _Shake:
    """A SHAKE that ends at a fixed length, as CMS uses it (RFC 8702 3.1)."""

    __slots__ = ("_length", "_state")

    def __init__(self, new: Callable[[], "_Extendable"], length: int) -> None:
        self._state = new()
        self._length = length

    def update(self, octets: Octets, /) -> None:
        self._state.update(octets)

    def digest(self) -> bytes:
        return self._state.digest(self._length)


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
SHA1 = Digest(
    "1.3.14.3.2.26",
    "sha1",
    Strength.WEAK,
    partial(hashlib.sha1, usedforsecurity=False),
    hashes.SHA1(),  # noqa: S303 - recognised so that old mail is judged weak, not unknown
)


def _sha3(last: int, bits: int, primitive: hashes.HashAlgorithm) -> Digest:
    new = partial(hashlib.new, f"sha3_{bits}")
    return Digest(f"{_SHA2}{last}", f"sha3_{bits}", Strength.STRONG, new, primitive)


def _shake(last: int, bits: int, parameters: bytes = b"") -> Digest:
    """SHAKE of twice its security strength in output (RFC 8702 3.1)."""
    octets = bits // 4
    new = partial(_Shake, hashlib.shake_128 if bits == 128 else hashlib.shake_256, octets)  # noqa: PLR2004 - its name
    primitive = hashes.SHAKE128(octets) if bits == 128 else hashes.SHAKE256(octets)  # noqa: PLR2004 - same
    return Digest(f"{_SHA2}{last}", f"shake{bits}", Strength.STRONG, new, primitive, parameters)


# RFC 8419 3.1: Ed448 wants this one, which says its length in bits.
SHAKE256_LEN = _shake(18, 256, der.integer(512))
# RFC 8551 2.1 and Appendix B: SHA-1 is historic, MD5 and MD2 are forgeable.
DIGESTS = by_oid(
    (
        SHA256,
        SHA384,
        SHA512,
        Digest(_SHA2 + "4", "sha224", Strength.STRONG, hashlib.sha224, hashes.SHA224()),
        _sha3(7, 224, hashes.SHA3_224()),
        _sha3(8, 256, hashes.SHA3_256()),
        _sha3(9, 384, hashes.SHA3_384()),
        _sha3(10, 512, hashes.SHA3_512()),
        _shake(17, 128, der.integer(256)),
        SHAKE256_LEN,
        _shake(11, 128),
        _shake(12, 256),
        SHA1,
        Digest("1.2.840.113549.2.5", "md5", Strength.BROKEN, None, None),
        Digest("1.2.840.113549.2.4", "md4", Strength.BROKEN, None, None),
        Digest("1.2.840.113549.2.2", "md2", Strength.BROKEN, None, None),
    )
)
DIGESTS_BY_NAME = {digest.name: digest for digest in DIGESTS.values()}

_PKCS1 = "1.2.840.113549.1.1."
_ECDSA = "1.2.840.10045.4."
_NIST_SIGNATURES = "2.16.840.1.101.3.4.3."
RSA_ENCRYPTION = _PKCS1 + "1"
RSASSA_PSS = _PKCS1 + "10"
MGF1 = _PKCS1 + "8"  # the one mask of OAEP and RSASSA-PSS, RFC 8017 B.2.1
ECDSA_WITH_SHA256 = _ECDSA + "3.2"
ECDSA_WITH_SHA384 = _ECDSA + "3.3"
ECDSA_WITH_SHA512 = _ECDSA + "3.4"
ED25519 = "1.3.101.112"
ED448 = "1.3.101.113"
ML_DSA_44 = _NIST_SIGNATURES + "17"
ML_DSA_65 = _NIST_SIGNATURES + "18"
ML_DSA_87 = _NIST_SIGNATURES + "19"
_RSA_DIGESTS = (
    (RSA_ENCRYPTION, ""),
    (_PKCS1 + "2", "md2"),
    (_PKCS1 + "3", "md4"),
    (_PKCS1 + "4", "md5"),
    (_PKCS1 + "5", "sha1"),
    ("1.3.14.3.2.29", "sha1"),
    (_PKCS1 + "14", "sha224"),
    (_PKCS1 + "11", "sha256"),
    (_PKCS1 + "12", "sha384"),
    (_PKCS1 + "13", "sha512"),
    (_NIST_SIGNATURES + "13", "sha3_224"),
    (_NIST_SIGNATURES + "14", "sha3_256"),
    (_NIST_SIGNATURES + "15", "sha3_384"),
    (_NIST_SIGNATURES + "16", "sha3_512"),
)
_EC_DIGESTS = (
    ("1.2.840.10045.2.1", ""),  # id-ecPublicKey, written by some signers
    (_ECDSA + "1", "sha1"),
    (_ECDSA + "3.1", "sha224"),
    (ECDSA_WITH_SHA256, "sha256"),
    (ECDSA_WITH_SHA384, "sha384"),
    (ECDSA_WITH_SHA512, "sha512"),
    (_NIST_SIGNATURES + "9", "sha3_224"),
    (_NIST_SIGNATURES + "10", "sha3_256"),
    (_NIST_SIGNATURES + "11", "sha3_384"),
    (_NIST_SIGNATURES + "12", "sha3_512"),
    ("1.3.6.1.5.5.7.6.32", "shake128"),  # RFC 8702 2
    ("1.3.6.1.5.5.7.6.33", "shake256"),
)
_DSA_DIGESTS = (
    ("1.2.840.10040.4.1", ""),  # id-dsa, as old signers write it
    ("1.2.840.10040.4.3", "sha1"),
    ("1.3.14.3.2.27", "sha1"),  # dsaWithSHA1 of OIW
    (_NIST_SIGNATURES + "1", "sha224"),
    (_NIST_SIGNATURES + "2", "sha256"),
    (_NIST_SIGNATURES + "3", "sha384"),
    (_NIST_SIGNATURES + "4", "sha512"),
)
SIGNATURES = by_oid(
    (
        *(SignatureAlgorithm(o, "rsassa_pkcs1v15", KeyKind.RSA, d) for o, d in _RSA_DIGESTS),
        *(SignatureAlgorithm(o, "ecdsa", KeyKind.EC, d) for o, d in _EC_DIGESTS),
        *(SignatureAlgorithm(o, "dsa", KeyKind.DSA, d) for o, d in _DSA_DIGESTS),
        SignatureAlgorithm(RSASSA_PSS, "rsassa_pss", KeyKind.RSA),
        # RFC 8702 2: SHAKE is the mask too, which the primitives do not offer.
        SignatureAlgorithm("1.3.6.1.5.5.7.6.30", "rsassa_pss", None),
        SignatureAlgorithm("1.3.6.1.5.5.7.6.31", "rsassa_pss", None),
        SignatureAlgorithm(ED25519, "ed25519", KeyKind.ED25519),
        SignatureAlgorithm(ED448, "ed448", KeyKind.ED448),
        SignatureAlgorithm(ML_DSA_44, "mldsa44", KeyKind.ML_DSA_44),
        SignatureAlgorithm(ML_DSA_65, "mldsa65", KeyKind.ML_DSA_65),
        SignatureAlgorithm(ML_DSA_87, "mldsa87", KeyKind.ML_DSA_87),
    )
)

# RFC 5754 3.3, RFC 5480 4: each curve with the digest of its size; RFC 5639 for brainpool.
CURVE_SIGNATURES: dict[type[ec.EllipticCurve], tuple[Digest, str]] = {
    ec.SECP256R1: (SHA256, ECDSA_WITH_SHA256),
    ec.SECP384R1: (SHA384, ECDSA_WITH_SHA384),
    ec.SECP521R1: (SHA512, ECDSA_WITH_SHA512),
    ec.BrainpoolP256R1: (SHA256, ECDSA_WITH_SHA256),
    ec.BrainpoolP384R1: (SHA384, ECDSA_WITH_SHA384),
    ec.BrainpoolP512R1: (SHA512, ECDSA_WITH_SHA512),
}
WEAK_CURVES: frozenset[type[ec.EllipticCurve]] = frozenset((ec.SECP224R1, ec.SECP192R1))


def read_digest(oid: str, parameters: bytes) -> Digest | None:
    """The digest of an AlgorithmIdentifier, parameters encoded; None outside the table."""
    row = DIGESTS.get(oid)
    return row if row is None or not row.parameters or row.parameters == parameters else None


def digest_name(oid: str) -> str:
    """Name for reports; the dotted one outside the table."""
    row = DIGESTS.get(oid)
    return row.name if row else oid


def signature_name(oid: str) -> str:
    """Name for reports; the dotted one outside the table."""
    row = SIGNATURES.get(oid)
    return row.name if row else oid
