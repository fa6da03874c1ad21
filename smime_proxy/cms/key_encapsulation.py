"""Opens content keys that a key encapsulation mechanism protects.

RFC 9629 (KEMRecipientInfo), RFC 9936 (ML-KEM), RFC 8619 and RFC 5869 (HKDF).
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smime_proxy.cms import ber, der
from smime_proxy.cms.algorithms import by_oid
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.key_wrap import key_wrap
from smime_proxy.cms.recipient_info import RecipientInfo

EncapsulationKey = mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey

ML_KEM_768 = "2.16.840.1.101.3.4.4.2"
ML_KEM_1024 = "2.16.840.1.101.3.4.4.3"
HKDF_SHA256 = "1.2.840.113549.1.9.16.3.28"


@dataclass(frozen=True, slots=True)
class Kem:
    """A key encapsulation mechanism; `key` is None where it is known by name only."""

    oid: str
    name: str
    key: type[EncapsulationKey] | None


KEMS = by_oid(
    (
        Kem("2.16.840.1.101.3.4.4.1", "mlkem512", None),  # missing in the primitives
        Kem(ML_KEM_768, "mlkem768", mlkem.MLKEM768PrivateKey),
        Kem(ML_KEM_1024, "mlkem1024", mlkem.MLKEM1024PrivateKey),
    )
)
_KDFS: dict[str, hashes.HashAlgorithm] = {
    HKDF_SHA256: hashes.SHA256(),
    "1.2.840.113549.1.9.16.3.29": hashes.SHA384(),
    "1.2.840.113549.1.9.16.3.30": hashes.SHA512(),
}


def encapsulated_key(recipient: RecipientInfo, key: EncapsulationKey) -> bytes:
    """The content key; raises DecryptionError or CmsError."""
    sent = recipient.encapsulation
    kem = KEMS.get(recipient.algorithm)
    if sent is None or kem is None or kem.key is None or not isinstance(key, kem.key):
        raise DecryptionError
    digest = _KDFS.get(sent.kdf)
    wrap = key_wrap(read_algorithm(ber.read_only(sent.wrap))[0])
    # RFC 9629 2: the recipient checks that the length is that of the key wrap.
    if digest is None or sent.kek_length != wrap.key_length:
        raise DecryptionError
    try:
        secret = key.decapsulate(sent.ciphertext)
    except ValueError:
        raise DecryptionError from None
    info = kem_info(sent.wrap, wrap.key_length, sent.ukm)
    # RFC 9936 2.2.2: without salt.
    return wrap.unwrap(
        HKDF(digest, wrap.key_length, None, info).derive(secret), recipient.encrypted_key
    )


def kem_info(wrap: bytes, length: int, ukm: bytes | None) -> bytes:
    """CMSORIforKEMOtherInfo (RFC 9629 5); `wrap` is an AlgorithmIdentifier, `length` in octets."""
    keying = b"" if ukm is None else der.element(0xA0, der.element(der.OCTET_STRING, ukm))
    return der.element(der.SEQUENCE, wrap, der.integer(length), keying)
