"""Private keys in PKCS #8, also in the forms of ML-KEM and ML-DSA that the library does not read.

RFC 5958 (PKCS #8), RFC 8018 6.2 (PBES2), RFC 9935 6 and RFC 9881 6 (seed, expanded key, or both).
"""

import hashlib
from typing import Any

from asn1crypto import core
from asn1crypto import keys as asn1_keys
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_der_private_key

_SEED = 0x80  # [0] IMPLICIT OCTET STRING


def read_private_key(der: bytes, password: bytes | None) -> PrivateKeyTypes:
    """Read a PKCS #8 key, encrypted when there is a password.

    What OpenSSL 3.5 writes for ML-KEM and ML-DSA holds the seed and what is computed from it; the
    library takes the seed alone. Raises what `load_der_private_key` raises. The rounds of key
    derivation must have been looked at before.
    """
    try:
        return load_der_private_key(der, password)
    except (ValueError, UnsupportedAlgorithm) as refusal:
        try:
            plain = der if password is None else _decrypted(der, password)
            return load_der_private_key(_with_seed_only(plain), None)
        except Exception as error:  # asn1crypto raises many kinds on malformed input
            raise refusal from error


def _with_seed_only(der: bytes) -> bytes:
    info = core.Sequence.load(der)
    kind, held = info[1], core.load(info[2].native)
    seed = held[0].native  # of another length the library reads none
    key = core.OctetString(bytes((_SEED, len(seed))) + seed)
    content = b"".join((core.Integer(0).dump(), kind.dump(), key.dump()))
    return bytes(core.Sequence(contents=content).dump())


def _decrypted(der: bytes, password: bytes) -> bytes:
    """Undo PBES2 with PBKDF2 and AES-CBC, which is how OpenSSL encrypts keys."""
    info = asn1_keys.EncryptedPrivateKeyInfo.load(der)
    algorithm: Any = info["encryption_algorithm"]
    if (algorithm["algorithm"].native, algorithm.encryption_cipher) != ("pbes2", "aes"):
        raise ValueError("encrypted in another way")
    key = hashlib.pbkdf2_hmac(
        algorithm.kdf_hmac,
        password,
        algorithm.kdf_salt,
        algorithm.kdf_iterations,
        algorithm.key_length,
    )
    decryptor = Cipher(algorithms.AES(key), modes.CBC(algorithm.encryption_iv)).decryptor()
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    padded = decryptor.update(info["encrypted_data"].native) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()
