"""OAEP decoding opens what the library encodes and tells nothing of what is wrong."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from smime_proxy.tokens.oaep import unpadded
from tests import pki

SHA256 = hashes.SHA256()


def encoded(message: bytes, label: bytes = b"") -> bytes:
    """Encode with the library, and undo its RSA by the private numbers."""
    key = pki.rsa_key()
    scheme = padding.OAEP(padding.MGF1(SHA256), SHA256, label or None)
    number = int.from_bytes(key.public_key().encrypt(message, scheme), "big")
    private = key.private_numbers()
    return pow(number, private.d, private.public_numbers.n).to_bytes(256, "big")


@pytest.mark.parametrize("message", [b"", b"k" * 32, b"\0\1\0", b"m" * 190])
def test_it_opens_what_was_encoded(message: bytes) -> None:
    assert unpadded(encoded(message), SHA256, SHA256, b"") == message
    assert unpadded(encoded(message, b"label"), SHA256, SHA256, b"label") == message


@pytest.mark.parametrize("at", [0, 1, 32, 33, 64, 65, 223])
def test_any_flipped_octet_is_the_same_failure(at: int) -> None:
    """E12."""
    block = bytearray(encoded(b"k" * 32))
    block[at] ^= 1
    with pytest.raises(ValueError, match=r"^decryption failed$"):
        unpadded(bytes(block), SHA256, SHA256, b"")


@pytest.mark.parametrize("block", [b"", b"\0" * 65, b"\0" * 256])
def test_so_is_any_other_block(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"^decryption failed$"):
        unpadded(block, SHA256, SHA256, b"")


def test_so_is_another_label() -> None:
    with pytest.raises(ValueError, match=r"^decryption failed$"):
        unpadded(encoded(b"k" * 32, b"label"), SHA256, SHA256, b"")
