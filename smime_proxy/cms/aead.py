"""Opens content whose tag says that nobody changed it; nothing is released before the tag holds.

RFC 5083 (AuthEnvelopedData), RFC 5084 (AES-GCM and -CCM), RFC 8103 (ChaCha20-Poly1305).
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from smime_proxy.cms import ber, der
from smime_proxy.cms.chunks import chunks, tail, without_tail
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import CmsError, DecryptionError

_DEFAULT_TAG = 12  # octets, RFC 5084 3.1 and 3.2: aes-ICVlen DEFAULT 12
_CHACHA_NONCE, _CHACHA_TAG = 12, 16  # octets, RFC 8103 1.1
# Octets of a nonce: RFC 5084 3.1 allows any for CCM from 7 to 13; longer ones than the library's
# 128 have overflowed buffers elsewhere (CVE-2025-15467).
_NONCES = {Mode.GCM: range(8, 129), Mode.CCM: range(7, 14)}
_TAGS = {Mode.GCM: range(12, 17), Mode.CCM: range(4, 17, 2)}


@dataclass(frozen=True, slots=True)
class AeadContent:
    """Ciphertext, its tag and what else the tag covers; lengths in octets."""

    ciphertext: Sequence[Octets]
    nonce: bytes
    tag: bytes
    covered: bytes = field(repr=False)
    key_lengths: tuple[int, ...]
    unseal: Callable[["AeadContent", bytes], bytes]  # raises InvalidTag, ValueError, OverflowError

    def open(self, keys: Sequence[bytes]) -> bytes:
        """The content under the first key whose tag holds; raises DecryptionError."""
        for key in keys:
            try:
                return self.unseal(self, key)
            except (InvalidTag, ValueError, OverflowError):
                continue
        raise DecryptionError


def aead_content(
    cipher: ContentCipher,
    parameters: bytes,
    ciphertext: Sequence[Octets],
    mac: bytes | None,
    covered: bytes,
) -> AeadContent:
    """Ciphertext with its parameters read; raises DecryptionError.

    `covered` are the authenticated attributes as the tag covers them. Without `mac` the tag is
    behind the ciphertext: so BouncyCastle writes EnvelopedData with GCM (bc-java 1838).
    """
    try:
        nonce, length = _parameters(cipher.mode, parameters)
    except CmsError:
        raise DecryptionError from None
    if mac is None:
        length = length or _DEFAULT_TAG
        mac, ciphertext = tail(ciphertext, length), without_tail(ciphertext, length)
    # Some writers leave the length out and send all 16 octets.
    if len(mac) not in _tags(cipher.mode) or len(mac) != (length or len(mac)):
        raise DecryptionError
    unseal = _UNSEAL.get(cipher.mode) if cipher.mode else None
    if unseal is None:
        raise DecryptionError
    return AeadContent(ciphertext, nonce, mac, covered, (cipher.key_length,), unseal)


def _tags(mode: Mode | None) -> Sequence[int]:
    return _TAGS.get(mode, (_CHACHA_TAG,)) if mode else ()


def _parameters(mode: Mode | None, parameters: bytes) -> tuple[bytes, int]:
    """Nonce and length of the tag, 0 where it is not stated."""
    element = ber.read_only(parameters)
    if mode is Mode.CHACHA20_POLY1305:
        nonce, length, lengths = ber.octet_string(element), _CHACHA_TAG, range(12, 13)
    else:
        fields = element.expect(der.SEQUENCE).children()
        match fields:
            case [first]:
                nonce, length = ber.octet_string(first), 0
            case [first, second]:
                nonce, length = ber.octet_string(first), ber.integer(second)
            case _:
                raise DecryptionError
        lengths = _NONCES[mode] if mode else range(0)
    if len(nonce) not in lengths:
        raise DecryptionError
    return nonce, length


def _unseal_gcm(content: AeadContent, key: bytes) -> bytes:
    mode = modes.GCM(content.nonce, None, min_tag_length=len(content.tag))
    decryptor = Cipher(AES(key), mode).decryptor()
    decryptor.authenticate_additional_data(content.covered)
    plain = io.BytesIO()
    for chunk in chunks(content.ciphertext):
        plain.write(decryptor.update(chunk))
    plain.write(decryptor.finalize_with_tag(content.tag))
    return plain.getvalue()


def _unseal_ccm(content: AeadContent, key: bytes) -> bytes:
    cipher = AESCCM(key, tag_length=len(content.tag))
    return cipher.decrypt(content.nonce, _sealed(content), content.covered)


def _unseal_chacha(content: AeadContent, key: bytes) -> bytes:
    return ChaCha20Poly1305(key).decrypt(content.nonce, _sealed(content), content.covered)


def _sealed(content: AeadContent) -> bytes:
    """The primitives of these two take everything at once, so it is joined."""
    return b"".join((*content.ciphertext, content.tag))


_UNSEAL: dict[Mode, Callable[[AeadContent, bytes], bytes]] = {
    Mode.GCM: _unseal_gcm,
    Mode.CCM: _unseal_ccm,
    Mode.CHACHA20_POLY1305: _unseal_chacha,
}
