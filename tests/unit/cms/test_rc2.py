import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms.rc2 import Rc2Cbc, decrypt_blocks, expand

# RFC 2268 5: key, effective bits, plaintext, ciphertext.
VECTORS = [
    ("0000000000000000", 63, "0000000000000000", "ebb773f993278eff"),
    ("ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"),
    ("3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"),
    ("88", 64, "0000000000000000", "61a8a244adacccf0"),
    ("88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"),
    ("88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"),
    ("88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"),
    (
        "88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e",
        129,
        "0000000000000000",
        "5b78d3a43dfff1f1",
    ),
]


@pytest.mark.parametrize(("key", "bits", "plaintext", "ciphertext"), VECTORS)
def test_the_vectors_of_the_rfc_come_out(
    key: str, bits: int, plaintext: str, ciphertext: str
) -> None:
    words = expand(bytes.fromhex(key), bits)
    assert decrypt_blocks(words, bytes.fromhex(ciphertext) * 3) == bytes.fromhex(plaintext) * 3


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=200), st.integers(1, 50))
def test_it_agrees_with_the_library_where_that_has_the_key_length(
    key: bytes, content: bytes, size: int
) -> None:
    """The library knows keys of 128 bits only. Pieces may end inside a block."""
    vector = bytes(range(8))
    content = content[: len(content) // 8 * 8]
    ciphertext = Cipher(RC2(key), modes.CBC(vector)).encryptor().update(content)
    decryptor = Rc2Cbc(key, 128, vector)
    pieces = [ciphertext[at : at + size] for at in range(0, len(ciphertext), size)]
    assert b"".join(decryptor.update(memoryview(piece)) for piece in pieces) == content
