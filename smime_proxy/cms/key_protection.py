"""Writes the recipientInfo of each kind of key: transported, agreed on, encapsulated.

RFC 5652 6.2, RFC 3370 4.2.1, RFC 4055 4.1 (OAEP), RFC 5753 3.1, RFC 8418 3, RFC 9629 3 and
RFC 9936 2. Ephemeral keys and padding are random by the library, which takes them from nobody.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import algorithms, ciphers, der
from smime_proxy.cms.key_encryption import (
    AES256_WRAP,
    Derivation,
    hkdf,
    kem_other_info,
    shared_info,
    wrap_for,
    x963,
)

AgreementKey = ec.EllipticCurvePublicKey | X25519PublicKey | X448PublicKey
KemKey = MLKEM768PublicKey | MLKEM1024PublicKey

_0, _1, _4 = 0xA0, 0xA1, 0xA4  # context specific tags
_VERSION_0, _VERSION_3 = der.integer(0), der.integer(3)
_NO_UNUSED_BITS = b"\x00"  # X.690 8.6.2.2
_ML_KEM_768, _ML_KEM_1024 = "2.16.840.1.101.3.4.4.2", "2.16.840.1.101.3.4.4.3"  # RFC 9935
_KEM = der.object_identifier("1.2.840.113549.1.9.16.13.3")  # id-ori-kem


@dataclass(frozen=True, slots=True)
class Transport:
    """RSA key transport: AlgorithmIdentifier (DER) and the padding it names."""

    algorithm: bytes
    padding: padding.AsymmetricPadding


@dataclass(frozen=True, slots=True)
class Agreement:
    """Ephemeral-static Diffie-Hellman, standard (no cofactor), and what makes a key of it."""

    scheme: str
    derive: Derivation
    digest: hashes.HashAlgorithm


def _oaep_sha256() -> Transport:
    # RFC 4055 2.1: parameters NULL, though absent ones are accepted too; the label is the
    # default, so it is absent in DER.
    sha256 = der.element(der.SEQUENCE, der.object_identifier(algorithms.SHA256.oid), der.NULL)
    mgf1 = der.element(der.SEQUENCE, der.object_identifier("1.2.840.113549.1.1.8"), sha256)
    fields = der.element(der.SEQUENCE, der.element(_0, sha256), der.element(_1, mgf1))
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    name = der.object_identifier(ciphers.RSAES_OAEP.oid)
    return Transport(der.element(der.SEQUENCE, name, fields), scheme)


OAEP_SHA256 = _oaep_sha256()
PKCS1V15 = Transport(
    der.element(der.SEQUENCE, der.object_identifier(ciphers.RSAES_PKCS1V15.oid), der.NULL),
    padding.PKCS1v15(),
)

_STANDARD_DH = "1.3.132.1.11."  # SEC 1; RFC 5753 7.1.4
_STANDARD_DH_HKDF = "1.2.840.113549.1.9.16.3."  # RFC 8418
_SHA256 = Agreement(_STANDARD_DH + "1", x963, hashes.SHA256())
_SHA384 = Agreement(_STANDARD_DH + "2", x963, hashes.SHA384())
_SHA512 = Agreement(_STANDARD_DH + "3", x963, hashes.SHA512())
# RFC 5753 8: a digest of at least the security of the curve.
CURVES: dict[str, Agreement] = {
    "secp256r1": _SHA256,
    "secp384r1": _SHA384,
    "secp521r1": _SHA512,
    "brainpoolP256r1": _SHA256,
    "brainpoolP384r1": _SHA384,
    "brainpoolP512r1": _SHA512,
}
_X25519 = Agreement(_STANDARD_DH_HKDF + "19", hkdf, hashes.SHA256())
_X448 = Agreement(_STANDARD_DH_HKDF + "21", hkdf, hashes.SHA512())


def key_transport(key: rsa.RSAPublicKey, rid: bytes, transport: Transport, cek: bytes) -> bytes:
    """KeyTransRecipientInfo (DER); `rid` is an IssuerAndSerialNumber. Raises ValueError."""
    encrypted = der.element(der.OCTET_STRING, key.encrypt(cek, transport.padding))
    return der.element(der.SEQUENCE, _VERSION_0, rid, transport.algorithm, encrypted)


def key_agreement(key: AgreementKey, rid: bytes, cek: bytes) -> bytes:
    """KeyAgreeRecipientInfo (DER) with one key in it and no ukm. Raises ValueError."""
    agreement, originator, secret = _agree(key)
    wrap = wrap_for(cek)
    kek = agreement.derive(agreement.digest, secret, shared_info(wrap), wrap.length)
    encrypted = der.element(der.SEQUENCE, rid, wrap.wrap(kek, cek))
    return der.element(
        _1,
        _VERSION_3,
        der.element(_0, der.element(_1, originator)),
        der.element(der.SEQUENCE, der.object_identifier(agreement.scheme), wrap.algorithm),
        der.element(der.SEQUENCE, encrypted),
    )


def key_encapsulation(key: KemKey, rid: bytes, cek: bytes) -> bytes:
    """OtherRecipientInfo (DER) with a KEMRecipientInfo, RFC 9936 2.2.2: HKDF-SHA-256, AES-256."""
    secret, ciphertext = key.encapsulate()
    kek = hkdf(hashes.SHA256(), secret, kem_other_info(AES256_WRAP), AES256_WRAP.length)
    info = der.element(
        der.SEQUENCE,
        _VERSION_0,
        rid,
        _name(_ML_KEM_768 if isinstance(key, MLKEM768PublicKey) else _ML_KEM_1024),
        der.element(der.OCTET_STRING, ciphertext),
        _name("1.2.840.113549.1.9.16.3.28"),  # id-alg-hkdf-with-sha256, RFC 8619
        der.integer(AES256_WRAP.length),
        AES256_WRAP.algorithm,
        AES256_WRAP.wrap(kek, cek),
    )
    return der.element(_4, _KEM, info)


def _agree(key: AgreementKey) -> tuple[Agreement, bytes, bytes]:
    """How it was agreed, the fields of OriginatorPublicKey (DER), and the shared secret."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        ephemeral = ec.generate_private_key(key.curve)
        point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        # Parameters absent: the recipient knows his curve (RFC 5753 3.1.1).
        originator = _originator("1.2.840.10045.2.1", point)
        return CURVES[key.curve.name], originator, ephemeral.exchange(ec.ECDH(), key)
    if isinstance(key, X25519PublicKey):
        x25519 = X25519PrivateKey.generate()
        originator = _originator("1.3.101.110", x25519.public_key().public_bytes_raw())
        return _X25519, originator, x25519.exchange(key)
    x448 = X448PrivateKey.generate()
    originator = _originator("1.3.101.111", x448.public_key().public_bytes_raw())
    return _X448, originator, x448.exchange(key)


def _originator(oid: str, public_key: bytes) -> bytes:
    return _name(oid) + der.element(der.BIT_STRING, _NO_UNUSED_BITS, public_key)


def _name(oid: str) -> bytes:
    """AlgorithmIdentifier (DER) without parameters."""
    return der.element(der.SEQUENCE, der.object_identifier(oid))
