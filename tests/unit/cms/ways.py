"""Makes recipientInfos and content of every kind, well formed or not, for the tests.

Written from the RFCs and not with what opens them, so that both must agree.
"""

import hashlib
from dataclasses import replace

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import der, oids
from smime_proxy.cms.ciphers import ContentCipher
from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey
from smime_proxy.cms.key_agreement import AgreementKey
from tests.unit.cms import made
from tests.unit.cms.parties import decryption_key, party

STD_SHA256 = "1.3.132.1.11.1"  # dhSinglePass-stdDH-sha256kdf-scheme
HKDF_SCHEME = "1.2.840.113549.1.9.16.3.19"  # dhSinglePass-stdDH-hkdf-sha256-scheme
AES128_WRAP = "2.16.840.1.101.3.4.1.5"
AES192_WRAP = "2.16.840.1.101.3.4.1.25"
AES256_WRAP = "2.16.840.1.101.3.4.1.45"
TRIPLE_DES_WRAP = "1.2.840.113549.1.9.16.3.6"
WRAP_LENGTHS = {AES128_WRAP: 16, AES192_WRAP: 24, AES256_WRAP: 32, TRIPLE_DES_WRAP: 24}
ML_KEM_768 = "2.16.840.1.101.3.4.4.2"
ML_KEM_1024 = "2.16.840.1.101.3.4.4.3"
HKDF_SHA256 = "1.2.840.113549.1.9.16.3.28"
SHA1 = hashes.SHA1()  # noqa: S303 - old mail has it
NONCE = bytes(range(12))


def key_of(private_key: PrivateKey) -> DecryptionKey:
    """Alice's names with another key."""
    return replace(decryption_key(), private_key=private_key)


def octet_string(octets: bytes, tag: int | None = None) -> bytes:
    plain = der.element(der.OCTET_STRING, octets)
    return plain if tag is None else der.element(tag, plain)


def wrap_key(oid: str, kek: bytes, key: bytes) -> bytes:
    if oid != TRIPLE_DES_WRAP:
        return aes_key_wrap(kek, key)
    checksum = hashlib.sha1(key, usedforsecurity=False).digest()[:8]
    inner = _triple_des(kek, b"vector..", key + checksum)
    return _triple_des(kek, bytes.fromhex("4adda22c79e82105"), (b"vector.." + inner)[::-1])


