"""Encrypt a MIME entity, signed or not, to the certificates of its recipients.

RFC 8551 3.3 (enveloped-only), RFC 5652 6.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from smime_proxy.cms.envelop import CmsRecipient, envelop
from smime_proxy.message.build import pkcs7_mime_entity

CACHED_RECIPIENTS = 4096  # certificates; reading a public key costs more than encrypting to it


@lru_cache(maxsize=CACHED_RECIPIENTS)
def recipient_of(der: bytes) -> CmsRecipient:
    """Read the recipient of a certificate in DER.

    Raises `cms.errors.UnsupportedAlgorithm` for a key that cannot be encrypted to.
    """
    return CmsRecipient.from_certificate(der)


def encrypt_entity(
    inner: bytes, recipients: Sequence[CmsRecipient], *, random: Callable[[int], bytes]
) -> bytes:
    """Give the application/pkcs7-mime entity that holds `inner` for all of `recipients`.

    `random(n)` gives n octets fit for keys. Raises `cms.errors.CmsError`.
    """
    return pkcs7_mime_entity(envelop(inner, recipients, random=random), "enveloped-data")
