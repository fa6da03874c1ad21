"""Checks one signature value with one public key of an accepted kind and size.

RFC 8017 8.1.2 and 8.2.2, RFC 5753 2.1, RFC 8419 2.3, RFC 9882 3, RFC 8551 6 (key sizes).
"""

from typing import assert_never

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    padding,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import Digest, KeyKind
from smime_proxy.cms.certificate_fields import CertificateFields, PublicKey
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters, read_pss_parameters

MAX_DSA_BITS = 3072  # FIPS 186-4 4.2: the largest there is; a verifier's time grows with its cube

_PKCS1V15 = padding.PKCS1v15()
_CURVES = frozenset((*algorithms.CURVE_SIGNATURES, *algorithms.WEAK_CURVES))


def usable_key(
    fields: CertificateFields, kind: KeyKind, pss: PssParameters | None = None
) -> PublicKey:
    """The certificate's key when it fits the algorithm; else raises UnsupportedAlgorithm.

    RSA of 512 to 8192 bits, a curve of the table, DSA of at most 3072 bits, or a kind of one
    size. An RSA key for RSASSA-PSS verifies nothing else, and only what keeps its parameters.
    """
    try:
        key = fields.public_key()
        oid, parameters = fields.key_algorithm()
        if kind_of(key) is not kind:
            raise UnsupportedAlgorithm(oid, "key of another kind")
        _check_size(key, oid)
        if isinstance(key, rsa.RSAPublicKey):
            _check_scheme(oid, parameters, pss)
    except MalformedCms as error:
        raise UnsupportedAlgorithm("unknown", str(error)) from None
    return key


def kind_of(key: PublicKey) -> KeyKind | None:
    """Which signatures the key is for; None: none, it is for encryption."""
    match key:
        case rsa.RSAPublicKey():
            return KeyKind.RSA
        case ec.EllipticCurvePublicKey():
            return KeyKind.EC
        case dsa.DSAPublicKey():
            return KeyKind.DSA
        case ed25519.Ed25519PublicKey():
            return KeyKind.ED25519
        case ed448.Ed448PublicKey():
            return KeyKind.ED448
        case mldsa.MLDSA44PublicKey():
            return KeyKind.ML_DSA_44
        case mldsa.MLDSA65PublicKey():
            return KeyKind.ML_DSA_65
        case mldsa.MLDSA87PublicKey():
            return KeyKind.ML_DSA_87
        case (
            x25519.X25519PublicKey()
            | x448.X448PublicKey()
            | mlkem.MLKEM768PublicKey()
            | mlkem.MLKEM1024PublicKey()
        ):
            return None
        case _:
            assert_never(key)


def fits(kind: KeyKind, digest: Digest) -> bool:
    """Whether signatures of this kind are made over this digest: SHAKE has only ECDSA here."""
    extendable = isinstance(digest.primitive, hashes.ExtendableOutputFunction)
    return kind is KeyKind.EC or not extendable


def is_weak(key: PublicKey) -> bool:
    """Whether the key verifies, but weakly: RSA below 2048 bits, small curves, DSA.

    RFC 8550 4.1-4.3.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size < algorithms.MIN_RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return type(key.curve) in algorithms.WEAK_CURVES
    return isinstance(key, dsa.DSAPublicKey)


def verifies(
    key: PublicKey,
    signature: bytes,
    digest: Digest,
    hashed: bytes,
    pss: PssParameters | None = None,
) -> bool:
    """Whether the signature is over this digest by this key: RSA, ECDSA or DSA.

    With `pss` the RSA signature is by these parameters, else by PKCS #1 v1.5.
    """
    if digest.primitive is None:
        return False
    prehashed = Prehashed(digest.primitive)
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, hashed, _padding(pss), prehashed)
            case ec.EllipticCurvePublicKey():
                key.verify(signature, hashed, ec.ECDSA(prehashed))
            case dsa.DSAPublicKey():
                key.verify(signature, hashed, prehashed)
            case _:
                return False
    except Exception:  # noqa: BLE001 - besides InvalidSignature, odd keys raise ValueError and more
        return False
    return True


def verifies_octets(key: PublicKey, signature: bytes, octets: Octets) -> bool:
    """Whether the signature is over these octets by this key: EdDSA or ML-DSA, without context."""
    try:
        match key:
            case (
                ed25519.Ed25519PublicKey()
                | ed448.Ed448PublicKey()
                | mldsa.MLDSA44PublicKey()
                | mldsa.MLDSA65PublicKey()
                | mldsa.MLDSA87PublicKey()
            ):
                key.verify(signature, octets)
            case _:
                return False
    except Exception:  # noqa: BLE001 - same
        return False
    return True


def _padding(pss: PssParameters | None) -> padding.AsymmetricPadding:
    if pss is None:
        return _PKCS1V15
    if pss.mask_digest.primitive is None:
        raise UnsupportedAlgorithm(pss.mask_digest.oid, "broken digest")
    return padding.PSS(padding.MGF1(pss.mask_digest.primitive), pss.salt_length)


def _check_size(key: PublicKey, oid: str) -> None:
    match key:
        case rsa.RSAPublicKey():
            if not algorithms.MIN_WEAK_RSA_BITS <= key.key_size <= algorithms.MAX_RSA_BITS:
                raise UnsupportedAlgorithm(oid, f"RSA key of {key.key_size} bits")
        case ec.EllipticCurvePublicKey() if type(key.curve) not in _CURVES:
            raise UnsupportedAlgorithm(key.curve.name, "unsupported curve")
        case dsa.DSAPublicKey() if key.key_size > MAX_DSA_BITS:
            raise UnsupportedAlgorithm(oid, f"DSA key of {key.key_size} bits")
        case _:
            pass


def _check_scheme(oid: str, parameters: bytes, pss: PssParameters | None) -> None:
    """RFC 4055 1.2 and 3.3: what an RSA key may be used for, and how."""
    if oid == algorithms.RSA_ENCRYPTION:
        return
    if oid != algorithms.RSASSA_PSS or pss is None:
        raise UnsupportedAlgorithm(oid, "key for another scheme")
    if parameters not in {b"", der.NULL} and not pss.keeps(read_pss_parameters(parameters)):
        raise UnsupportedAlgorithm(oid, "key for other parameters")
