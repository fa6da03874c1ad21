"""Opens content that a block cipher in CBC mode encrypted: AES, 3DES, RC2.

RFC 5652 6.3 (padding), RFC 3370 5 (3DES, RC2), RFC 3565 (AES-CBC), RFC 2268 6 (RC2 parameters).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, modes

from smime_proxy.cms import ber, der
from smime_proxy.cms.chunks import chunks, room, tail
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.rc2 import Rc2Cbc

MAX_RC2_OCTETS = 8 * 1024**2  # a second of work; mail of its time was below one megabyte

# RFC 3370 5.2, RFC 8551 Appendix B: rc2ParameterVersion and effective bits of the key.
_RC2_BITS = {160: 40, 120: 64, 58: 128}
_RC2_BITS_WITHOUT_VERSION = 32  # RFC 2268 6
_RC2_FULL_KEY = 16  # octets; some writers make keys of 128 bits of which fewer are effective


class BlockDecryptor(Protocol):
    """The part of a cipher context that is used here."""

    def update(self, octets: Octets, /) -> bytes:
        """Content of the blocks these octets complete."""


@dataclass(frozen=True, slots=True)
class CbcContent:
    """Ciphertext with what opening it takes besides the key; lengths in octets.

    `key_lengths` are those a content key may have, the usual one first.
    """

    ciphertext: Sequence[Octets]
    vector: bytes
    block_length: int
    key_lengths: tuple[int, ...]
    start: Callable[[bytes, bytes], BlockDecryptor]  # with key and vector

    def open(self, keys: Sequence[bytes]) -> bytes:
        """The content without padding; raises DecryptionError when no key fits.

        The last block tells the fitting key, so that the whole is decrypted once, and always.
        """
        pads = [(self._pad_length(key), key) for key in keys]
        pad, key = next((found for found in pads if found[0]), pads[0])
        decryptor = self.start(key, self.vector)
        content = room(der.size(self.ciphertext))
        for chunk in chunks(self.ciphertext):
            content.write(decryptor.update(chunk))
        if not pad:
            raise DecryptionError
        content.truncate(content.tell() - pad)
        return content.getvalue()

    def _pad_length(self, key: bytes) -> int:
        """Octets of padding at the end of the content (RFC 5652 6.3); 0 when there is none."""
        last = tail(self.ciphertext, 2 * self.block_length)
        vector = self.vector
        if len(last) > self.block_length:
            vector, last = last[: self.block_length], last[self.block_length :]
        block = self.start(key, vector).update(last)
        pad = block[-1]
        fits = 0 < pad <= self.block_length and block.endswith(bytes((pad,)) * pad)
        return pad if fits else 0


def cbc_content(
    cipher: ContentCipher, parameters: bytes, ciphertext: Sequence[Octets]
) -> CbcContent:
    """Ciphertext that is whole blocks, its parameters read; raises DecryptionError."""
    try:
        if cipher.mode is Mode.RC2_CBC:
            vector, bits = _rc2_parameters(parameters)
            start: Callable[[bytes, bytes], BlockDecryptor] = partial(_start_rc2, bits)
            key_lengths: tuple[int, ...] = (bits // 8, _RC2_FULL_KEY)
        else:
            vector = ber.octet_string(ber.read_only(parameters))
            start = partial(_start, cipher)
            key_lengths = (cipher.key_length,)
    except CmsError:
        raise DecryptionError from None
    length = der.size(ciphertext)
    if len(vector) != cipher.block_length or not length or length % cipher.block_length:
        raise DecryptionError
    if cipher.mode is Mode.RC2_CBC and length > MAX_RC2_OCTETS:
        raise DecryptionError
    return CbcContent(ciphertext, vector, cipher.block_length, key_lengths, start)


def _rc2_parameters(parameters: bytes) -> tuple[bytes, int]:
    """Initialisation vector and effective bits of the key."""
    element = ber.read_only(parameters)
    if element.tag != der.SEQUENCE:
        return ber.octet_string(element), _RC2_BITS_WITHOUT_VERSION
    match element.children():
        case [version, vector]:
            bits = _RC2_BITS.get(ber.integer(version), 0)
        case _:
            raise DecryptionError
    if not bits:
        raise DecryptionError
    return ber.octet_string(vector), bits


def _start_rc2(bits: int, key: bytes, vector: bytes) -> BlockDecryptor:
    return Rc2Cbc(key, bits, vector)


def _start(cipher: ContentCipher, key: bytes, vector: bytes) -> BlockDecryptor:
    if cipher.algorithm is None:
        raise DecryptionError
    return Cipher(cipher.algorithm(key), modes.CBC(vector)).decryptor()
