import pytest
from asn1crypto import cms as asn1
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.envelop import CHUNK, CmsRecipient, envelop, envelop_pieces
from smime_proxy.cms.enveloped_data import MAX_RECIPIENTS, parse_enveloped_data
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from tests import pki
from tests.unit.cms.parties import (
    CONTENT,
    decryption_key,
    party,
    private_key,
    recipient,
    root,
    zeros,
)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=100), max_size=4))
def test_what_is_enveloped_can_be_decrypted(pieces: list[bytes]) -> None:
    raw = envelop(pieces, [recipient()], random=zeros)
    assert decrypt(parse_enveloped_data(raw), [decryption_key()]) == b"".join(pieces)


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


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa1024"])
def test_other_keys_are_refused_by_name(kind: str) -> None:
    other = pki.person(root(), "other@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm):
        CmsRecipient.from_certificate(other.der)


def test_an_unreadable_certificate_is_refused() -> None:
    with pytest.raises(MalformedCms):
        CmsRecipient.from_certificate(b"junk")
