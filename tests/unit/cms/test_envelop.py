import os
from itertools import product

import pytest
from asn1crypto import cms as asn1
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import ber, der
from smime_proxy.cms.ber import Element
from smime_proxy.cms.chunks import CHUNK
from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.envelop import envelop, envelop_pieces, is_authenticated
from smime_proxy.cms.enveloped_data import MAX_RECIPIENTS, parse_enveloped_data
from smime_proxy.cms.errors import CmsError, DecryptionError, UnsupportedAlgorithm
from tests.unit.cms.holders import KINDS, holder
from tests.unit.cms.parties import (
    CONTENT,
    decryption_key,
    party,
    private_key,
    recipient,
    zeros,
)

AUTHENTICATED = ["aes256_gcm", "aes192_gcm", "aes128_gcm", "chacha20_poly1305"]
CIPHERS = ["aes256_cbc", "aes192_cbc", "aes128_cbc", *AUTHENTICATED]


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=100), max_size=4))
def test_what_is_enveloped_can_be_decrypted(pieces: list[bytes]) -> None:
    raw = envelop(pieces, [recipient()], random=zeros)
    assert decrypt(parse_enveloped_data(raw), [decryption_key()]) == b"".join(pieces)


@pytest.mark.parametrize(("kind", "cipher"), list(product((*KINDS, "oaep"), CIPHERS)))
@settings(max_examples=4)
@given(pieces=st.lists(st.binary(max_size=100), max_size=4))
def test_every_pair_of_key_and_cipher_can_be_decrypted(
    kind: str, cipher: str, pieces: list[bytes]
) -> None:
    """E53-E55, E85."""
    someone = holder(kind.replace("oaep", "rsa"))
    recipients = [someone.recipient(oaep=kind == "oaep")]
    raw = envelop(pieces, recipients, content_encryption=cipher, random=os.urandom)
    assert decrypt(parse_enveloped_data(raw), [someone.decryption_key()]) == b"".join(pieces)


@settings(max_examples=10)
@given(order=st.permutations(KINDS), cipher=st.sampled_from(CIPHERS))
def test_one_message_goes_to_keys_of_all_kinds_in_any_order(order: list[str], cipher: str) -> None:
    recipients = [holder(kind).recipient() for kind in order]
    raw = envelop(CONTENT, recipients, content_encryption=cipher, random=os.urandom)
    enveloped = parse_enveloped_data(raw)
    for kind in KINDS:
        assert decrypt(enveloped, [holder(kind).decryption_key()]) == CONTENT
    with pytest.raises(DecryptionError):
        decrypt(enveloped, [holder("p256", "bob").decryption_key()])


