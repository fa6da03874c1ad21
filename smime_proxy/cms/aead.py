"""Opens content whose tag says that nobody changed it; nothing is released before the tag holds.

RFC 5083 (AuthEnvelopedData), RFC 5084 (AES-GCM and -CCM), RFC 8103 (ChaCha20-Poly1305).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from smime_proxy.cms import ber, der
from smime_proxy.cms.chunks import chunks, room, tail, without_tail
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import CmsError, DecryptionError

_DEFAULT_TAG = 12  # octets, RFC 5084 3.1 and 3.2: aes-ICVlen DEFAULT 12


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
    form = _FORMS.get(cipher.mode) if cipher.mode else None
    if form is None:
        raise DecryptionError
    try:
        nonce, length = _parameters(parameters)
    except CmsError:
        raise DecryptionError from None
    if mac is None:
        length = length or max(_DEFAULT_TAG, form.tags[0])
        mac, ciphertext = tail(ciphertext, length), without_tail(ciphertext, length)
    # Some writers leave the length out and send all 16 octets.
    if len(mac) not in form.tags or len(mac) != (length or len(mac)):
        raise DecryptionError
    if len(nonce) not in form.nonces:
        raise DecryptionError
    return AeadContent(ciphertext, nonce, mac, covered, (cipher.key_length,), form.unseal)


def _parameters(parameters: bytes) -> tuple[bytes, int]:
    """Nonce and length of the tag, 0 where it is not stated; raises CmsError."""
    element = ber.read_only(parameters)
    if element.tag != der.SEQUENCE:
        return ber.octet_string(element), 0  # RFC 8103 2: the nonce alone
    match element.children():
        case [nonce]:
            return ber.octet_string(nonce), 0
        case [nonce, length]:
            return ber.octet_string(nonce), ber.integer(length)
        case _:
            raise DecryptionError


def _unseal_gcm(content: AeadContent, key: bytes) -> bytes:
    mode = modes.GCM(content.nonce, None, min_tag_length=len(content.tag))
    decryptor = Cipher(AES(key), mode).decryptor()
    decryptor.authenticate_additional_data(content.covered)
    plain = room(der.size(content.ciphertext))
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


@dataclass(frozen=True, slots=True)
class _Form:
    """Octets a nonce and a tag may have, and what opens."""

    nonces: range
    tags: range
    unseal: Callable[[AeadContent, bytes], bytes]


# RFC 5084 3.1 and 3.2, RFC 8103 1.1. The library takes nonces of 8 to 128 octets for GCM; longer
# ones have overflowed buffers elsewhere (CVE-2025-15467).
_FORMS = {
    Mode.GCM: _Form(range(8, 129), range(12, 17), _unseal_gcm),
    Mode.CCM: _Form(range(7, 14), range(4, 17, 2), _unseal_ccm),
    Mode.CHACHA20_POLY1305: _Form(range(12, 13), range(16, 17), _unseal_chacha),
}
