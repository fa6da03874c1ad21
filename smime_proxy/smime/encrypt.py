"""Encrypt a MIME entity, signed or not, to the certificates of its recipients.

RFC 8551 3.3 (enveloped-only), 3.4 (authenticated enveloped-only), 3.2.2 (smime-type).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from smime_proxy.cms.envelop import (
    DEFAULT_CONTENT_ENCRYPTION,
    envelop_pieces,
    is_authenticated,
)
from smime_proxy.cms.recipient import CmsRecipient
from smime_proxy.message.build import pkcs7_mime, pkcs7_mime_entity
from smime_proxy.message.header import HeaderBlock

CACHED_RECIPIENTS = 4096  # certificates; reading a public key costs more than encrypting to it


@lru_cache(maxsize=CACHED_RECIPIENTS)
def recipient_of(der: bytes, *, oaep: bool = False) -> CmsRecipient:
    """Read the recipient of a certificate in DER; `oaep` asks for it where the key is RSA.

    Raises `cms.errors.UnsupportedAlgorithm` for a key that cannot be encrypted to.
    """
    return CmsRecipient.from_certificate(der, oaep=oaep)


def encrypt_entity(
    inner: bytes,
    recipients: Sequence[CmsRecipient],
    *,
    content_encryption: str = DEFAULT_CONTENT_ENCRYPTION,
    random: Callable[[int], bytes],
) -> bytes:
    """Give the application/pkcs7-mime entity that holds `inner` for all of `recipients`.

    `content_encryption` is a name as reports print it; it decides the smime-type. `random(n)`
    gives n octets fit for keys. Raises `cms.errors.CmsError`.
    """
    pieces = envelop_pieces(inner, recipients, content_encryption=content_encryption, random=random)
    return pkcs7_mime_entity(pieces, _smime_type(content_encryption))


def encrypt_message(
    header: HeaderBlock,
    inner: bytes,
    recipients: Sequence[CmsRecipient],
    *,
    content_encryption: str = DEFAULT_CONTENT_ENCRYPTION,
    random: Callable[[int], bytes],
) -> bytes:
    """Give the message with this outer header, without Content-* fields, and `encrypt_entity`.

    Large ones are written once where putting header and entity together would copy them.
    """
    pieces = envelop_pieces(inner, recipients, content_encryption=content_encryption, random=random)
    return pkcs7_mime(header, pieces, _smime_type(content_encryption))


def _smime_type(content_encryption: str) -> str:
    """Give the label of RFC 8551 3.2.2."""
    return "authEnveloped-data" if is_authenticated(content_encryption) else "enveloped-data"
