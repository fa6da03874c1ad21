"""The closed table of content ciphers and key transports: how long, how strong, how named.

RFC 3370 (3DES, RC2), RFC 3565 (AES-CBC), RFC 5084 (AES-GCM and -CCM), RFC 8103 (ChaCha20), RFC
8551 2.7. A name without an implementation is listed so that reports can say it; an identifier
outside the table goes by its dotted name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from smime_proxy.cms.algorithms import RSA_ENCRYPTION, Strength, by_oid


class Mode(Enum):
    """How a content cipher runs over the content."""

    CBC = "cbc"
    RC2_CBC = "rc2_cbc"  # its parameters say how strong the key is
    GCM = "gcm"
    CCM = "ccm"
    CHACHA20_POLY1305 = "chacha20_poly1305"


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """A content cipher, lengths in octets; `mode` is None where known by name only.

    `algorithm` makes the block cipher of the modes CBC, GCM and CCM from a key. RC2 has keys of
    several lengths, so its `key_length` is 0.
    """

    oid: str
    name: str
    strength: Strength
    mode: Mode | None = None
    key_length: int = 0
    block_length: int = 0
    algorithm: Callable[[bytes], BlockCipherAlgorithm] | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether a tag protects the content (RFC 5083)."""
        return self.mode in _AUTHENTICATED


@dataclass(frozen=True, slots=True)
class KeyTransport:
    """A way to encrypt the CEK for an RSA key."""

    oid: str
    name: str


_AUTHENTICATED = frozenset({Mode.GCM, Mode.CCM, Mode.CHACHA20_POLY1305})
_AES = "2.16.840.1.101.3.4.1."
_S, _W = Strength.STRONG, Strength.WEAK
AES256_CBC = ContentCipher(_AES + "42", "aes256_cbc", _S, Mode.CBC, 32, 16, AES)
AES192_CBC = ContentCipher(_AES + "22", "aes192_cbc", _S, Mode.CBC, 24, 16, AES)
AES128_CBC = ContentCipher(_AES + "2", "aes128_cbc", _S, Mode.CBC, 16, 16, AES)
AES256_GCM = ContentCipher(_AES + "46", "aes256_gcm", _S, Mode.GCM, 32, 16, AES)
AES192_GCM = ContentCipher(_AES + "26", "aes192_gcm", _S, Mode.GCM, 24, 16, AES)
AES128_GCM = ContentCipher(_AES + "6", "aes128_gcm", _S, Mode.GCM, 16, 16, AES)
CHACHA20_POLY1305 = ContentCipher(
    "1.2.840.113549.1.9.16.3.18", "chacha20_poly1305", _S, Mode.CHACHA20_POLY1305, 32
)
TRIPLE_DES = ContentCipher("1.2.840.113549.3.7", "tripledes_3key", _W, Mode.CBC, 24, 8, TripleDES)
RC2 = ContentCipher("1.2.840.113549.3.2", "rc2", _W, Mode.RC2_CBC, 0, 8)
CIPHERS = by_oid(
    (
        AES256_CBC,
        AES192_CBC,
        AES128_CBC,
        AES256_GCM,
        AES192_GCM,
        AES128_GCM,
        ContentCipher(_AES + "47", "aes256_ccm", _S, Mode.CCM, 32, 16, AES),
        ContentCipher(_AES + "27", "aes192_ccm", _S, Mode.CCM, 24, 16, AES),
        ContentCipher(_AES + "7", "aes128_ccm", _S, Mode.CCM, 16, 16, AES),
        CHACHA20_POLY1305,
        TRIPLE_DES,
        RC2,
        ContentCipher("1.2.840.113549.3.4", "rc4", _W),
        ContentCipher("1.3.14.3.2.7", "des", _W),
    )
)
CIPHERS_BY_NAME = {cipher.name: cipher for cipher in CIPHERS.values()}

RSAES_PKCS1V15 = KeyTransport(RSA_ENCRYPTION, "rsaes_pkcs1v15")
RSAES_OAEP = KeyTransport("1.2.840.113549.1.1.7", "rsaes_oaep")
KEY_TRANSPORTS = by_oid((RSAES_PKCS1V15, RSAES_OAEP))


def cipher_name(oid: str) -> str:
    """Name for reports; the dotted one outside the table."""
    row = CIPHERS.get(oid)
    return row.name if row else oid


def cipher_strength(name: str) -> Strength:
    """Strength of a content cipher by its report name; unknown ones are WEAK."""
    row = CIPHERS_BY_NAME.get(name)
    return row.strength if row else Strength.WEAK
