import pytest

from smime_proxy.cms import der, oids
from smime_proxy.cms.ciphers import AES256_CBC, AES256_GCM
from smime_proxy.cms.enveloped_data import parse_enveloped_data
from smime_proxy.cms.errors import MalformedCms
from tests.unit.cms import made, ways
from tests.unit.cms.parties import CONTENT, indefinite

KEY = bytes(32)
SEALED = made.encrypted_content(CONTENT, KEY)
FOR_ALICE = made.ktri(KEY, encrypted=b"sealed")


def test_content_and_cipher_are_read() -> None:
    enveloped = parse_enveloped_data(made.enveloped_data(FOR_ALICE, encrypted=SEALED))
    assert enveloped.content_type == oids.DATA
    assert enveloped.content_encryption == "aes256_cbc"
    assert enveloped.cipher == AES256_CBC.oid
    assert enveloped.parameters == der.element(der.OCTET_STRING, bytes(16))
    assert enveloped.ciphertext is not None
    assert b"".join(enveloped.ciphertext) in SEALED
    assert not enveloped.authenticated


def test_originator_information_is_passed_over() -> None:
    raw = made.enveloped_data(FOR_ALICE, encrypted=SEALED, before=der.element(0xA0, der.NULL))
    assert len(parse_enveloped_data(raw).recipients) == 1


def test_ciphertext_comes_chunked_or_not_at_all() -> None:
    """E45."""
    head = der.object_identifier(oids.DATA) + made.algorithm("1.2.3")
    chunks = [der.element(der.OCTET_STRING, b"a"), der.element(der.OCTET_STRING, b"b")]
    for chunked in (der.element(0xA0, *chunks), indefinite(0xA0, *chunks)):
        raw = made.enveloped_data(FOR_ALICE, encrypted=der.element(0x30, head, chunked))
        enveloped = parse_enveloped_data(raw)
        assert b"".join(enveloped.ciphertext or ()) == b"ab"
        assert enveloped.content_encryption == "1.2.3"
    raw = made.enveloped_data(FOR_ALICE, encrypted=der.element(0x30, head))
    assert parse_enveloped_data(raw).ciphertext is None


def test_authenticated_enveloped_data_is_listed() -> None:
    gcm = der.element(
        der.SEQUENCE,
        der.object_identifier(oids.DATA),
        made.algorithm("2.16.840.1.101.3.4.1.46", der.element(der.SEQUENCE)),
        der.element(0x80, b"x"),
    )
    raw = made.wrap(
        oids.AUTH_ENVELOPED_DATA,
        der.integer(0),
        der.element(der.SET, FOR_ALICE),
        gcm,
        der.element(der.OCTET_STRING, b"mac"),
    )
    enveloped = parse_enveloped_data(raw)
    assert enveloped.authenticated
    assert enveloped.content_encryption == "aes256_gcm"
    assert len(enveloped.recipients) == 1
    assert (enveloped.mac, enveloped.covered) == (b"mac", b"")


ONE, TWO = made.attribute("1.2.3", der.NULL), made.attribute("1.2.4", der.integer(5))


@pytest.mark.parametrize(
    "sent",
    [
        der.element(0xA1, ONE, TWO),
        der.element(0xA1, TWO, ONE),
        indefinite(0xA1, TWO, indefinite(0x30, der.object_identifier("1.2.3"), ONE[6:])),
    ],
)
def test_the_tag_covers_the_attributes_as_a_sorted_set(sent: bytes) -> None:
    """RFC 5083 2.2: DER with the tag of SET OF, whatever was sent."""
    raw = ways.auth_enveloped_data(
        FOR_ALICE,
        cipher=AES256_GCM,
        parameters=der.NULL,
        ciphertext=b"c",
        tag=b"mac",
        attributes=sent,
        behind=der.element(0xA2, ONE),
    )
    enveloped = parse_enveloped_data(raw)
    assert enveloped.covered == der.element(der.SET, *sorted((ONE, TWO)))
    assert enveloped.mac == b"mac"


def test_authenticated_ciphers_in_enveloped_data_count_as_such() -> None:
    """E54: bc-java 1838."""
    head = der.object_identifier(oids.DATA) + made.algorithm(AES256_GCM.oid)
    content = der.element(der.SEQUENCE, head, der.element(0x80, b"c"))
    enveloped = parse_enveloped_data(made.enveloped_data(FOR_ALICE, encrypted=content))
    assert enveloped.authenticated
    assert enveloped.mac is None


def test_unprotected_attributes_are_passed_over() -> None:
    raw = made.wrap(
        oids.ENVELOPED_DATA,
        der.integer(2),
        der.element(der.SET, FOR_ALICE),
        SEALED,
        der.element(0xA1, ONE),
    )
    enveloped = parse_enveloped_data(raw)
    assert (enveloped.mac, enveloped.authenticated) == (None, False)


NOTHING = der.element(der.SEQUENCE)


@pytest.mark.parametrize(
    "raw",
    [
        made.wrap(oids.SIGNED_DATA, der.integer(1)),
        made.wrap(oids.ENVELOPED_DATA, der.integer(1)),
        made.enveloped_data(FOR_ALICE, encrypted=NOTHING),
        made.enveloped_data(FOR_ALICE, encrypted=SEALED, content_type=oids.AUTH_ENVELOPED_DATA),
        made.enveloped_data(FOR_ALICE, encrypted=SEALED[:2] + SEALED[2:].replace(b"\x80", b"\x81")),
    ],
)
def test_other_shapes_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        parse_enveloped_data(raw)
