from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa, x448, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import ciphers, der, oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.chunks import CHUNK
from smime_proxy.cms.ciphers import ContentCipher, Mode
from smime_proxy.cms.decrypt import (
    MAX_ATTEMPTS,
    DecryptionKey,
    PrivateKey,
    decrypt,
    is_named,
    matches,
)
from smime_proxy.cms.enveloped_data import EnvelopedData, parse_enveloped_data
from smime_proxy.cms.errors import DECRYPTION_FAILED, CmsError, DecryptionError
from tests.unit.cms import made, ways
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
        assert is_named(message, party().der)
        assert not is_named(message, party("rsa", "bob").der)
    with pytest.raises(CmsError):
        is_named(message, b"no certificate")


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


def test_keys_of_other_kinds_use_up_none_of_them() -> None:
    others = [ways.key_of(EC)] * MAX_ATTEMPTS
    assert decrypt(enveloped(made.ktri(KEY)), [*others, decryption_key()]) == CONTENT


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
    "content",
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
        sealed_with(VECTOR, bytes(16), "1.2.840.113549.3.4"),
    ],
)
def test_what_is_not_understood_reads_like_any_failure(content: bytes) -> None:
    """V20-V22."""
    refused(enveloped(made.ktri(KEY), encrypted=content), decryption_key())


def test_a_tag_that_nothing_checks_reads_like_any_failure() -> None:
    """AuthEnvelopedData with a cipher that has no tag."""
    refused(replace(enveloped(made.ktri(KEY)), mac=b"tag"), decryption_key())


def test_no_key_and_no_fitting_kind_of_key_read_like_any_failure() -> None:
    refused(enveloped(made.ktri(KEY)))
    alice = decryption_key()
    elliptic = replace(alice, private_key=private_key(party("p256")))
    refused(enveloped(made.ktri(KEY)), elliptic)


EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
X = x25519.X25519PrivateKey.generate()
X_LARGE = x448.X448PrivateKey.generate()
KEM = mlkem.MLKEM768PrivateKey.generate()
KEM_LARGE = mlkem.MLKEM1024PrivateKey.generate()
RSA = party().key
assert isinstance(RSA, rsa.RSAPrivateKey)

