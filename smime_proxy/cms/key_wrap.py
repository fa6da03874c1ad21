"""Unwraps content keys that a key-encryption key protects.

RFC 3394 and RFC 3565 2.3.2 (AES), RFC 3217 3 (3DES).
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from smime_proxy.cms.algorithms import by_oid
from smime_proxy.cms.errors import DecryptionError

_AES = "2.16.840.1.101.3.4.1."
_BLOCK = 8  # octets of 3DES
# Octets of vector, key and checksum. RFC 3217 wraps 3DES keys alone, which makes 40; OpenSSL 3.0
# and Bouncy Castle 1.72 wrap AES keys with it as well.
_TRIPLE_DES_WRAPPED = range(24, 8 + 64 + 8 + 1, _BLOCK)
_TRIPLE_DES_VECTOR = bytes.fromhex("4adda22c79e82105")  # RFC 3217 3.1
_CHECKSUM = 8  # octets


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """A key wrap algorithm; `unwrap` takes the key-encryption key of `key_length` octets.

    It raises DecryptionError when what comes out is not what went in.
    """

    oid: str
    key_length: int
    unwrap: Callable[[bytes, bytes], bytes]


def _unwrap_aes(key: bytes, wrapped: bytes) -> bytes:
    try:
        return aes_key_unwrap(key, wrapped)
    except (InvalidUnwrap, ValueError):
        raise DecryptionError from None


def _unwrap_triple_des(key: bytes, wrapped: bytes) -> bytes:
    """RFC 3217 3.2; the parity of the octets is not looked at, as many writers do not set it."""
    if len(wrapped) not in _TRIPLE_DES_WRAPPED:
        raise DecryptionError
    inner = _triple_des(key, _TRIPLE_DES_VECTOR, wrapped)[::-1]
    content = _triple_des(key, inner[:8], inner[8:])
    content_key, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    # RFC 3217 2: SHA-1 as it stands there, under encryption.
    wanted = hashlib.sha1(content_key, usedforsecurity=False).digest()[:_CHECKSUM]
    if not hmac.compare_digest(checksum, wanted):
        raise DecryptionError
    return content_key


def _triple_des(key: bytes, vector: bytes, octets: bytes) -> bytes:
    decryptor = Cipher(TripleDES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(octets) + decryptor.finalize()


KEY_WRAPS = by_oid(
    (
        KeyWrap(_AES + "5", 16, _unwrap_aes),
        KeyWrap(_AES + "25", 24, _unwrap_aes),
        KeyWrap(_AES + "45", 32, _unwrap_aes),
        KeyWrap("1.2.840.113549.1.9.16.3.6", 24, _unwrap_triple_des),
    )
)


def key_wrap(oid: str) -> KeyWrap:
    """The algorithm of a dotted name; raises DecryptionError for others."""
    try:
        return KEY_WRAPS[oid]
    except KeyError:
        raise DecryptionError from None
