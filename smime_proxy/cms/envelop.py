"""Makes EnvelopedData: AES-256-CBC, the key for each recipient by RSA PKCS#1 v1.5.

RFC 5652 6, RFC 3370 4.2.1, RFC 3565, RFC 8551 2.7.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from smime_proxy.cms import algorithms, ciphers, der
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.enveloped_data import MAX_RECIPIENTS
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.oids import DATA, ENVELOPED_DATA

CHUNK = 65_536  # octets encrypted at a time; bounds what is held besides the result

_CIPHER = ciphers.AES256_CBC
_PKCS1V15 = padding.PKCS1v15()
_VERSION_0 = der.integer(0)  # RFC 5652 6.1 and 6.2.1: issuerAndSerialNumber only
_EXPLICIT_0 = 0xA0
_ENCRYPTED_CONTENT = 0x80  # [0] IMPLICIT OCTET STRING
_ENVELOPED_DATA = der.object_identifier(ENVELOPED_DATA)
_DATA = der.object_identifier(DATA)
_CIPHER_OID = der.object_identifier(_CIPHER.oid)
_RSA_PKCS1V15 = der.element(
    der.SEQUENCE, der.object_identifier(ciphers.RSAES_PKCS1V15.oid), der.NULL
)


@dataclass(frozen=True, slots=True)
class CmsRecipient:
    """Someone to encrypt to: his key, and the start of his recipientInfo."""

    public_key: rsa.RSAPublicKey = field(repr=False)
    before_key: bytes = field(repr=False)  # version, rid, keyEncryptionAlgorithm

    @classmethod
    def from_certificate(cls, certificate_der: bytes) -> "CmsRecipient":
        """The holder of a certificate with an RSA key of 2048 to 8192 bits.

        Raises MalformedCms for an unreadable certificate, UnsupportedAlgorithm for other keys.
        """
        fields = read_certificate(certificate_der)
        key = fields.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise UnsupportedAlgorithm(key.curve.name, "no key to encrypt to here")
        if not algorithms.MIN_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
            reason = f"RSA key of {key.key_size} bits"
            raise UnsupportedAlgorithm(algorithms.RSA_ENCRYPTION, reason)
        return cls(key, _VERSION_0 + fields.issuer_and_serial + _RSA_PKCS1V15)

    def info(self, key: bytes) -> bytes:
        """KeyTransRecipientInfo (DER) with the content-encryption key; raises CmsError."""
        try:
            encrypted = self.public_key.encrypt(key, _PKCS1V15)
        except ValueError:
            raise CmsError("the recipient's key cannot be used") from None
        encrypted_key = der.element(der.OCTET_STRING, encrypted)
        return der.element(der.SEQUENCE, self.before_key, encrypted_key)


def envelop(
    content: Content, recipients: Sequence[CmsRecipient], *, random: Callable[[int], bytes]
) -> bytes:
    """ContentInfo (DER) with the content encrypted to all recipients.

    `random` gives that many octets fit for keys. Raises CmsError without recipients or with
    more than MAX_RECIPIENTS.
    """
    return b"".join(envelop_pieces(content, recipients, random=random))


def envelop_pieces(
    content: Content, recipients: Sequence[CmsRecipient], *, random: Callable[[int], bytes]
) -> Iterator[bytes]:
    """As `envelop`, piece by piece: what is held at a time is a chunk, not the message."""
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise CmsError("no recipient or too many")
    key, vector = random(_CIPHER.key_length), random(_CIPHER.block_length)
    infos = der.element(der.SET, der.set_of(recipient.info(key) for recipient in recipients))
    parts = der.pieces(content)
    return _write(infos, vector, der.size(parts), _encrypt(parts, key, vector))


def _write(
    infos: bytes, vector: bytes, length: int, ciphertext: Iterator[bytes]
) -> Iterator[bytes]:
    length += _CIPHER.block_length - length % _CIPHER.block_length
    algorithm = der.element(der.SEQUENCE, _CIPHER_OID, der.element(der.OCTET_STRING, vector))
    encrypted = _DATA + algorithm + der.header(_ENCRYPTED_CONTENT, length)
    content = der.header(der.SEQUENCE, len(encrypted) + length) + encrypted
    enveloped = _VERSION_0 + infos + content
    start = enveloped
    for tag, before in ((der.SEQUENCE, b""), (_EXPLICIT_0, _ENVELOPED_DATA), (der.SEQUENCE, b"")):
        start = before + der.header(tag, len(start) + length) + start
    yield start
    yield from ciphertext


def _encrypt(parts: Sequence[Octets], key: bytes, vector: bytes) -> Iterator[bytes]:
    """Ciphertext with the padding of RFC 5652 6.3."""
    if _CIPHER.algorithm is None:  # it has one
        raise UnsupportedAlgorithm(_CIPHER.oid)
    encryptor = Cipher(_CIPHER.algorithm(key), modes.CBC(vector)).encryptor()
    for part in parts:
        view = memoryview(part)
        for at in range(0, len(view), CHUNK):
            yield encryptor.update(view[at : at + CHUNK])
    pad = _CIPHER.block_length - der.size(parts) % _CIPHER.block_length
    yield encryptor.update(bytes((pad,)) * pad) + encryptor.finalize()
