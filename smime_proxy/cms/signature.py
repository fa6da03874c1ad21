"""Checks one signature value with one public key of an accepted kind and size.

RFC 8017 8.2.2, RFC 5753 2.1, RFC 8551 6 (key sizes).
"""

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from smime_proxy.cms import algorithms
from smime_proxy.cms.algorithms import Digest, KeyKind
from smime_proxy.cms.certificate_fields import CertificateFields, PublicKey
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm

_PKCS1V15 = padding.PKCS1v15()


def usable_key(fields: CertificateFields, kind: KeyKind) -> PublicKey:
    """The certificate's key when it fits the algorithm; else raises UnsupportedAlgorithm.

    RSA of 512 to 8192 bits, or a curve of the table.
    """
    try:
        key = fields.public_key()
    except MalformedCms as error:
        raise UnsupportedAlgorithm("unknown", str(error)) from None
    if isinstance(key, rsa.RSAPublicKey):
        if kind is not KeyKind.RSA:
            raise UnsupportedAlgorithm(algorithms.RSA_ENCRYPTION, "key of another kind")
        if not algorithms.MIN_WEAK_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
            reason = f"RSA key of {key.key_size} bits"
            raise UnsupportedAlgorithm(algorithms.RSA_ENCRYPTION, reason)
    elif kind is not KeyKind.EC or type(key.curve) not in algorithms.CURVE_SIGNATURES:
        raise UnsupportedAlgorithm(key.curve.name, "key of another kind or curve")
    return key


def is_short(key: PublicKey) -> bool:
    """Whether the key verifies, but weakly: RSA below 2048 bits (RFC 8551 4.2)."""
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < algorithms.MIN_RSA_BITS


def verifies(key: PublicKey, signature: bytes, digest: Digest, hashed: bytes) -> bool:
    """Whether the signature is over this digest by this key: PKCS #1 v1.5 or ECDSA."""
    if digest.primitive is None:
        return False
    prehashed = Prehashed(digest.primitive)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, hashed, _PKCS1V15, prehashed)
        else:
            key.verify(signature, hashed, ec.ECDSA(prehashed))
    except Exception:  # noqa: BLE001 - besides InvalidSignature, odd keys raise ValueError and more
        return False
    return True
