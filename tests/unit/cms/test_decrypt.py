from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import ciphers, der, oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.decrypt import CHUNK, MAX_ATTEMPTS, DecryptionKey, decrypt, matches
from smime_proxy.cms.enveloped_data import EnvelopedData, parse_enveloped_data
from smime_proxy.cms.errors import DECRYPTION_FAILED, CmsError, DecryptionError
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT, decryption_key, party, private_key, zeros

KEY = bytes(range(32))
SEALED = made.encrypted_content(CONTENT, KEY)
CIPHERS = [row for row in ciphers.CIPHERS.values() if row.mode is Mode.CBC]


def enveloped(*infos: bytes, encrypted: bytes = SEALED) -> EnvelopedData:
    return parse_enveloped_data(made.enveloped_data(*infos, encrypted=encrypted))


def refused(message: EnvelopedData, *keys: DecryptionKey) -> None:
    with pytest.raises(DecryptionError) as caught:
        decrypt(message, keys, random=zeros)
    assert str(caught.value) == DECRYPTION_FAILED
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("cipher", CIPHERS, ids=lambda cipher: cipher.name)
def test_every_cipher_of_the_table_opens(cipher: ContentCipher) -> None:
    """E54."""
    key = bytes(range(1, cipher.key_length + 1))
    message = enveloped(made.ktri(key), encrypted=made.encrypted_content(CONTENT, key, cipher))
    assert message.content_encryption == cipher.name
    assert decrypt(message, [decryption_key()]) == CONTENT


@settings(max_examples=40)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_ciphertext_in_chunks_opens(content: bytes, size: int) -> None:
    """E45."""
    sealed = made.encrypted_content(content, KEY)
    message = enveloped(made.ktri(KEY), encrypted=sealed)
    assert message.ciphertext is not None
    (whole,) = message.ciphertext
    chunks = tuple(whole[at : at + size] for at in range(0, len(whole), size))
    assert decrypt(replace(message, ciphertext=chunks), [decryption_key()]) == content


