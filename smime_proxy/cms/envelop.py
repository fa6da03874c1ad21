"""Makes EnvelopedData and AuthEnvelopedData for any number of recipients of any kinds of key.

RFC 5652 6.1, RFC 5083 2.1, RFC 8551 2.7.
"""

from collections.abc import Callable, Generator, Iterator, Sequence

from smime_proxy.cms import der
from smime_proxy.cms.content_encryption import ContentEncryption, encryption_named
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.enveloped_data import MAX_RECIPIENTS
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.oids import AUTH_ENVELOPED_DATA, DATA, ENVELOPED_DATA
from smime_proxy.cms.recipient import CmsRecipient

DEFAULT_CONTENT_ENCRYPTION = "aes256_cbc"  # every client since 2019 reads it

_EXPLICIT_0 = 0xA0
_ENCRYPTED_CONTENT = 0x80  # [0] IMPLICIT OCTET STRING
_ENVELOPED_DATA = der.object_identifier(ENVELOPED_DATA)
_AUTH_ENVELOPED_DATA = der.object_identifier(AUTH_ENVELOPED_DATA)
_DATA = der.object_identifier(DATA)
_VERSIONS = {"ktri": 0, "kari": 2, "ori": 3}  # of EnvelopedData, at least; RFC 5652 6.1


def is_authenticated(content_encryption: str) -> bool:
    """Whether the cipher of this name makes AuthEnvelopedData; raises UnsupportedAlgorithm."""
    return encryption_named(content_encryption).cipher.is_authenticated


def envelop(
    content: Content,
    recipients: Sequence[CmsRecipient],
    *,
    content_encryption: str = DEFAULT_CONTENT_ENCRYPTION,
    random: Callable[[int], bytes],
) -> bytes:
    """ContentInfo (DER) with the content encrypted to all recipients.

    `content_encryption` is a name as reports print it. `random` gives that many octets fit for
    keys: the content key and the vector; ephemeral keys are the library's own. Raises CmsError
    without recipients or with more than MAX_RECIPIENTS, UnsupportedAlgorithm for other ciphers.
    """
    pieces = envelop_pieces(
        content, recipients, content_encryption=content_encryption, random=random
    )
    return b"".join(pieces)


def envelop_pieces(
    content: Content,
    recipients: Sequence[CmsRecipient],
    *,
    content_encryption: str = DEFAULT_CONTENT_ENCRYPTION,
    random: Callable[[int], bytes],
) -> Iterator[Octets]:
    """As `envelop`, piece by piece: what is held at a time is a chunk, not the message."""
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise CmsError("no recipient or too many")
    encryption = encryption_named(content_encryption)
    key, vector = random(encryption.cipher.key_length), random(encryption.vector_length)
    infos = der.element(der.SET, der.set_of(recipient.info(key) for recipient in recipients))
    parts = der.pieces(content)
    start = _version(encryption, recipients) + infos
    return _write(
        encryption, start, vector, der.size(parts), encryption.encrypt(key, vector, parts)
    )


def _version(encryption: ContentEncryption, recipients: Sequence[CmsRecipient]) -> bytes:
    """CMSVersion (DER) of RFC 5083 2.1, else of RFC 5652 6.1, where the recipients decide."""
    if encryption.tag_length:
        return der.integer(0)
    return der.integer(max(_VERSIONS[recipient.type] for recipient in recipients))


def _write(
    encryption: ContentEncryption,
    start: bytes,
    vector: bytes,
    content_length: int,
    ciphertext: Generator[Octets, None, bytes],
) -> Iterator[Octets]:
    oid = _AUTH_ENVELOPED_DATA if encryption.tag_length else _ENVELOPED_DATA
    length = encryption.ciphertext_length(content_length)
    encrypted = _DATA + encryption.algorithm(vector) + der.header(_ENCRYPTED_CONTENT, length)
    start += der.header(der.SEQUENCE, len(encrypted) + length) + encrypted
    rest = length + (len(_mac(bytes(encryption.tag_length))) if encryption.tag_length else 0)
    for tag, before in ((der.SEQUENCE, b""), (_EXPLICIT_0, oid), (der.SEQUENCE, b"")):
        start = before + der.header(tag, len(start) + rest) + start
    yield start
    mac = yield from ciphertext
    if encryption.tag_length:
        yield _mac(mac)


def _mac(tag: bytes) -> bytes:
    """The end of AuthEnvelopedData; no authAttrs before it, as the content type is id-data."""
    return der.element(der.OCTET_STRING, tag)
