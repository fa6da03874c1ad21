"""The public key of a certificate, also where an RSA key says that it is for one use only.

RFC 4055 1.2 (id-RSASSA-PSS and id-RSAES-OAEP in SubjectPublicKeyInfo).
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from smime_proxy.certs.definite import encoded
from smime_proxy.certs.names import read_element

_RSAES_OAEP = x509.ObjectIdentifier("1.2.840.113549.1.1.7")
# AlgorithmIdentifier of rsaEncryption, RFC 3279 2.3.1
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
_SEQUENCE = 0x30
_VERSION_TAG = 0xA0  # RFC 5280 4.1: version is [0] EXPLICIT
_FIELDS_BEFORE = 5  # serial, algorithm, issuer, validity, subject


def public_key(parsed: x509.Certificate) -> CertificatePublicKeyTypes:
    """Give the public key, an RSA key for one use as any other; raises what the library does."""
    if not encrypts_only(parsed):
        return parsed.public_key()
    # The library knows keys for OAEP under their general name only.
    body = _RSA_ENCRYPTION + _key_bits(parsed.tbs_certificate_bytes)
    return load_der_public_key(encoded(_SEQUENCE, body))  # type: ignore[return-value]  # it is RSA


def encrypts_only(parsed: x509.Certificate) -> bool:
    """Tell whether an RSA key is for RSAES-OAEP and nothing else (RFC 4055 1.2)."""
    return parsed.public_key_algorithm_oid == _RSAES_OAEP


def signs_only(parsed: x509.Certificate) -> bool:
    """Tell whether an RSA key is for RSASSA-PSS and nothing else (RFC 4055 1.2)."""
    return parsed.public_key_algorithm_oid == x509.PublicKeyAlgorithmOID.RSASSA_PSS


def _key_bits(to_be_signed: bytes) -> bytes:
    """Cut the encoded subjectPublicKey out of a tbsCertificate (RFC 5280 4.1)."""
    _, at, _ = read_element(to_be_signed, 0)
    if to_be_signed[at] == _VERSION_TAG:
        at = read_element(to_be_signed, at)[2]
    for _ in range(_FIELDS_BEFORE):
        at = read_element(to_be_signed, at)[2]
    _, algorithm_at, end = read_element(to_be_signed, at)
    return to_be_signed[read_element(to_be_signed, algorithm_at)[2] : end]