def _triple_des(key: bytes, vector: bytes, octets: bytes) -> bytes:
    encryptor = Cipher(TripleDES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(octets)


def oaep(
    key: bytes,
    parameters: bytes,
    digest: hashes.HashAlgorithm = SHA1,
    mask: hashes.HashAlgorithm = SHA1,
    label: bytes | None = None,
) -> bytes:
    """Write a recipientInfo for alice with RSAES-OAEP."""
    own = party().key
    assert isinstance(own, rsa.RSAPrivateKey)
    sealed = own.public_key().encrypt(key, padding.OAEP(padding.MGF1(mask), digest, label))
    transport = made.algorithm("1.2.840.113549.1.1.7", parameters)
    return made.ktri(key, transport=transport, encrypted=sealed)


def ephemeral(
    key: AgreementKey,
) -> tuple[bytes, bytes]:
    """Give an ephemeral public key's octets and the secret shared with the key's holder."""
    match key:
        case x25519.X25519PrivateKey():
            one = x25519.X25519PrivateKey.generate()
            return one.public_key().public_bytes_raw(), one.exchange(key.public_key())
        case x448.X448PrivateKey():
            other = x448.X448PrivateKey.generate()
            return other.public_key().public_bytes_raw(), other.exchange(key.public_key())
        case _:
            sender = ec.generate_private_key(key.curve)
            form = PublicFormat.UncompressedPoint
            point = sender.public_key().public_bytes(Encoding.X962, form)
            return point, sender.exchange(ec.ECDH(), key.public_key())


def kari(
    content_key: bytes,
    key: AgreementKey,
    *,
    scheme: str = STD_SHA256,
    digest: hashes.HashAlgorithm | None = None,
    wrap: str = AES256_WRAP,
    wrap_parameters: bytes = b"",
    derived_parameters: bytes | None = None,
    ukm: bytes | None = None,
    salt: bytes | None = None,
    rid: bytes = made.ALICE,
    originator: bytes | None = None,
    originator_algorithm: bytes | None = None,
    secret: bytes | None = None,
) -> bytes:
    """Write a KeyAgreeRecipientInfo.

    `originator` and `secret` go in place of the ephemeral key's octets and of what is agreed on,
    `derived_parameters` in place of `wrap_parameters` where the key is derived.
    """
    point, agreed = ephemeral(key)
    secret = secret or agreed
    length = WRAP_LENGTHS.get(wrap, 32)
    key_wrap = made.algorithm(wrap, wrap_parameters)
    shared = der.element(
        der.SEQUENCE,
        key_wrap if derived_parameters is None else made.algorithm(wrap, derived_parameters),
        b"" if ukm is None else octet_string(ukm, 0xA0),
        octet_string((8 * length).to_bytes(4), 0xA2),
    )
    primitive = digest or hashes.SHA256()
    if scheme.startswith("1.2.840.113549"):
        kek = HKDF(primitive, length, salt, shared).derive(secret)
    else:
        kek = X963KDF(primitive, length, shared).derive(secret)
    wrapped = wrap_key(wrap, kek, content_key)
    public = der.element(der.BIT_STRING, b"\x00", point if originator is None else originator)
    algorithm = originator_algorithm or made.algorithm("1.2.840.10045.2.1")
    return der.element(
        0xA1,
        der.integer(3),
        der.element(0xA0, der.element(0xA1, algorithm, public)),
        b"" if ukm is None else octet_string(ukm, 0xA1),
        made.algorithm(scheme, key_wrap),
        der.element(der.SEQUENCE, der.element(der.SEQUENCE, rid, octet_string(wrapped))),
    )


def kemri(
    content_key: bytes,
    key: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey,
    *,
    kem: str = ML_KEM_768,
    kdf: str = HKDF_SHA256,
    digest: hashes.HashAlgorithm | None = None,
    wrap: str = AES256_WRAP,
    stated_length: int | None = None,
    ukm: bytes | None = None,
    ciphertext: bytes | None = None,
    rid: bytes = made.ALICE,
) -> bytes:
    """Write an OtherRecipientInfo with a KEMRecipientInfo."""
    secret, encapsulated = key.public_key().encapsulate()
    length = WRAP_LENGTHS[wrap]
    key_wrap = made.algorithm(wrap)
    keying = b"" if ukm is None else octet_string(ukm, 0xA0)
    shared = der.element(der.SEQUENCE, key_wrap, der.integer(length), keying)
    kek = HKDF(digest or hashes.SHA256(), length, None, shared).derive(secret)
    info = der.element(
        der.SEQUENCE,
        der.integer(0),
        rid,
        made.algorithm(kem),
        octet_string(encapsulated if ciphertext is None else ciphertext),
        made.algorithm(kdf),
        der.integer(length if stated_length is None else stated_length),
        keying,
        key_wrap,
        octet_string(wrap_key(wrap, kek, content_key)),
    )
    return der.element(0xA4, der.object_identifier(oids.KEM_RECIPIENT), info)


def aead(
    cipher: ContentCipher, key: bytes, content: bytes, covered: bytes = b"", tag: int = 16
) -> tuple[bytes, bytes, bytes]:
    """Give parameters, ciphertext and tag."""
    nonce = octet_string(NONCE)
    parameters = der.element(der.SEQUENCE, nonce, der.integer(tag))
    if cipher.name.endswith("gcm"):
        sealed = AESGCM(key).encrypt(NONCE, content, covered)
        return parameters, sealed[:-16], sealed[-16:][:tag]
    if cipher.name.endswith("ccm"):
        sealed = AESCCM(key, tag).encrypt(NONCE, content, covered)
        return parameters, sealed[:-tag], sealed[-tag:]
    sealed = ChaCha20Poly1305(key).encrypt(NONCE, content, covered)
    return nonce, sealed[:-16], sealed[-16:]


def auth_enveloped_data(
    *infos: bytes,
    cipher: ContentCipher,
    parameters: bytes,
    ciphertext: bytes,
    tag: bytes,
    attributes: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """Wrap it all; `attributes` are those of [1] with their header."""
    sealed = der.element(
        der.SEQUENCE,
        der.object_identifier(oids.DATA),
        made.algorithm(cipher.oid, parameters),
        der.element(0x80, ciphertext),
    )
    return made.wrap(
        oids.AUTH_ENVELOPED_DATA,
        der.integer(0),
        der.element(der.SET, *infos),
        sealed,
        attributes,
        octet_string(tag),
        behind,
    )
