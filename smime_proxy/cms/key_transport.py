"""Opens content keys encrypted to an RSA key.

RFC 3370 4.2.1 (PKCS #1 v1.5), RFC 3560 and RFC 8017 A.2.1 (OAEP).
"""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding

from smime_proxy.cms import algorithms, ber, ciphers, der
from smime_proxy.cms.algorithms import MGF1
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.recipient_info import RecipientInfo

SPECIFIED = "1.2.840.113549.1.1.9"  # id-pSpecified

_PKCS1V15 = padding.PKCS1v15()
_SHA1 = hashes.SHA1()  # noqa: S303 - the default of RFC 8017 A.2.1
# RFC 8017 A.2.1; the primitives take no others, and say so only when they are used.
_DIGESTS = frozenset({"sha1", "sha224", "sha256", "sha384", "sha512"})
_HASH, _MASK, _LABEL = 0xA0, 0xA1, 0xA2  # [0] to [2] of RSAES-OAEP-params


def transported_key(recipient: RecipientInfo, key: rsa.RSAPrivateKey) -> bytes:
    """What comes out of the encrypted key, of any length; raises DecryptionError or CmsError."""
    if not algorithms.MIN_WEAK_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
        raise DecryptionError
    try:
        return key.decrypt(recipient.encrypted_key, _padding(recipient))
    except (ValueError, UnsupportedAlgorithm):
        raise DecryptionError from None


def _padding(recipient: RecipientInfo) -> AsymmetricPadding:
    match recipient.algorithm:
        case ciphers.RSAES_PKCS1V15.oid:
            return _PKCS1V15
        case ciphers.RSAES_OAEP.oid:
            return oaep(recipient.parameters)
        case _:
            raise DecryptionError


def oaep(parameters: bytes) -> padding.OAEP:
    """OAEP with RSAES-OAEP-params; what is absent has its default (RFC 8017 A.2.1).

    Raises CmsError for unreadable or unknown ones.
    """
    fields = {}
    if parameters not in {b"", der.NULL}:
        for field in ber.read_only(parameters).expect(der.SEQUENCE).children():
            fields[field.tag] = field
    digest = _digest(*_algorithm(fields.pop(_HASH))) if _HASH in fields else _SHA1
    mask = _mask(*_algorithm(fields.pop(_MASK))) if _MASK in fields else _SHA1
    label = _label(*_algorithm(fields.pop(_LABEL))) if _LABEL in fields else b""
    if fields:
        raise DecryptionError
    return padding.OAEP(padding.MGF1(mask), digest, label or None)


def _algorithm(field: Element) -> tuple[str, bytes]:
    match field.children():
        case [algorithm]:
            return read_algorithm(algorithm)
        case _:
            raise DecryptionError


def _digest(oid: str, _parameters: bytes) -> hashes.HashAlgorithm:
    row = algorithms.DIGESTS.get(oid)
    if row is None or row.primitive is None or row.name not in _DIGESTS:
        raise DecryptionError
    return row.primitive


def _mask(oid: str, parameters: bytes) -> hashes.HashAlgorithm:
    if oid != MGF1:
        raise DecryptionError
    return _digest(*read_algorithm(ber.read_only(parameters)))


def _label(oid: str, parameters: bytes) -> bytes:
    if oid != SPECIFIED:
        raise DecryptionError
    return ber.octet_string(ber.read_only(parameters)) if parameters else b""
