"""The algorithms policy speaks of, under the names that reports and `inspect` print.

RFC 8017 7 and 8 (RSA schemes), RFC 3565 and RFC 5084 (AES-CBC, AES-GCM), RFC 8103 (ChaCha20),
RFC 9788 (header protection).
"""

from enum import Enum


class Signature(Enum):
    """The signature scheme of RSA keys; other keys have only one."""

    RSASSA_PKCS1V15 = "rsassa_pkcs1v15"
    RSASSA_PSS = "rsassa_pss"


class KeyTransport(Enum):
    """How RSA keys transport the content-encryption key; other keys have their own way."""

    RSAES_PKCS1V15 = "rsaes_pkcs1v15"
    RSAES_OAEP = "rsaes_oaep"


class ContentEncryption(Enum):
    """How content is encrypted."""

    AES256_CBC = "aes256_cbc"
    AES192_CBC = "aes192_cbc"
    AES128_CBC = "aes128_cbc"
    AES256_GCM = "aes256_gcm"
    AES192_GCM = "aes192_gcm"
    AES128_GCM = "aes128_gcm"
    CHACHA20_POLY1305 = "chacha20_poly1305"

    @property
    def strength(self) -> tuple[bool, int]:
        """Give whether it is authenticated and the bits of its key; both count, each by itself."""
        return self in _AUTHENTICATED, _KEY_BITS[self]

    def is_at_least(self, other: "ContentEncryption") -> bool:
        """Tell whether it is weaker than another in nothing."""
        pairs = zip(self.strength, other.strength, strict=True)
        return all(mine >= its for mine, its in pairs)


class HeaderProtection(Enum):
    """Whether header fields are protected with the content (RFC 9788)."""

    OFF = "off"
    BASELINE = "baseline"  # hp="clear" when signed, hp="cipher" with hcp_baseline when encrypted


_KEY_BITS = {
    ContentEncryption.AES256_CBC: 256,
    ContentEncryption.AES192_CBC: 192,
    ContentEncryption.AES128_CBC: 128,
    ContentEncryption.AES256_GCM: 256,
    ContentEncryption.AES192_GCM: 192,
    ContentEncryption.AES128_GCM: 128,
    ContentEncryption.CHACHA20_POLY1305: 256,
}
_AUTHENTICATED = frozenset(
    {
        ContentEncryption.AES256_GCM,
        ContentEncryption.AES192_GCM,
        ContentEncryption.AES128_GCM,
        ContentEncryption.CHACHA20_POLY1305,
    }
)
