"""Opens EnvelopedData with one's own keys; every failure looks the same.

RFC 5652 6, RFC 3370 4.2.1 and 5, RFC 3565; RFC 3218 and RFC 8551 6 (nothing may be learnt from
failures).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from smime_proxy.cms import algorithms, ber, ciphers, der
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.der import Octets
from smime_proxy.cms.enveloped_data import EnvelopedData, RecipientInfo
from smime_proxy.cms.errors import CmsError, DecryptionError

CHUNK = 65_536  # octets decrypted at a time
MAX_ATTEMPTS = 8  # private key operations for one message; a thousand infos may name one key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_PKCS1V15 = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """A private key and how messages name it."""

    private_key: PrivateKey = field(repr=False)
    issuer_der: bytes
    serial: int
    ski: bytes | None

    @classmethod
    def build(cls, private_key: PrivateKey, certificate_der: bytes) -> "DecryptionKey":
        """Key named by a certificate; raises MalformedCms when that is unreadable.

        A certificate that states no key identifier goes by the usual one (RFC 5280 4.2.1.2).
        """
        fields = read_certificate(certificate_der)
        return cls(private_key, fields.issuer, fields.serial, fields.key_identifier)


def matches(enveloped: EnvelopedData, keys: Sequence[DecryptionKey]) -> tuple[DecryptionKey, ...]:
    """Those of the keys that a recipientInfo names; nothing is decrypted to find out."""
    return tuple(
        key for key in keys if any(_is_for(recipient, key) for recipient in enveloped.recipients)
    )


def decrypt(
    enveloped: EnvelopedData,
    keys: Sequence[DecryptionKey],
    *,
    random: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """The content; raises DecryptionError, with one text whatever the cause.

    A content key that does not come out, or in another length, is replaced by `random` octets
    and decryption goes on (RFC 3218 2.3.2). Of the keys only those are used that the message
    names.
    """
    cipher = ciphers.CIPHERS.get(enveloped.cipher)
    if cipher is None or cipher.mode is not Mode.CBC or enveloped.authenticated:
        raise DecryptionError
    vector, tail = _vector(enveloped, cipher), _tail(enveloped, cipher)
    candidates = [
        (_pad_length(cipher, key, vector, tail), key)
        for key in _content_keys(enveloped, keys, cipher, random)
    ]
    # The last block tells the fitting key, so that the whole is decrypted once, and always.
    pad, chosen = next((found for found in candidates if found[0]), candidates[0])
    pieces = _decrypt(cipher, chosen, vector, enveloped.ciphertext or ())
    if not pad:
        raise DecryptionError
    pieces[-1] = pieces[-1][:-pad]
    return b"".join(pieces)


def _is_for(recipient: RecipientInfo, key: DecryptionKey) -> bool:
    return recipient.identifier.matches(key.issuer_der, key.serial, key.ski)


def _vector(enveloped: EnvelopedData, cipher: ContentCipher) -> bytes:
    try:
        vector = ber.octet_string(ber.read_only(enveloped.parameters))
    except CmsError:
        raise DecryptionError from None
    if len(vector) != cipher.block_length:
        raise DecryptionError
    return vector


def _tail(enveloped: EnvelopedData, cipher: ContentCipher) -> bytes:
    """The last two blocks of the ciphertext, or its only one; its length is checked."""
    pieces = enveloped.ciphertext or ()
    length = der.size(pieces)
    if not length or length % cipher.block_length:
        raise DecryptionError
    wanted = min(length, 2 * cipher.block_length)
    tail = b""
    for piece in reversed(pieces):
        tail = bytes(piece[-wanted:]) + tail
        if len(tail) >= wanted:
            break
    return tail[-wanted:]


def _content_keys(
    enveloped: EnvelopedData,
    keys: Sequence[DecryptionKey],
    cipher: ContentCipher,
    random: Callable[[int], bytes],
) -> list[bytes]:
    """What came out of the recipientInfos that name our keys, in the right length; one at least.

    Two keys may share issuer and serial, so there may be more. Raises DecryptionError when no
    key is named.
    """
    substitute = random(cipher.key_length)
    named = [
        (recipient, key.private_key)
        for recipient in enveloped.recipients
        if recipient.type == "ktri" and recipient.algorithm == ciphers.RSAES_PKCS1V15.oid
        for key in keys
        if _is_for(recipient, key)
    ]
    if not named:
        raise DecryptionError
    found = [_unwrap(recipient, key) for recipient, key in named[:MAX_ATTEMPTS]]
    return [key for key in found if len(key) == cipher.key_length] or [substitute]


def _unwrap(recipient: RecipientInfo, key: PrivateKey) -> bytes:
    """What the private key makes of the encrypted key; empty when it makes nothing of it."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return b""
    if not algorithms.MIN_WEAK_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
        return b""
    try:
        return key.decrypt(recipient.encrypted_key, _PKCS1V15)
    except ValueError:
        return b""


def _pad_length(cipher: ContentCipher, key: bytes, vector: bytes, tail: bytes) -> int:
    """Octets of padding at the end of the content (RFC 5652 6.3); 0 when there is none."""
    if len(tail) > cipher.block_length:
        vector, tail = tail[: cipher.block_length], tail[cipher.block_length :]
    last = b"".join(_decrypt(cipher, key, vector, (tail,)))
    pad = last[-1]
    fits = 0 < pad <= cipher.block_length and last.endswith(bytes((pad,)) * pad)
    return pad if fits else 0


def _decrypt(
    cipher: ContentCipher, key: bytes, vector: bytes, ciphertext: Sequence[Octets]
) -> list[bytes]:
    """Content with its padding, in pieces of which none is empty."""
    if cipher.algorithm is None:
        raise DecryptionError
    decryptor = Cipher(cipher.algorithm(key), modes.CBC(vector)).decryptor()
    return [piece for part in _chunks(ciphertext) if (piece := decryptor.update(part))]


def _chunks(ciphertext: Sequence[Octets]) -> Iterator[Octets]:
    """The same octets in chunks of a good size: small pieces joined, large ones cut."""
    waiting: list[Octets] = []
    size = 0
    for piece in ciphertext:
        if len(piece) > CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
            view = memoryview(piece)
            yield from (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))
            continue
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
