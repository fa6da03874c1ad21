"""Encrypts content, piece by piece, with every cipher that is ever written.

RFC 5652 6.3 and RFC 3565 (AES-CBC), RFC 5084 (AES-GCM), RFC 8103 (ChaCha20-Poly1305).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from smime_proxy.cms import ciphers, der
from smime_proxy.cms.chunks import chunks
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import UnsupportedAlgorithm

_BLOCK = 16  # octets of AES
_NONCE = 12  # octets; RFC 5084 3.2 recommends, RFC 8103 2.1 prescribes them
_TAG = 16  # octets; the full length of both

Encrypt = Callable[[bytes, bytes, Sequence[Octets]], Generator[Octets, None, bytes]]


@dataclass(frozen=True, slots=True)
class ContentEncryption:
    """A cipher to write with; lengths in octets.

    `encrypt` takes key, vector and content, yields the ciphertext and returns the
    authentication tag, empty where there is none. `parameters` encodes the vector.
    """

    cipher: ContentCipher
    vector_length: int
    parameters: Callable[[bytes], bytes]
    encrypt: Encrypt
    tag_length: int = 0

    def algorithm(self, vector: bytes) -> bytes:
        """ContentEncryptionAlgorithmIdentifier (DER)."""
        name = der.object_identifier(self.cipher.oid)
        return der.element(der.SEQUENCE, name, self.parameters(vector))

    def ciphertext_length(self, content: int) -> int:
        """Octets of ciphertext for so many of content."""
        return content if self.tag_length else content + _BLOCK - content % _BLOCK


def encryption_named(name: str) -> ContentEncryption:
    """The cipher of a report name such as `aes256_gcm`; raises UnsupportedAlgorithm."""
    row = _ROWS.get(name)
    if row is None:
        raise UnsupportedAlgorithm(name, "no cipher to encrypt with")
    return row


def _octet_string(vector: bytes) -> bytes:
    return der.element(der.OCTET_STRING, vector)


def _gcm_parameters(nonce: bytes) -> bytes:
    # The tag length is stated because its default is 12 (RFC 5084 3.2).
    return der.element(der.SEQUENCE, _octet_string(nonce), der.integer(_TAG))


def _cbc(key: bytes, vector: bytes, parts: Sequence[Octets]) -> Generator[Octets, None, bytes]:
    encryptor = Cipher(AES(key), modes.CBC(vector)).encryptor()
    for chunk in chunks(parts):
        yield encryptor.update(chunk)
    pad = _BLOCK - der.size(parts) % _BLOCK
    yield encryptor.update(bytes((pad,)) * pad) + encryptor.finalize()
    return b""


def _gcm(key: bytes, nonce: bytes, parts: Sequence[Octets]) -> Generator[Octets, None, bytes]:
    encryptor = Cipher(AES(key), modes.GCM(nonce)).encryptor()
    for chunk in chunks(parts):
        yield encryptor.update(chunk)
    yield encryptor.finalize()
    return encryptor.tag


def _chacha20_poly1305(
    key: bytes, nonce: bytes, parts: Sequence[Octets]
) -> Generator[Octets, None, bytes]:
    # The library encrypts the whole at once, so the ciphertext is held besides the result.
    content = parts[0] if len(parts) == 1 else b"".join(parts)
    sealed = memoryview(ChaCha20Poly1305(key).encrypt(nonce, content, None))
    yield from chunks((sealed[:-_TAG],))
    return sealed[-_TAG:].tobytes()


def _row(cipher: ContentCipher) -> ContentEncryption:
    match cipher.mode:
        case Mode.GCM:
            return ContentEncryption(cipher, _NONCE, _gcm_parameters, _gcm, _TAG)
        case Mode.CHACHA20_POLY1305:
            return ContentEncryption(cipher, _NONCE, _octet_string, _chacha20_poly1305, _TAG)
        case _:
            return ContentEncryption(cipher, _BLOCK, _octet_string, _cbc)


_ROWS = {
    cipher.name: _row(cipher)
    for cipher in (
        ciphers.AES256_CBC,
        ciphers.AES192_CBC,
        ciphers.AES128_CBC,
        ciphers.AES256_GCM,
        ciphers.AES192_GCM,
        ciphers.AES128_GCM,
        ciphers.CHACHA20_POLY1305,
    )
}
