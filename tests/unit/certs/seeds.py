"""ML-KEM and ML-DSA keys as OpenSSL 3.5 writes them: seed and expanded key, encrypted or not.

RFC 9935 6, RFC 9881 6, RFC 8018 6.2.
"""

import hashlib

from asn1crypto import algos, core
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SeededKey = MLKEM768PrivateKey | MLKEM1024PrivateKey | MLDSA65PrivateKey
EXPANDED = bytes(2400)  # what is computed from the seed; its certificate tells whether it fits


def seed_form(key: SeededKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def in_form(der: bytes, held: bytes) -> bytes:
    """Put another choice of the private key into a PKCS #8 structure."""
    info = core.Sequence.load(der)
    parts = (info[0].dump(), info[1].dump(), core.OctetString(held).dump())
    return bytes(core.Sequence(contents=b"".join(parts)).dump())


def both(seed: bytes) -> bytes:
    """Write seed and expanded key, as OpenSSL 3.5 does unless told otherwise."""
    parts = core.OctetString(seed).dump(), core.OctetString(EXPANDED).dump()
    return bytes(core.Sequence(contents=b"".join(parts)).dump())


def encrypted(der: bytes, password: bytes) -> bytes:
    """Encrypt as `openssl pkcs8 -topk8` does: PBES2, PBKDF2 with SHA-256, AES-256-CBC."""
    salt, vector, rounds = bytes(8), bytes(16), 2048
    key = hashlib.pbkdf2_hmac("sha256", password, salt, rounds, 32)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    specified = algos.Pbkdf2Salt(name="specified", value=core.OctetString(salt))
    derivation = {"salt": specified, "iteration_count": rounds, "prf": {"algorithm": "sha256"}}
    parameters = {
        "key_derivation_func": {"algorithm": "pbkdf2", "parameters": derivation},
        "encryption_scheme": {"algorithm": "aes256_cbc", "parameters": vector},
    }
    info = {
        "encryption_algorithm": {"algorithm": "pbes2", "parameters": parameters},
        "encrypted_data": sealed,
    }
    return bytes(asn1_keys.EncryptedPrivateKeyInfo(info).dump())
