"""Someone to encrypt to, as his certificate says: its key decides how he gets the content key.

RFC 8551 2.3, RFC 5652 6.2; RFC 4055 1.2 (RSA keys bound to one use), RFC 5753, RFC 8418, RFC 9936.
"""

from dataclasses import dataclass, field
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from smime_proxy.cms import der
from smime_proxy.cms.algorithms import MAX_RSA_BITS, MIN_RSA_BITS, RSA_ENCRYPTION
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.ciphers import RSAES_OAEP
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.key_protection import (
    CURVES,
    OAEP_SHA256,
    PKCS1V15,
    Transport,
    key_agreement,
    key_encapsulation,
    key_transport,
)
from smime_proxy.cms.key_transport import oaep as oaep_padding

EncryptionKey = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | X25519PublicKey
    | X448PublicKey
    | MLKEM768PublicKey
    | MLKEM1024PublicKey
)


@dataclass(frozen=True, slots=True)
class CmsRecipient:
    """Someone to encrypt to: his key and how recipientInfos name it.

    `rid` is an IssuerAndSerialNumber (DER); `transport` counts for RSA keys only.
    """

    public_key: EncryptionKey = field(repr=False)
    rid: bytes = field(repr=False)
    transport: Transport = field(repr=False, default=PKCS1V15)

    @classmethod
    def from_certificate(cls, certificate_der: bytes, *, oaep: bool = False) -> "CmsRecipient":
        """The holder of a certificate with a key that can be encrypted to.

        RSA of 2048 to 8192 bits (PKCS#1 v1.5, or OAEP with SHA-256 where `oaep` asks for it or
        the key is for that alone), the curves P-256 to P-521 and brainpool of RFC 5639, X25519,
        X448, ML-KEM-768 and -1024. Raises MalformedCms for an unreadable certificate,
        UnsupportedAlgorithm for other keys.
        """
        fields = read_certificate(certificate_der)
        oid, parameters = fields.key_algorithm()
        key = fields.public_key()
        if not isinstance(key, EncryptionKey):
            raise UnsupportedAlgorithm(oid, "no key to encrypt to")
        _check(oid, key)
        transport = OAEP_SHA256 if oaep else PKCS1V15
        if oid == RSAES_OAEP.oid:
            transport = _bound(parameters)
        return cls(key, fields.issuer_and_serial, transport)

    @property
    def type(self) -> str:
        """Kind of his recipientInfo: ktri, kari or ori."""
        match self.public_key:
            case rsa.RSAPublicKey():
                return "ktri"
            case ec.EllipticCurvePublicKey() | X25519PublicKey() | X448PublicKey():
                return "kari"
            case MLKEM768PublicKey() | MLKEM1024PublicKey():
                return "ori"
            case _:
                assert_never(self.public_key)

    def info(self, key: bytes) -> bytes:
        """RecipientInfo (DER) with the content-encryption key; raises CmsError."""
        try:
            match self.public_key:
                case rsa.RSAPublicKey() as public:
                    return key_transport(public, self.rid, self.transport, key)
                case MLKEM768PublicKey() | MLKEM1024PublicKey() as public:
                    return key_encapsulation(public, self.rid, key)
                case public:
                    return key_agreement(public, self.rid, key)
        except ValueError:  # such as a point of small order, which agrees on nothing secret
            raise CmsError("the recipient's key cannot be used") from None


def _bound(parameters: bytes) -> Transport:
    """OAEP as the key itself demands it, where it does (RFC 4055 1.2 and 4.1)."""
    if parameters in {b"", der.NULL}:
        return OAEP_SHA256
    try:
        scheme = oaep_padding(parameters)
    except CmsError:
        raise UnsupportedAlgorithm(RSAES_OAEP.oid, "unknown parameters of a key") from None
    name = der.object_identifier(RSAES_OAEP.oid)
    return Transport(der.element(der.SEQUENCE, name, parameters), scheme)


def _check(oid: str, key: EncryptionKey) -> None:
    match key:
        case rsa.RSAPublicKey():
            if oid not in {RSA_ENCRYPTION, RSAES_OAEP.oid}:  # RFC 4055 1.2: PSS keys only sign
                raise UnsupportedAlgorithm(oid, "no key to encrypt to")
            if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                raise UnsupportedAlgorithm(oid, f"RSA key of {key.key_size} bits")
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in CURVES:
                raise UnsupportedAlgorithm(oid, f"curve {key.curve.name}")
        case _:
            pass
