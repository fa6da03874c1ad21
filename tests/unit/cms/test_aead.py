import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.cms.aead import aead_content
from smime_proxy.cms.ciphers import (
    AES256_CBC,
    AES256_GCM,
    CHACHA20_POLY1305,
    CIPHERS,
    ContentCipher,
)
from smime_proxy.cms.errors import DecryptionError
from tests.unit.cms.parties import CONTENT
from tests.unit.cms.ways import NONCE, aead, octet_string

AEADS = [cipher for cipher in CIPHERS.values() if cipher.is_authenticated]
CCMS = [cipher for cipher in AEADS if cipher.name.endswith("ccm")]
COVERED = b"attributes"


def name(cipher: ContentCipher) -> str:
    return cipher.name


@pytest.mark.parametrize("cipher", AEADS, ids=name)
@pytest.mark.parametrize("covered", [b"", COVERED])
def test_every_cipher_opens_under_the_key_whose_tag_holds(
    cipher: ContentCipher, covered: bytes
) -> None:
    key = bytes(range(cipher.key_length))
    parameters, ciphertext, tag = aead(cipher, key, CONTENT, covered)
    pieces = (ciphertext[:7], ciphertext[7:])
    content = aead_content(cipher, parameters, pieces, tag, covered)
    assert content.key_lengths == (cipher.key_length,)
    assert content.open([bytes(cipher.key_length), key]) == CONTENT


@pytest.mark.parametrize("cipher", AEADS, ids=name)
@settings(max_examples=60)
@given(st.data())
def test_any_flipped_octet_fails(cipher: ContentCipher, data: st.DataObject) -> None:
    """V22: in ciphertext, tag or attributes."""
    key = bytes(range(cipher.key_length))
    parameters, *sent = aead(cipher, key, CONTENT, COVERED)
    sent.append(COVERED)
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(sent[which]) - 1))
    changed = bytearray(sent[which])
    changed[at] ^= data.draw(st.integers(1, 255))
    sent[which] = bytes(changed)
    ciphertext, tag, covered = sent
    with pytest.raises(DecryptionError):
        aead_content(cipher, parameters, (ciphertext,), tag, covered).open([key])


@pytest.mark.parametrize("cipher", AEADS, ids=name)
def test_a_tag_behind_the_ciphertext_is_found(cipher: ContentCipher) -> None:
    """E54: AEAD in EnvelopedData, as BouncyCastle writes it; chunks may cut the tag."""
    key = bytes(range(cipher.key_length))
    parameters, ciphertext, tag = aead(cipher, key, CONTENT)
    pieces = (ciphertext + tag[:3], tag[3:10], tag[10:])
    assert aead_content(cipher, parameters, pieces, None, b"").open([key]) == CONTENT
    with pytest.raises(DecryptionError):
        aead_content(cipher, parameters, (tag,), None, b"").open([key])
    with pytest.raises(DecryptionError):
        aead_content(cipher, parameters, (b"short",), None, b"")


@pytest.mark.parametrize("length", range(12, 17))
def test_tags_of_gcm_may_be_shorter(length: int) -> None:
    """RFC 5084 3.2."""
    key = bytes(32)
    parameters, ciphertext, tag = aead(AES256_GCM, key, CONTENT, tag=length)
    assert aead_content(AES256_GCM, parameters, (ciphertext,), tag, b"").open([key]) == CONTENT


@pytest.mark.parametrize("cipher", CCMS, ids=name)
@pytest.mark.parametrize("length", range(4, 17, 2))
def test_tags_of_ccm_may_be_shorter(cipher: ContentCipher, length: int) -> None:
    """RFC 5084 3.1."""
    key = bytes(cipher.key_length)
    parameters, ciphertext, tag = aead(cipher, key, CONTENT, tag=length)
    assert aead_content(cipher, parameters, (ciphertext,), tag, b"").open([key]) == CONTENT


def test_a_length_that_is_not_stated_is_twelve_or_that_of_the_tag() -> None:
    parameters = der.element(der.SEQUENCE, octet_string(NONCE))
    key = bytes(32)
    for length in (12, 16):
        _, ciphertext, tag = aead(AES256_GCM, key, CONTENT, tag=length)
        assert aead_content(AES256_GCM, parameters, (ciphertext,), tag, b"").open([key]) == CONTENT
    _, ciphertext, tag = aead(AES256_GCM, key, CONTENT, tag=12)
    behind = aead_content(AES256_GCM, parameters, (ciphertext + tag,), None, b"")
    assert behind.open([key]) == CONTENT


def with_nonce(octets: int, *others: bytes) -> bytes:
    return der.element(der.SEQUENCE, octet_string(bytes(octets)), *others)


@pytest.mark.parametrize(
    ("parameters", "tag"),
    [
        (with_nonce(12, der.integer(16)), 12),  # not the stated length
        (with_nonce(12, der.integer(8)), 8),  # too short for GCM
        (with_nonce(12, der.integer(-16)), 16),
        (with_nonce(7), 16),
        (with_nonce(129), 16),  # CVE-2025-15467
        (with_nonce(12, der.integer(16), der.NULL), 16),
        (with_nonce(12, der.NULL), 16),
        (der.element(der.SEQUENCE), 16),
        (octet_string(bytes(7)), 16),
        (der.NULL, 16),
        (b"", 16),
        (b"junk", 16),
    ],
)
def test_other_parameters_are_refused(parameters: bytes, tag: int) -> None:
    with pytest.raises(DecryptionError):
        aead_content(AES256_GCM, parameters, (b"c",), bytes(tag), b"")


@pytest.mark.parametrize(
    ("parameters", "tag"),
    [
        (octet_string(bytes(11)), 16),
        (octet_string(bytes(13)), 16),
        (octet_string(NONCE), 12),
        (octet_string(NONCE), 17),
    ],
)
def test_nonce_and_tag_of_chacha_have_one_length(parameters: bytes, tag: int) -> None:
    """RFC 8103 1.1."""
    with pytest.raises(DecryptionError):
        aead_content(CHACHA20_POLY1305, parameters, (b"c",), bytes(tag), b"")


@pytest.mark.parametrize(("nonce", "tag"), [(6, 16), (14, 16), (12, 5), (12, 2), (12, 18)])
def test_nonce_and_tag_of_ccm_are_within_the_rfc(nonce: int, tag: int) -> None:
    """RFC 5084 3.1."""
    with pytest.raises(DecryptionError):
        aead_content(CCMS[0], with_nonce(nonce, der.integer(tag)), (b"c",), bytes(tag), b"")


def test_a_cipher_without_a_tag_is_refused() -> None:
    with pytest.raises(DecryptionError):
        aead_content(AES256_CBC, octet_string(NONCE), (b"c",), bytes(16), b"")


def test_large_content_is_in_memory_once() -> None:
    plain = bytes(8 * 1024**2)
    parameters, ciphertext, tag = aead(AES256_GCM, bytes(32), plain)
    content = aead_content(AES256_GCM, parameters, (memoryview(ciphertext),), tag, b"")
    tracemalloc.start()
    try:
        assert len(content.open([bytes(32)])) == len(plain)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * len(plain)
