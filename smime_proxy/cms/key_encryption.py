"""Key-encryption keys: derived from an agreed secret, they wrap the content-encryption key.

RFC 5753 7.2 (ECC-CMS-SharedInfo), RFC 8418 2 (HKDF), RFC 9629 5 (CMSORIforKEMOtherInfo),
RFC 3394 and RFC 3565 2.3.2 (AES key wrap).
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from smime_proxy.cms import der

_0, _2 = 0xA0, 0xA2  # context specific tags
_BITS_OCTETS = 4  # RFC 5753 7.2: suppPubInfo counts bits in four octets

Derivation = Callable[[HashAlgorithm, bytes, bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """AES key wrap; `length` is that of the key-encryption key in octets."""

    oid: str
    length: int

    @property
    def algorithm(self) -> bytes:
        """AlgorithmIdentifier (DER), parameters absent (RFC 3565 2.3.2)."""
        return der.element(der.SEQUENCE, der.object_identifier(self.oid))

    def wrap(self, kek: bytes, key: bytes) -> bytes:
        """EncryptedKey as OCTET STRING (DER)."""
        return der.element(der.OCTET_STRING, aes_key_wrap(kek, key))


AES128_WRAP = KeyWrap("2.16.840.1.101.3.4.1.5", 16)
AES256_WRAP = KeyWrap("2.16.840.1.101.3.4.1.45", 32)


def wrap_for(key: bytes) -> KeyWrap:
    """No weaker than the key to wrap (RFC 5753 8); of 192 bits few implementations know."""
    return AES128_WRAP if len(key) <= AES128_WRAP.length else AES256_WRAP


def x963(digest: HashAlgorithm, secret: bytes, info: bytes, length: int) -> bytes:
    """ANSI-X9.63-KDF of SEC 1 3.6.1, the one of RFC 5753."""
    return X963KDF(digest, length, info).derive(secret)


def hkdf(digest: HashAlgorithm, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF of RFC 5869 without salt: RFC 8418 2.2 without ukm, RFC 9629 5."""
    return HKDF(digest, length, None, info).derive(secret)


def shared_info(wrap: KeyWrap) -> bytes:
    """ECC-CMS-SharedInfo (DER) without ukm, RFC 5753 7.2."""
    bits = (8 * wrap.length).to_bytes(_BITS_OCTETS)
    supplement = der.element(_2, der.element(der.OCTET_STRING, bits))
    return der.element(der.SEQUENCE, wrap.algorithm, supplement)


def kem_other_info(wrap: KeyWrap) -> bytes:
    """CMSORIforKEMOtherInfo (DER) without ukm, RFC 9629 5."""
    return der.element(der.SEQUENCE, wrap.algorithm, der.integer(wrap.length))