WAYS: dict[str, tuple[bytes, PrivateKey]] = {
    "pkcs1": (made.ktri(KEY), RSA),
    "oaep": (ways.oaep(KEY, b""), RSA),
    "ecdh": (ways.kari(KEY, EC), EC),
    "x25519": (ways.kari(KEY, X, scheme=ways.HKDF_SCHEME), X),
    "x448": (ways.kari(KEY, X_LARGE), X_LARGE),
    "ml-kem-768": (ways.kemri(KEY, KEM), KEM),
    "ml-kem-1024": (ways.kemri(KEY, KEM_LARGE, kem=ways.ML_KEM_1024), KEM_LARGE),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_key_opens_every_kind_of_content(way: str) -> None:
    """E52-E54, E94."""
    info, private = WAYS[way]
    key = ways.key_of(private)
    assert decrypt(enveloped(info), [key]) == CONTENT
    parameters, ciphertext, tag = ways.aead(ciphers.AES256_GCM, KEY, CONTENT)
    raw = ways.auth_enveloped_data(
        info,
        cipher=ciphers.AES256_GCM,
        parameters=parameters,
        ciphertext=ciphertext,
        tag=tag,
    )
    assert decrypt(parse_enveloped_data(raw), [key]) == CONTENT


@pytest.mark.parametrize("way", WAYS)
def test_keys_of_other_kinds_read_like_any_failure(way: str) -> None:
    """E12, V21: also where issuer and serial are those of the message."""
    info = WAYS[way][0]
    for other, (_, private) in WAYS.items():
        if {way, other} not in ({"pkcs1", "oaep"}, {way}):
            refused(enveloped(info), ways.key_of(private))


FAILING: dict[str, tuple[bytes, PrivateKey]] = {
    "pkcs1": (made.ktri(KEY, encrypted=b"junk"), RSA),
    "transport": (made.ktri(KEY, transport=made.algorithm("1.2.3")), RSA),
    "oaep": (ways.oaep(KEY, made.algorithm("1.2.3")), RSA),
    "ecdh": (ways.kari(KEY, OTHER_EC), EC),
    "point": (ways.kari(KEY, EC, originator=b"\x04" + bytes(64)), EC),
    "scheme": (ways.kari(KEY, EC, scheme="1.2.3"), EC),
    "x25519": (ways.kari(KEY, X, originator=bytes(32)), X),
    "x448": (ways.kari(KEY, X_LARGE, originator=b""), X_LARGE),
    "kem": (ways.kemri(KEY, KEM, ciphertext=bytes(1088)), KEM),
    "kem length": (ways.kemri(KEY, KEM, ciphertext=b""), KEM),
    "kind": (made.ktri(KEY), EC),
}


@pytest.mark.parametrize("way", FAILING)
def test_whatever_fails_the_substitute_goes_the_same_way(way: str) -> None:
    """E12, E14: what is sealed with the substitute opens, so the path was the same."""
    info, private = FAILING[way]
    key = ways.key_of(private)
    source = Counting()
    with_zeros = made.encrypted_content(CONTENT, bytes(32))
    assert decrypt(enveloped(info, encrypted=with_zeros), [key], random=source) == CONTENT
    assert source.lengths == [32]
    refused(enveloped(info), key)


def authenticated(*infos: bytes, covered: bytes = b"", attributes: bytes = b"") -> EnvelopedData:
    parameters, ciphertext, tag = ways.aead(ciphers.AES256_GCM, KEY, CONTENT, covered)
    raw = ways.auth_enveloped_data(
        *infos,
        cipher=ciphers.AES256_GCM,
        parameters=parameters,
        ciphertext=ciphertext,
        tag=tag,
        attributes=attributes,
    )
    return parse_enveloped_data(raw)


def test_the_key_whose_tag_holds_is_found_among_several() -> None:
    """E51."""
    message = authenticated(made.ktri(bytes(32)), made.ktri(KEY))
    assert decrypt(message, [decryption_key()]) == CONTENT


def test_authenticated_attributes_are_covered() -> None:
    """RFC 5083 2.2."""
    one, two = made.CONTENT_TYPE, made.attribute("1.2.3", der.NULL)
    covered = der.element(der.SET, *sorted((one, two)))
    for attributes in ((one, two), (two, one)):
        sent = der.element(0xA1, *attributes)
        message = authenticated(made.ktri(KEY), covered=covered, attributes=sent)
        assert decrypt(message, [decryption_key()]) == CONTENT
        refused(replace(message, covered=b""), decryption_key())
    refused(authenticated(made.ktri(KEY), attributes=der.element(0xA1, one)), decryption_key())


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_octet_of_authenticated_content_reads_like_any_failure(
    data: st.DataObject,
) -> None:
    """V22: ciphertext, tag and attributes, in the object as it was sent."""
    parameters, ciphertext, tag = ways.aead(
        ciphers.AES256_GCM, KEY, CONTENT, der.element(der.SET, made.CONTENT_TYPE)
    )
    raw = bytearray(
        ways.auth_enveloped_data(
            made.ktri(KEY, encrypted=TRANSPORTED),
            cipher=ciphers.AES256_GCM,
            parameters=parameters,
            ciphertext=ciphertext,
            tag=tag,
            attributes=der.element(0xA1, made.CONTENT_TYPE),
        )
    )
    assert decrypt(parse_enveloped_data(bytes(raw)), [decryption_key()]) == CONTENT
    start = raw.index(ciphertext)
    raw[data.draw(st.integers(start, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CmsError):
        decrypt(parse_enveloped_data(bytes(raw)), [decryption_key()])


TRANSPORTED = RSA.public_key().encrypt(KEY, padding.PKCS1v15())


def test_named_secrets_and_passwords_are_not_tried() -> None:
    """Nobody's certificate is meant by them."""
    wrap = made.algorithm(ways.AES256_WRAP)
    wrapped = der.element(der.OCTET_STRING, bytes(40))
    secret = der.element(der.SEQUENCE, der.element(der.OCTET_STRING, decryption_key().ski or b""))
    infos = (
        der.element(0xA2, der.integer(4), secret, wrap, wrapped),
        der.element(0xA3, der.integer(0), wrap, wrapped),
    )
    message = enveloped(*infos)
    assert matches(message, [decryption_key()]) == ()
    refused(message, decryption_key())


def test_a_certificate_names_its_key() -> None:
    identity = party()
    key = DecryptionKey.build(private_key(identity), identity.der)
    fields = read_certificate(identity.der)
    assert (key.issuer_der, key.serial, key.ski) == (fields.issuer, fields.serial, fields.ski)
    assert isinstance(key.private_key, rsa.RSAPrivateKey)
    assert "RSAPrivateKey" not in repr(key)


def every_way() -> list[tuple[bytes, DecryptionKey]]:
    """Give objects of every kind of recipient and cipher, with the key that opens each."""
    found = []
    for info, private in WAYS.values():
        for cipher in ciphers.CIPHERS.values():
            if cipher.is_authenticated and cipher.key_length == len(KEY):
                parameters, ciphertext, tag = ways.aead(cipher, KEY, CONTENT)
                raw = ways.auth_enveloped_data(
                    info, cipher=cipher, parameters=parameters, ciphertext=ciphertext, tag=tag
                )
                found.append((raw, ways.key_of(private)))
        found.append((made.enveloped_data(info, encrypted=SEALED), ways.key_of(private)))
    return found


EVERY_WAY = every_way()


@settings(max_examples=300)
@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    """E90."""
    whole, key = data.draw(st.sampled_from(EVERY_WAY))
    assert decrypt(parse_enveloped_data(whole), [key]) == CONTENT
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CmsError):
        decrypt(parse_enveloped_data(bytes(raw)), [key], random=zeros)
