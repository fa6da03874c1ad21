"""Encrypting an entity to the certificates of its recipients."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.structures import parse_enveloped_data
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify, cms_octets
from smime_proxy.smime.encrypt import encrypt_entity, encrypt_message, recipient_of
from tests.fakes import Octets
from tests.unit.cms import parties
from tests.unit.smime.cases import PART, key


@given(st.binary(max_size=200))
@settings(max_examples=25)
def test_each_recipient_gets_back_what_was_encrypted(inner: bytes) -> None:
    recipients = [recipient_of(parties.party("rsa", name).der) for name in ("alice", "bob")]
    entity = parse(encrypt_entity(inner, recipients, random=Octets()))
    assert classify(entity) is Protection.ENVELOPED_DATA
    enveloped = parse_enveloped_data(cms_octets(entity))
    assert enveloped.content_encryption == "aes256_cbc"
    assert len(enveloped.recipients) == 2
    for name in ("alice", "bob"):
        assert decrypt(enveloped, [key(name)]) == inner


def test_nothing_of_the_text_is_left_and_all_of_it_is_7bit() -> None:
    entity = encrypt_entity(PART, [parties.recipient()], random=Octets())
    assert b"Hello" not in entity
    assert entity.isascii()
    assert b"smime-type=enveloped-data" in entity


@pytest.mark.parametrize(
    ("cipher", "label"),
    [
        ("aes128_cbc", "enveloped-data"),
        ("aes256_gcm", "authEnveloped-data"),
        ("chacha20_poly1305", "authEnveloped-data"),
    ],
)
def test_the_label_is_that_of_the_cipher(cipher: str, label: str) -> None:
    """RFC 8551 3.2.2."""
    entity = parse(
        encrypt_entity(PART, [parties.recipient()], content_encryption=cipher, random=Octets())
    )
    assert entity.content_type.parameters["smime-type"] == label
    assert entity.content_type.parameters["name"] == "smime.p7m"
    assert parse_enveloped_data(cms_octets(entity)).content_encryption == cipher


def test_the_label_of_authenticated_encryption_is_recognised() -> None:
    raw = encrypt_entity(
        PART, [parties.recipient()], content_encryption="aes256_gcm", random=Octets()
    )
    assert classify(parse(raw)) is Protection.AUTH_ENVELOPED_DATA


@pytest.mark.parametrize("cipher", ["aes256_cbc", "aes128_gcm"])
def test_a_message_is_its_header_and_the_entity(cipher: str) -> None:
    # The library's ephemeral keys and paddings are random, so lengths and labels are compared.
    header = HeaderBlock(b"Subject: x\r\n")
    recipients = [parties.recipient()]
    whole = encrypt_message(header, PART, recipients, content_encryption=cipher, random=Octets())
    entity = encrypt_entity(PART, recipients, content_encryption=cipher, random=Octets())
    top = b"Subject: x\r\nMIME-Version: 1.0\r\n"
    label = entity.index(b"\r\n\r\n")
    assert whole.startswith(top + entity[:label])
    assert len(whole) == len(top + entity)
    if cipher == "aes256_cbc":
        enveloped = parse_enveloped_data(cms_octets(parse(whole)))
        assert decrypt(enveloped, [key()]) == PART


def test_encrypting_takes_little_more_memory_than_its_result() -> None:
    """P10."""
    inner, recipients = bytes(4_000_000), [parties.recipient()]
    tracemalloc.start()
    try:
        length = len(encrypt_entity(inner, recipients, random=Octets()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * length


def test_a_certificate_that_cannot_be_encrypted_to_raises_rather_than_send_clear() -> None:
    """E02."""
    with pytest.raises(UnsupportedAlgorithm):
        recipient_of(parties.party("ed25519").der)
    with pytest.raises(CmsError):
        encrypt_entity(PART, [], random=Octets())


def test_a_recipient_is_read_once() -> None:
    der = parties.party().der
    assert recipient_of(der) is recipient_of(der)
    assert recipient_of(der, oaep=True) is recipient_of(der, oaep=True)
    assert recipient_of(der, oaep=True).transport is not recipient_of(der).transport
