"""Whether one certificate was signed with the key of another.

RFC 5280 4.1.1.2, 4.1.2.3 and 6.1.3 (a)(1); names are compared elsewhere, by value.
"""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mldsa,
    padding,
    rsa,
)

from smime_proxy.certs.certificate import LIBRARY_ERRORS, WEAK_DIGESTS, Certificate
from smime_proxy.certs.names import read_element

REMEMBERED_SIGNATURES = 2048  # (certificate, issuer) pairs of one organisation; bounds memory

_VERSION_TAG = 0xA0  # RFC 5280 4.1: version is [0] EXPLICIT


@lru_cache(maxsize=REMEMBERED_SIGNATURES)
def is_signed_by(
    certificate: Certificate, issuer: Certificate, *, unsafe_weak: bool = False
) -> bool:
    """Verify the signature over a certificate with its issuer's key.

    False also for algorithms nobody verifies here: MD5, unknown ones; and SHA-1, DSA and weak
    keys, which only test suites of their time ask for (`unsafe_weak`). Of keys made to cost a
    verifier time, none is tried.
    """
    if (certificate.signature_digest in WEAK_DIGESTS or issuer.weak_key) and not unsafe_weak:
        return False
    signed = certificate.x509()
    try:
        return _names_one_algorithm(certificate.der) and verifies(
            issuer.x509().public_key(),
            signed.signature,
            signed.tbs_certificate_bytes,
            signed.signature_algorithm_parameters,
            signed.signature_hash_algorithm,
            signed.signature_algorithm_oid.dotted_string,
            unsafe_weak=unsafe_weak,
        )
    except (*LIBRARY_ERRORS, IndexError):
        return False


def verifies(
    key: object,
    signature: bytes,
    octets: bytes,
    parameters: object,
    digest: hashes.HashAlgorithm | None,
    oid: str,
    *,
    unsafe_weak: bool = False,
) -> bool:
    """Verify what `cryptography` gives of a signed object: certificate, CRL or OCSP response.

    `oid` is that of the signature algorithm, dotted. False for old digests unless `unsafe_weak`,
    and for a key of another kind than the signature.
    """
    if digest is not None and digest.name in WEAK_DIGESTS and not unsafe_weak:
        return False
    try:
        match key, parameters, digest:
            case rsa.RSAPublicKey(), padding.PKCS1v15() | padding.PSS(), hashes.HashAlgorithm():
                key.verify(signature, octets, parameters, digest)
            case ec.EllipticCurvePublicKey(), ec.ECDSA(), _:
                key.verify(signature, octets, parameters)
            case (
                (
                    ed25519.Ed25519PublicKey()
                    | ed448.Ed448PublicKey()
                    | mldsa.MLDSA44PublicKey()
                    | mldsa.MLDSA65PublicKey()
                    | mldsa.MLDSA87PublicKey()
                ),
                _,
                _,
            ) if _is_of(oid, key):
                key.verify(signature, octets)
            case dsa.DSAPublicKey(), _, hashes.HashAlgorithm() if unsafe_weak:
                key.verify(signature, octets, digest)
            case _:
                return False
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


# Signatures without a digest of their own are named like the key (RFC 8410 3, RFC 9881 3).
_NAMED_LIKE_KEYS: dict[type, str] = {
    ed25519.Ed25519PublicKey: "1.3.101.112",
    ed448.Ed448PublicKey: "1.3.101.113",
    mldsa.MLDSA44PublicKey: "2.16.840.1.101.3.4.3.17",
    mldsa.MLDSA65PublicKey: "2.16.840.1.101.3.4.3.18",
    mldsa.MLDSA87PublicKey: "2.16.840.1.101.3.4.3.19",
}


def _is_of(oid: str, key: object) -> bool:
    return any(oid == named for kind, named in _NAMED_LIKE_KEYS.items() if isinstance(key, kind))


def _names_one_algorithm(der: bytes) -> bool:
    """Tell whether the algorithm inside is the one outside, octet for octet (RFC 5280 4.1.1.2)."""
    _, start, _ = read_element(der, 0)
    _, at, end = read_element(der, start)
    if der[at] == _VERSION_TAG:
        at = read_element(der, at)[2]
    inside = read_element(der, at)[2]
    return der[inside : read_element(der, inside)[2]] == der[end : read_element(der, end)[2]]
