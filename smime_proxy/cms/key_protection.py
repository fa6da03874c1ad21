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
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import algorithms, ciphers, der
from smime_proxy.cms.errors import UnsupportedAlgorithm
from smime_proxy.cms.key_agreement import SCHEMES, AgreementScheme, shared_info
from smime_proxy.cms.key_encapsulation import HKDF_SHA256, ML_KEM_768, ML_KEM_1024, kem_info
from smime_proxy.cms.key_wrap import KEY_WRAPS, KeyWrap
from smime_proxy.cms.oids import KEM_RECIPIENT

AgreementKey = ec.EllipticCurvePublicKey | X25519PublicKey | X448PublicKey
KemKey = MLKEM768PublicKey | MLKEM1024PublicKey

_0, _1, _4 = 0xA0, 0xA1, 0xA4  # context specific tags
_VERSION_0, _VERSION_3 = der.integer(0), der.integer(3)
_NO_UNUSED_BITS = b"\x00"  # X.690 8.6.2.2
_KEM = der.object_identifier(KEM_RECIPIENT)


@dataclass(frozen=True, slots=True)
class Transport:
    """RSA key transport: AlgorithmIdentifier (DER) and the padding it names."""

    algorithm: bytes
    padding: padding.AsymmetricPadding


def _oaep_sha256() -> Transport:
    # RFC 4055 2.1: parameters NULL, though absent ones are accepted too; the label is the
    # default, so it is absent in DER.
    sha256 = der.element(der.SEQUENCE, der.object_identifier(algorithms.SHA256.oid), der.NULL)
    mgf1 = der.element(der.SEQUENCE, der.object_identifier(algorithms.MGF1), sha256)
    fields = der.element(der.SEQUENCE, der.element(_0, sha256), der.element(_1, mgf1))
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    name = der.object_identifier(ciphers.RSAES_OAEP.oid)
    return Transport(der.element(der.SEQUENCE, name, fields), scheme)


OAEP_SHA256 = _oaep_sha256()
PKCS1V15 = Transport(
    der.element(der.SEQUENCE, der.object_identifier(ciphers.RSAES_PKCS1V15.oid), der.NULL),
    padding.PKCS1v15(),
)

# Ephemeral-static, standard and not cofactor: RFC 5753 7.1.4, RFC 8418 2.
_SHA256, _SHA384, _SHA512 = (SCHEMES[f"1.3.132.1.11.{number}"] for number in (1, 2, 3))
_HKDF_SHA256, _HKDF_SHA512 = (SCHEMES[f"1.2.840.113549.1.9.16.3.{n}"] for n in (19, 21))
# RFC 5753 8: a digest of at least the security of the curve.
CURVES: dict[str, AgreementScheme] = {
    "secp256r1": _SHA256,
    "secp384r1": _SHA384,
    "secp521r1": _SHA512,
    "brainpoolP256r1": _SHA256,
    "brainpoolP384r1": _SHA384,
    "brainpoolP512r1": _SHA512,
}

_AES128_WRAP = KEY_WRAPS["2.16.840.1.101.3.4.1.5"]
_AES256_WRAP = KEY_WRAPS["2.16.840.1.101.3.4.1.45"]


def key_transport(key: rsa.RSAPublicKey, rid: bytes, transport: Transport, cek: bytes) -> bytes:
    """KeyTransRecipientInfo (DER); `rid` is an IssuerAndSerialNumber. Raises ValueError."""
    encrypted = der.element(der.OCTET_STRING, key.encrypt(cek, transport.padding))
    return der.element(der.SEQUENCE, _VERSION_0, rid, transport.algorithm, encrypted)


def key_agreement(key: AgreementKey, rid: bytes, cek: bytes) -> bytes:
    """KeyAgreeRecipientInfo (DER) with one key in it and no ukm. Raises ValueError."""
    scheme, originator, secret = _agree(key)
    wrap = _wrap_for(cek)
    encrypted = der.element(der.SEQUENCE, rid, _wrapped(_derived(scheme, secret, wrap), cek))
    return der.element(
        _1,
        _VERSION_3,
        der.element(_0, der.element(_1, originator)),
        der.element(der.SEQUENCE, der.object_identifier(scheme.oid), _name(wrap.oid)),
        der.element(der.SEQUENCE, encrypted),
    )


def key_encapsulation(key: KemKey, rid: bytes, cek: bytes) -> bytes:
    """OtherRecipientInfo (DER) with a KEMRecipientInfo, RFC 9936 2.2.2: HKDF-SHA-256, AES-256."""
    secret, ciphertext = key.encapsulate()
    wrap, length = _name(_AES256_WRAP.oid), _AES256_WRAP.key_length
    kek = HKDF(hashes.SHA256(), length, None, kem_info(wrap, length, None)).derive(secret)
    info = der.element(
        der.SEQUENCE,
        _VERSION_0,
        rid,
        _name(ML_KEM_768 if isinstance(key, MLKEM768PublicKey) else ML_KEM_1024),
        der.element(der.OCTET_STRING, ciphertext),
        _name(HKDF_SHA256),
        der.integer(length),
        wrap,
        _wrapped(kek, cek),
    )
    return der.element(_4, _KEM, info)


def _wrap_for(cek: bytes) -> KeyWrap:
    """No weaker than the key to wrap (RFC 5753 8); of 192 bits few implementations know."""
    return _AES128_WRAP if len(cek) <= _AES128_WRAP.key_length else _AES256_WRAP


def _wrapped(kek: bytes, cek: bytes) -> bytes:
    return der.element(der.OCTET_STRING, aes_key_wrap(kek, cek))


def _derived(scheme: AgreementScheme, secret: bytes, wrap: KeyWrap) -> bytes:
    """The key-encryption key; without ukm there is one reading of how to derive it."""
    if scheme.derive is None:  # it is known by more than its name
        raise UnsupportedAlgorithm(scheme.oid)
    info = shared_info(_name(wrap.oid), None, wrap.key_length)
    return next(scheme.derive(scheme.digest, secret, info, None, wrap.key_length))


def _agree(key: AgreementKey) -> tuple[AgreementScheme, bytes, bytes]:
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
        return _HKDF_SHA256, originator, x25519.exchange(key)
    x448 = X448PrivateKey.generate()
    originator = _originator("1.3.101.111", x448.public_key().public_bytes_raw())
    return _HKDF_SHA512, originator, x448.exchange(key)


def _originator(oid: str, public_key: bytes) -> bytes:
    return _name(oid) + der.element(der.BIT_STRING, _NO_UNUSED_BITS, public_key)


def _name(oid: str) -> bytes:
    """AlgorithmIdentifier (DER) without parameters."""
    return der.element(der.SEQUENCE, der.object_identifier(oid))
