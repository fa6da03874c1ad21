"""Which kinds of keys mail uses, what kind a certificate has, and whether it is strong enough.

RFC 8550 4.1 (key sizes), RFC 8551 6 (oversized keys), RFC 5480 and RFC 5639 (curves), RFC 8410
(Edwards and Montgomery curves), RFC 9881 (ML-DSA), RFC 9935 (ML-KEM).
"""

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
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
    | mlkem.MLKEM768PrivateKey
    | mlkem.MLKEM1024PrivateKey
)

MIN_RSA_BITS = 2048  # RFC 8550 4.1: shorter is historic
MAX_RSA_BITS = 8192  # RFC 8551 6: oversized keys exhaust whoever verifies
MIN_CURVE_BITS = 256  # RFC 8550 4.3: P-256 is the smallest required
# RFC 8551 2.2 and RFC 5753; RFC 5639 for brainpool.
USABLE_CURVES = frozenset(
    {
        *("secp256r1", "secp384r1", "secp521r1"),
        *("brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"),
    }
)
MAX_EXPONENT_BITS = 64  # 65537 everywhere; a modulus-sized one costs a verifier as much as signing


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """Type of key (`rsa`, `ec`, `ed25519` ...), its size in bits, curve name or ``""``.

    The size is 0 where the type says all, as `mldsa65` does.
    """

    kind: str
    size: int
    curve: str = ""
    exponent_bits: int = 0


NO_KEY = KeyFacts("unknown", 0)
_FIXED_KINDS: tuple[tuple[type, KeyFacts], ...] = (
    (ed25519.Ed25519PublicKey, KeyFacts("ed25519", 256)),
    (ed448.Ed448PublicKey, KeyFacts("ed448", 456)),
    (x25519.X25519PublicKey, KeyFacts("x25519", 256)),
    (x448.X448PublicKey, KeyFacts("x448", 448)),
    (mldsa.MLDSA44PublicKey, KeyFacts("mldsa44", 0)),
    (mldsa.MLDSA65PublicKey, KeyFacts("mldsa65", 0)),
    (mldsa.MLDSA87PublicKey, KeyFacts("mldsa87", 0)),
    (mlkem.MLKEM768PublicKey, KeyFacts("mlkem768", 0)),
    (mlkem.MLKEM1024PublicKey, KeyFacts("mlkem1024", 0)),
)


def key_facts(key: CertificatePublicKeyTypes) -> KeyFacts:
    """Describe a public key; `NO_KEY` for types without a name here."""
    if isinstance(key, rsa.RSAPublicKey):
        return KeyFacts("rsa", key.key_size, "", key.public_numbers().e.bit_length())
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyFacts("ec", key.key_size, key.curve.name)
    if isinstance(key, dsa.DSAPublicKey):
        return KeyFacts("dsa", key.key_size)
    return next((facts for kind, facts in _FIXED_KINDS if isinstance(key, kind)), NO_KEY)


def weakness_of_key(key: KeyFacts) -> str:
    """Say why a key is not to be relied on, or ``""`` (RFC 8550 4.1)."""
    match key.kind:
        case "rsa" if key.size < MIN_RSA_BITS:
            return f"RSA key of {key.size} bits, under {MIN_RSA_BITS}"
        case "rsa" if key.size > MAX_RSA_BITS:
            return f"RSA key of {key.size} bits, over {MAX_RSA_BITS}"
        case "rsa" if key.exponent_bits > MAX_EXPONENT_BITS:
            return f"RSA key with a public exponent of {key.exponent_bits} bits"
        case "ec" if key.size < MIN_CURVE_BITS:
            return f"key on {key.curve}, under {MIN_CURVE_BITS} bits"
        case "dsa":
            return "DSA key"
        case _:
            return ""