@settings(max_examples=40)
@given(cipher=st.sampled_from(AUTHENTICATED), flipped=st.integers(0, 8 * (len(CONTENT) + 18) - 1))
def test_a_bit_flipped_in_authenticated_ciphertext_never_passes(cipher: str, flipped: int) -> None:
    """The ciphertext and what is behind it: header and octets of the tag."""
    someone = holder("p256")
    recipients = [someone.recipient()]
    raw = bytearray(envelop(CONTENT, recipients, content_encryption=cipher, random=os.urandom))
    raw[flipped // 8 - len(CONTENT) - 18] ^= 1 << flipped % 8
    with pytest.raises(CmsError):
        decrypt(parse_enveloped_data(raw), [someone.decryption_key()])


@pytest.mark.parametrize("length", [0, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_every_length_comes_back(length: int) -> None:
    content = bytes(range(251)) * (length // 251 + 1)
    raw = envelop(content[:length], [recipient()], random=zeros)
    assert decrypt(parse_enveloped_data(raw), [decryption_key()]) == content[:length]


def test_every_recipient_can_decrypt() -> None:
    names = ("alice", "bob", "carol")
    raw = envelop(CONTENT, [recipient(name) for name in names], random=zeros)
    for name in names:
        assert decrypt(parse_enveloped_data(raw), [decryption_key(name)]) == CONTENT


def test_the_result_is_der_that_says_what_it_is() -> None:
    raw = envelop(CONTENT, [recipient(), recipient("bob")], random=zeros)
    info = asn1.ContentInfo.load(raw, strict=True)
    assert info.dump(force=True) == raw
    content = info["content"]
    assert content["version"].native == "v0"
    assert content["encrypted_content_info"]["content_encryption_algorithm"].native == {
        "algorithm": "aes256_cbc",
        "parameters": bytes(16),
    }
    encrypted = {i.chosen["rid"].chosen["serial_number"].native for i in content["recipient_infos"]}
    certificates = {party("rsa", name).certificate.x509() for name in ("alice", "bob")}
    assert encrypted == {certificate.serial_number for certificate in certificates}
    for one in content["recipient_infos"]:
        assert one.chosen["key_encryption_algorithm"]["algorithm"].native == "rsaes_pkcs1v15"


def test_key_and_vector_are_from_the_given_source() -> None:
    wanted: list[int] = []

    def source(length: int) -> bytes:
        wanted.append(length)
        return bytes((len(wanted),)) * length

    enveloped = parse_enveloped_data(envelop(CONTENT, [recipient()], random=source))
    assert wanted == [32, 16]
    assert enveloped.parameters == der.element(der.OCTET_STRING, b"\x02" * 16)
    key = party().key
    assert private_key(party()) is key
    unwrapped = decryption_key().private_key.decrypt(  # type: ignore[union-attr]
        enveloped.recipients[0].encrypted_key, padding.PKCS1v15()
    )
    assert unwrapped == b"\x01" * 32


def test_pieces_are_small_and_make_the_whole() -> None:
    pieces = list(envelop_pieces(bytes(10 * CHUNK), [recipient()], random=zeros))
    assert max(map(len, pieces)) <= CHUNK
    enveloped = parse_enveloped_data(b"".join(pieces))
    assert decrypt(enveloped, [decryption_key()]) == bytes(10 * CHUNK)


def test_recipients_are_one_to_a_thousand() -> None:
    with pytest.raises(CmsError):
        envelop(CONTENT, [], random=zeros)
    with pytest.raises(CmsError):
        envelop(CONTENT, [recipient()] * (MAX_RECIPIENTS + 1), random=zeros)


@pytest.mark.parametrize(
    ("kinds", "version"),
    [
        (["rsa"], 0),
        (["rsa", "p256"], 2),
        (["x25519"], 2),
        (["mlkem768"], 3),
        (["p384", "rsa", "mlkem1024"], 3),
    ],
)
def test_the_recipients_decide_the_version(kinds: list[str], version: int) -> None:
    """RFC 5652 6.1."""
    raw = envelop(CONTENT, [holder(kind).recipient() for kind in kinds], random=zeros)
    assert ber.integer(fields(raw)[0]) == version


@pytest.mark.parametrize("kinds", [["rsa"], ["p384", "rsa", "mlkem1024"]])
@pytest.mark.parametrize("cipher", ["aes128_gcm", "chacha20_poly1305"])
def test_authenticated_ciphers_make_auth_enveloped_data(kinds: list[str], cipher: str) -> None:
    """RFC 5083 2.1: version 0 whoever the recipients are, and no attributes beside id-data."""
    recipients = [holder(kind).recipient() for kind in kinds]
    raw = envelop(CONTENT, recipients, content_encryption=cipher, random=zeros)
    content_type = ber.object_identifier(ber.read_only(raw).children()[0])
    assert content_type == "1.2.840.113549.1.9.16.1.23"
    version, infos, _, mac = fields(raw)
    assert ber.integer(version) == 0
    assert len(infos.children()) == len(kinds)
    assert len(ber.octet_string(mac)) == 16
    enveloped = parse_enveloped_data(raw)
    assert (enveloped.content_encryption, enveloped.authenticated) == (cipher, True)
    assert is_authenticated(cipher)


@pytest.mark.parametrize("content", [b"", CONTENT, bytes(CHUNK + 1)])
def test_the_tag_is_that_of_the_content(content: bytes) -> None:
    recipients = [recipient()]
    raw = envelop(content, recipients, content_encryption="aes256_gcm", random=zeros)
    _, _, encrypted, mac = fields(raw)
    ciphertext = encrypted.children()[2].contents.tobytes()
    sealed = ciphertext + ber.octet_string(mac)
    assert AESGCM(bytes(32)).decrypt(bytes(12), sealed, None) == content


@pytest.mark.parametrize("cipher", ["aes256_cbc", "aes192_cbc", "aes128_cbc"])
def test_other_ciphers_make_enveloped_data(cipher: str) -> None:
    raw = envelop(CONTENT, [recipient()], content_encryption=cipher, random=zeros)
    enveloped = parse_enveloped_data(raw)
    assert (enveloped.content_encryption, enveloped.authenticated) == (cipher, False)
    assert decrypt(enveloped, [decryption_key()]) == CONTENT
    assert not is_authenticated(cipher)


def test_the_order_of_the_recipients_leaves_no_trace() -> None:
    """E20, X.690 11.6: whoever was named first cannot be told."""
    kinds = ["rsa", "mlkem768", "x448", "p256"]
    for order in (kinds, kinds[::-1]):
        raw = envelop(CONTENT, [holder(kind).recipient() for kind in order], random=zeros)
        infos = [info.encoding.tobytes() for info in fields(raw)[1].children()]
        assert infos == sorted(infos)
        assert [info[0] for info in infos] == [0x30, 0xA1, 0xA1, 0xA4]


@pytest.mark.parametrize("length", [0, 100, 200, 2**16 - 100, 2**16, 2**16 + 1])
@pytest.mark.parametrize("cipher", ["aes256_cbc", "aes256_gcm", "chacha20_poly1305"])
def test_lengths_are_right_whatever_they_are(length: int, cipher: str) -> None:
    raw = envelop(bytes(length), [recipient()], content_encryption=cipher, random=zeros)
    assert asn1.ContentInfo.load(raw, strict=True).dump(force=True) == raw


def test_an_unknown_cipher_encrypts_nothing() -> None:
    with pytest.raises(UnsupportedAlgorithm):
        envelop(CONTENT, [recipient()], content_encryption="rc2", random=zeros)
    with pytest.raises(UnsupportedAlgorithm):
        is_authenticated("rc2")


def fields(raw: bytes) -> list[Element]:
    """Give the fields of EnvelopedData or AuthEnvelopedData."""
    return ber.read_only(raw).children()[1].children()[0].children()