def test_small_and_large_chunks_open_together() -> None:
    content = bytes(range(256)) * (3 * CHUNK // 256)
    message = enveloped(made.ktri(KEY), encrypted=made.encrypted_content(content, KEY))
    assert message.ciphertext is not None
    (whole,) = message.ciphertext
    cuts = [0, 1, 100, CHUNK + 200, CHUNK + 203, len(whole)]
    chunks = tuple(whole[one:two] for one, two in pairwise(cuts))
    assert decrypt(replace(message, ciphertext=chunks), [decryption_key()]) == content


def test_keys_are_found_by_issuer_and_serial_or_key_identifier() -> None:
    """E50."""
    alice, bob = decryption_key(), decryption_key("bob")
    assert alice.ski is not None
    by_ski = made.ktri(KEY, rid=der.element(0x80, alice.ski))
    for info in (made.ktri(KEY), by_ski):
        message = enveloped(info)
        assert matches(message, [bob, alice]) == (alice,)
        assert matches(message, [bob]) == ()
        assert decrypt(message, [bob, alice]) == CONTENT


def test_issuers_are_compared_by_value() -> None:
    """E50."""
    issuer = read_certificate(party().der).issuer.replace(b"Test Root", b"TEST root")
    serial = party().certificate.x509().serial_number
    rid = der.element(der.SEQUENCE, issuer, der.integer(serial))
    assert decrypt(enveloped(made.ktri(KEY, rid=rid)), [decryption_key()]) == CONTENT


def test_a_key_that_is_not_named_is_not_tried() -> None:
    """E14: the content key is wrapped for alice, the message names bob."""
    bobs = read_certificate(party("rsa", "bob").der).issuer_and_serial
    refused(enveloped(made.ktri(KEY, rid=bobs)), decryption_key())


def test_two_keys_with_one_name_are_both_tried() -> None:
    """E51, also where the wrong key makes something of the right length of it."""
    alice = decryption_key()
    other = replace(alice, private_key=private_key(party("rsa", "bob")))
    message = enveloped(made.ktri(KEY))
    for keys in ([alice, other], [other, alice]):
        assert decrypt(message, keys) == CONTENT
    twice = enveloped(made.ktri(bytes(32)), made.ktri(KEY))
    assert decrypt(twice, [alice]) == CONTENT


def test_private_key_operations_are_limited() -> None:
    """E91: a thousand recipientInfos that name one key."""
    wrong = [made.ktri(KEY, encrypted=bytes(256))] * MAX_ATTEMPTS
    refused(enveloped(*wrong, made.ktri(KEY)), decryption_key())
    assert decrypt(enveloped(*wrong[1:], made.ktri(KEY)), [decryption_key()]) == CONTENT


class Counting:
    """Hands out zeros and counts."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def __call__(self, length: int) -> bytes:
        self.lengths.append(length)
        return bytes(length)


@pytest.mark.parametrize(
    "info",
    [
        made.ktri(KEY[:31]),
        made.ktri(KEY + b"x"),
        made.ktri(b""),
        made.ktri(KEY, encrypted=b""),
        made.ktri(KEY, encrypted=b"\xff" * 256),
        made.ktri(KEY, encrypted=b"short"),
    ],
)
def test_a_content_key_that_does_not_fit_is_replaced_and_decryption_goes_on(info: bytes) -> None:
    """E14, RFC 3218 2.3.2: sealed with the substitute, the message opens."""
    sealed = made.encrypted_content(CONTENT, bytes(32))
    source = Counting()
    assert decrypt(enveloped(info, encrypted=sealed), [decryption_key()], random=source) == CONTENT
    assert source.lengths == [32]
    refused(enveloped(info), decryption_key())


def test_the_substitute_is_drawn_whether_needed_or_not() -> None:
    source = Counting()
    decrypt(enveloped(made.ktri(KEY)), [decryption_key()], random=source)
    assert source.lengths == [32]


BLOCK = 16
PADDINGS = [b"\x00", b"\x11", b"\x02", b"\x01\x02", b"\xff" * 16]


@pytest.mark.parametrize("end", PADDINGS)
def test_bad_padding_reads_like_any_failure(end: bytes) -> None:
    """E11, E12, V21."""
    content = CONTENT[: BLOCK - len(end)] + end
    sealed = made.encrypted_content(content, KEY, padded=False)
    refused(enveloped(made.ktri(KEY), encrypted=sealed), decryption_key())


def test_a_whole_block_of_padding_is_empty_content() -> None:
    sealed = made.encrypted_content(bytes((16,)) * 16, KEY, padded=False)
    assert decrypt(enveloped(made.ktri(KEY), encrypted=sealed), [decryption_key()]) == b""


def sealed_with(parameters: bytes, ciphertext: bytes | None, cipher: str = "") -> bytes:
    return der.element(
        der.SEQUENCE,
        der.object_identifier(oids.DATA),
        made.algorithm(cipher or ciphers.AES256_CBC.oid, parameters),
        b"" if ciphertext is None else der.element(0x80, ciphertext),
    )


VECTOR = der.element(der.OCTET_STRING, bytes(16))


@pytest.mark.parametrize(
    "sealed",
    [
        sealed_with(VECTOR, None),
        sealed_with(VECTOR, b""),
        sealed_with(VECTOR, bytes(17)),
        sealed_with(b"", bytes(16)),
        sealed_with(der.NULL, bytes(16)),
        sealed_with(der.element(der.OCTET_STRING, bytes(8)), bytes(16)),
        sealed_with(VECTOR, bytes(16), "1.2.3.4"),
        sealed_with(VECTOR, bytes(16), "2.16.840.1.101.3.4.1.46"),
        sealed_with(VECTOR, bytes(16), "1.2.840.113549.3.2"),
    ],
)
def test_what_is_not_understood_reads_like_any_failure(sealed: bytes) -> None:
    """V20-V22."""
    refused(enveloped(made.ktri(KEY), encrypted=sealed), decryption_key())


def test_other_key_transports_read_like_any_failure() -> None:
    oaep = made.algorithm("1.2.840.113549.1.1.7")
    refused(enveloped(made.ktri(KEY, transport=oaep)), decryption_key())


def test_authenticated_data_reads_like_any_failure() -> None:
    refused(replace(enveloped(made.ktri(KEY)), authenticated=True), decryption_key())


def test_no_key_and_no_fitting_kind_of_key_read_like_any_failure() -> None:
    refused(enveloped(made.ktri(KEY)))
    alice = decryption_key()
    elliptic = replace(alice, private_key=private_key(party("p256")))
    refused(enveloped(made.ktri(KEY)), elliptic)


def test_a_certificate_names_its_key() -> None:
    identity = party()
    key = DecryptionKey.build(private_key(identity), identity.der)
    fields = read_certificate(identity.der)
    assert (key.issuer_der, key.serial, key.ski) == (fields.issuer, fields.serial, fields.ski)
    assert isinstance(key.private_key, rsa.RSAPrivateKey)
    assert "RSAPrivateKey" not in repr(key)


@settings(max_examples=60)
@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(made.enveloped_data(made.ktri(KEY), encrypted=SEALED))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CmsError):
        decrypt(parse_enveloped_data(bytes(raw)), [decryption_key()], random=zeros)
