import pytest

from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.key_wrap import KEY_WRAPS, key_wrap
from tests.unit.cms import ways


def test_the_vectors_of_the_rfcs_come_out() -> None:
    """RFC 3394 4.1 and 4.6."""
    key = bytes.fromhex("00112233445566778899aabbccddeeff")
    wrapped = "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"
    kek = bytes(range(16))
    assert key_wrap(ways.AES128_WRAP).unwrap(kek, bytes.fromhex(wrapped)) == key
    wrapped = "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    key = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    assert key_wrap(ways.AES256_WRAP).unwrap(bytes(range(32)), bytes.fromhex(wrapped)) == key


def test_the_triple_des_vector_of_the_rfc_comes_out() -> None:
    """RFC 3217 3.4."""
    kek = bytes.fromhex("255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f")
    wrapped = bytes.fromhex(
        "690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4"
    )
    key = bytes.fromhex("2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98")
    assert key_wrap(ways.TRIPLE_DES_WRAP).unwrap(kek, wrapped) == key


@pytest.mark.parametrize("octets", [8, 16, 24, 32, 64])
def test_triple_des_wraps_keys_of_other_ciphers_too(octets: int) -> None:
    """OpenSSL and Bouncy Castle protect AES keys with it, beyond RFC 3217."""
    wrap = key_wrap(ways.TRIPLE_DES_WRAP)
    kek, key = bytes(range(wrap.key_length)), bytes(range(octets))
    wrapped = ways.wrap_key(ways.TRIPLE_DES_WRAP, kek, key)
    assert wrap.unwrap(kek, wrapped) == key
    with pytest.raises(DecryptionError):
        wrap.unwrap(kek, wrapped[:-8])


@pytest.mark.parametrize("octets", [0, 72])
def test_triple_des_wraps_nothing_absurd(octets: int) -> None:
    wrapped = ways.wrap_key(ways.TRIPLE_DES_WRAP, bytes(range(24)), bytes(octets))
    with pytest.raises(DecryptionError):
        key_wrap(ways.TRIPLE_DES_WRAP).unwrap(bytes(range(24)), wrapped)


@pytest.mark.parametrize("oid", KEY_WRAPS)
def test_a_changed_octet_is_refused(oid: str) -> None:
    wrap = key_wrap(oid)
    kek, key = bytes(range(wrap.key_length)), bytes(range(24))
    wrapped = ways.wrap_key(oid, kek, key)
    assert wrap.unwrap(kek, wrapped) == key
    for changed in (wrapped[:-1], b"", wrapped + b"\x00", bytes((wrapped[0] ^ 1,)) + wrapped[1:]):
        with pytest.raises(DecryptionError):
            wrap.unwrap(kek, changed)


def test_other_algorithms_are_refused() -> None:
    with pytest.raises(DecryptionError):
        key_wrap("1.2.3")
