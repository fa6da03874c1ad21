"""Opens EnvelopedData with one's own keys; every failure looks the same.

RFC 5652 6, RFC 5083; RFC 3218 and RFC 8551 6 (nothing may be learnt from failures). How the
content key comes out is in `key_transport`, `key_agreement` and `key_encapsulation`, how the
content does in `cbc` and `aead`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import UnionType

from cryptography.hazmat.primitives.asymmetric import rsa

from smime_proxy.cms import ciphers
from smime_proxy.cms.aead import AeadContent, aead_content
from smime_proxy.cms.cbc import CbcContent, cbc_content
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.enveloped_data import EnvelopedData, RecipientInfo
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.key_agreement import AgreementKey, agreed_key
from smime_proxy.cms.key_encapsulation import EncapsulationKey, encapsulated_key
from smime_proxy.cms.key_transport import transported_key

MAX_ATTEMPTS = 8  # private key operations for one message; a thousand infos may name one key

PrivateKey = rsa.RSAPrivateKey | AgreementKey | EncapsulationKey

_KINDS: dict[str, UnionType | type] = {
    "ktri": rsa.RSAPrivateKey,
    "kari": AgreementKey,
    "ori": EncapsulationKey,
}


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
        return cls(private_key, *_names_of(certificate_der))


def matches(enveloped: EnvelopedData, keys: Sequence[DecryptionKey]) -> tuple[DecryptionKey, ...]:
    """Those of the keys that a recipientInfo names; nothing is decrypted to find out."""
    return tuple(
        key for key in keys if any(_is_for(recipient, key) for recipient in enveloped.recipients)
    )


def is_named(enveloped: EnvelopedData, certificate_der: bytes) -> bool:
    """Whether a recipientInfo names the key of a certificate, which need not be at hand.

    Raises MalformedCms when the certificate is unreadable.
    """
    names = _names_of(certificate_der)
    return any(recipient.identifier.matches(*names) for recipient in enveloped.recipients)


def decrypt(
    enveloped: EnvelopedData,
    keys: Sequence[DecryptionKey],
    *,
    random: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """The content; raises DecryptionError, with one text whatever the cause.

    A content key that does not come out, or in another length, is replaced by `random` octets
    and decryption goes on (RFC 3218 2.3.2). Of the keys only those are used that the message
    names. Content with a tag is given only when the tag holds.
    """
    content = _content(enveloped)
    return content.open(_content_keys(enveloped, keys, content.key_lengths, random))


@lru_cache(maxsize=4096)  # the certificates of those whose mail others read too
def _names_of(certificate_der: bytes) -> tuple[bytes, int, bytes | None]:
    """How messages name the key of a certificate: issuer, serial number, key identifier."""
    fields = read_certificate(certificate_der)
    return fields.issuer, fields.serial, fields.key_identifier


def _is_for(recipient: RecipientInfo, key: DecryptionKey) -> bool:
    return recipient.identifier.matches(key.issuer_der, key.serial, key.ski)


def _content(enveloped: EnvelopedData) -> CbcContent | AeadContent:
    cipher = ciphers.CIPHERS.get(enveloped.cipher)
    ciphertext = enveloped.ciphertext
    if cipher is None or cipher.mode is None or ciphertext is None:
        raise DecryptionError
    if cipher.is_authenticated:
        return aead_content(
            cipher, enveloped.parameters, ciphertext, enveloped.mac, enveloped.covered
        )
    if enveloped.mac is not None:  # a tag that nothing checks
        raise DecryptionError
    return cbc_content(cipher, enveloped.parameters, ciphertext)


def _content_keys(
    enveloped: EnvelopedData,
    keys: Sequence[DecryptionKey],
    lengths: Sequence[int],
    random: Callable[[int], bytes],
) -> list[bytes]:
    """What came out of the recipientInfos that name our keys, in a right length; one at least.

    Two keys may share issuer and serial, so there may be more. Raises DecryptionError when no
    key is named.
    """
    substitute = random(lengths[0])
    named = [
        (recipient, key.private_key)
        for recipient in enveloped.recipients
        for key in keys
        if _is_for(recipient, key)
    ]
    if not named:
        raise DecryptionError
    fitting = [pair for pair in named if _fits(*pair)]
    found = [_unwrap(recipient, key) for recipient, key in fitting[:MAX_ATTEMPTS]]
    return [key for key in found if len(key) in lengths] or [substitute]


def _fits(recipient: RecipientInfo, key: PrivateKey) -> bool:
    """Whether keys of this kind are what such a recipientInfo is for."""
    return isinstance(key, _KINDS.get(recipient.type, ()))


def _unwrap(recipient: RecipientInfo, key: PrivateKey) -> bytes:
    """What the private key makes of the encrypted key; empty when it makes nothing of it."""
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            return transported_key(recipient, key)
        if isinstance(key, EncapsulationKey):
            return encapsulated_key(recipient, key)
        return agreed_key(recipient, key)
    except CmsError:
        return b""
