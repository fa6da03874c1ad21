import tracemalloc

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2 as LIBRARY_RC2
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from smime_proxy.cms import der
from smime_proxy.cms.cbc import MAX_RC2_OCTETS, cbc_content
from smime_proxy.cms.ciphers import AES256_CBC, RC2
from smime_proxy.cms.errors import DecryptionError
from tests.unit.cms.parties import CONTENT
from tests.unit.cms.ways import octet_string

KEY = bytes(range(16))
VECTOR = bytes(range(8))


def rc2(content: bytes) -> bytes:
    pad = 8 - len(content) % 8
    encryptor = Cipher(LIBRARY_RC2(KEY), modes.CBC(VECTOR)).encryptor()
    return encryptor.update(content + bytes((pad,)) * pad)


def parameters(version: int | None) -> bytes:
    if version is None:
        return octet_string(VECTOR)
    return der.element(der.SEQUENCE, der.integer(version), octet_string(VECTOR))


def test_rc2_of_128_bits_opens() -> None:
    """E54: the library encrypts with 128 effective bits only."""
    content = cbc_content(RC2, parameters(58), (rc2(CONTENT),))
    assert content.key_lengths == (16, 16)
    assert content.open([KEY]) == CONTENT


# Made by OpenSSL 3.0 (`openssl enc -provider legacy`) with the keys 0102030405, 0102030405060708.
OPENSSL = {
    160: (bytes(range(1, 6)), "c9d865fa0de7c41c8fe09bfe5c216529aeac49a27be14c682ec3dd23664563b7"),
    120: (bytes(range(1, 9)), "c2d676b4634668b6c3086018f0aa23fc1b00116642684e9135b42bed527464b8"),
}


@pytest.mark.parametrize("version", OPENSSL)
def test_rc2_with_short_keys_opens(version: int) -> None:
    """E54: what Outlook and others wrote until 2000."""
    key, ciphertext = OPENSSL[version]
    content = cbc_content(RC2, parameters(version), (bytes.fromhex(ciphertext),))
    assert content.key_lengths[0] == len(key)
    assert content.open([key]) == b"old mail, weakly encrypted"


@pytest.mark.parametrize(
    "encoded",
    [
        parameters(1),
        parameters(0),
        parameters(1024),
        b"",
        der.NULL,
        octet_string(bytes(9)),
        der.element(der.SEQUENCE),
        der.element(der.SEQUENCE, der.integer(58), octet_string(VECTOR), der.NULL),
    ],
)
def test_other_parameters_are_refused(encoded: bytes) -> None:
    with pytest.raises(DecryptionError):
        cbc_content(RC2, encoded, (rc2(CONTENT),))


def test_rc2_without_a_version_has_32_effective_bits() -> None:
    """RFC 2268 6."""
    assert cbc_content(RC2, parameters(None), (rc2(CONTENT),)).key_lengths[0] == 4


def test_the_work_rc2_takes_is_limited() -> None:
    """E91."""
    cbc_content(RC2, parameters(58), (bytes(MAX_RC2_OCTETS),))
    with pytest.raises(DecryptionError):
        cbc_content(RC2, parameters(58), (bytes(MAX_RC2_OCTETS), bytes(8)))


def test_large_content_is_in_memory_once() -> None:
    plain = bytes(8 * 1024**2)
    encryptor = Cipher(AES(bytes(32)), modes.CBC(bytes(16))).encryptor()
    ciphertext = encryptor.update(plain) + encryptor.update(bytes((16,)) * 16)
    content = cbc_content(AES256_CBC, octet_string(bytes(16)), (memoryview(ciphertext),))
    tracemalloc.start()
    try:
        assert len(content.open([bytes(32)])) == len(plain)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * len(plain)
