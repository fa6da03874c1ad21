"""OAEP decoding for tokens that have plain RSA but not this OAEP.

RFC 8017 7.1.2 (step 3) and B.2.1 (MGF1).
"""

import hmac

from cryptography.hazmat.primitives import hashes


def unpadded(
    encoded: bytes, digest: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, label: bytes
) -> bytes:
    """Give the message in an encoded block as long as the modulus; raises ValueError.

    Everything is looked at before anything is decided, and nothing says what was wrong: who can
    tell a first octet from a wrong label opens any message (Manger, CRYPTO 2001).
    """
    size = digest.digest_size
    if len(encoded) < 2 * size + 2:
        raise ValueError("decryption failed")
    first, masked_seed, masked_block = encoded[0], encoded[1 : size + 1], encoded[size + 1 :]
    seed = _xor(masked_seed, _mgf1(masked_block, size, mask))
    block = _xor(masked_block, _mgf1(seed, len(masked_block), mask))
    rest = block[size:].lstrip(b"\0")
    right_label = hmac.compare_digest(block[:size], _digest(label, digest))
    if not (right_label & (first == 0) & (rest[:1] == b"\x01")):
        raise ValueError("decryption failed")
    return rest[1:]


def _mgf1(seed: bytes, length: int, digest: hashes.HashAlgorithm) -> bytes:
    blocks = -(-length // digest.digest_size)
    made = b"".join(_digest(seed + counter.to_bytes(4, "big"), digest) for counter in range(blocks))
    return made[:length]


def _digest(octets: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(octets)
    return digest.finalize()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
