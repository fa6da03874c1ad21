"""Content ciphers, compared with the library's own one-piece functions."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.cms.chunks import CHUNK
from smime_proxy.cms.content_encryption import ContentEncryption, encryption_named
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import UnsupportedAlgorithm

AUTHENTICATED = ["aes256_gcm", "aes192_gcm", "aes128_gcm", "chacha20_poly1305"]
CBC = ["aes256_cbc", "aes192_cbc", "aes128_cbc"]
LENGTHS = [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5]


def encrypted(row: ContentEncryption, content: list[bytes]) -> tuple[list[Octets], bytes]:
    """Give the pieces of ciphertext and the tag, with a key of ones and a vector of twos."""
    tags: list[bytes] = []

    def run() -> Iterator[Octets]:
        key, vector = b"\1" * row.cipher.key_length, b"\2" * row.vector_length
        tags.append((yield from row.encrypt(key, vector, content)))

    return list(run()), tags[0]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", AUTHENTICATED)
def test_authenticated_ciphers_are_the_library_s_in_pieces(name: str, length: int) -> None:
    row = encryption_named(name)
    content = bytes(range(251)) * (length // 251 + 1)
    pieces, tag = encrypted(row, [content[:length]])
    key, nonce = b"\1" * row.cipher.key_length, b"\2" * 12
    aead = ChaCha20Poly1305(key) if name == "chacha20_poly1305" else AESGCM(key)
    assert b"".join(pieces) + tag == aead.encrypt(nonce, content[:length], None)
    assert der.size(pieces) == row.ciphertext_length(length)
    assert len(tag) == row.tag_length == 16
    assert all(len(piece) <= CHUNK for piece in pieces)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", CBC)
def test_cbc_is_padded_as_rfc_5652_says(name: str, length: int) -> None:
    row = encryption_named(name)
    content = bytes(range(251)) * (length // 251 + 1)
    pieces, tag = encrypted(row, [content[:length]])
    padder = PKCS7(128).padder()
    padded = padder.update(content[:length]) + padder.finalize()
    encryptor = Cipher(AES(b"\1" * row.cipher.key_length), modes.CBC(b"\2" * 16)).encryptor()
    assert b"".join(pieces) == encryptor.update(padded)
    assert der.size(pieces) == row.ciphertext_length(length)
    assert (tag, row.tag_length) == (b"", 0)


@pytest.mark.parametrize("name", AUTHENTICATED + CBC)
@settings(max_examples=25)
@example(content=[b"a", b"b"])
@given(content=st.lists(st.binary(max_size=40), max_size=6))
def test_how_the_content_is_cut_makes_no_difference(name: str, content: list[bytes]) -> None:
    row = encryption_named(name)
    (pieces, tag), (whole, same) = encrypted(row, content), encrypted(row, [b"".join(content)])
    assert (b"".join(pieces), tag) == (b"".join(whole), same)


@pytest.mark.parametrize(
    ("name", "oid", "key_length"),
    [
        ("aes256_gcm", "2.16.840.1.101.3.4.1.46", 32),
        ("aes192_gcm", "2.16.840.1.101.3.4.1.26", 24),
        ("aes128_gcm", "2.16.840.1.101.3.4.1.6", 16),
    ],
)
def test_gcm_states_its_tag_length(name: str, oid: str, key_length: int) -> None:
    """RFC 5084 3.2: without a word it would be 12 octets."""
    row = encryption_named(name)
    nonce = bytes(range(12))
    parameters = b"\x30\x11\x04\x0c" + nonce + b"\x02\x01\x10"
    assert row.algorithm(nonce) == der.element(der.SEQUENCE, der.object_identifier(oid), parameters)
    assert (row.cipher.key_length, row.vector_length) == (key_length, 12)


def test_the_parameters_of_chacha20_poly1305_are_its_nonce() -> None:
    """RFC 8103 2.2."""
    row = encryption_named("chacha20_poly1305")
    nonce = bytes(range(12))
    name = der.object_identifier("1.2.840.113549.1.9.16.3.18")
    assert row.algorithm(nonce) == der.element(der.SEQUENCE, name, b"\x04\x0c" + nonce)
    assert (row.cipher.key_length, row.vector_length) == (32, 12)


@pytest.mark.parametrize("name", ["tripledes_3key", "rc2", "aes256_ccm", "AES256_CBC", ""])
def test_no_other_cipher_is_written(name: str) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        encryption_named(name)
