import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der, oids
from smime_proxy.cms.ciphers import AES256_CBC
from smime_proxy.cms.enveloped_data import MAX_RECIPIENTS, parse_enveloped_data
from smime_proxy.cms.errors import CmsError, MalformedCms
from tests.unit.cms import made
from tests.unit.cms.parties import CONTENT, indefinite

KEY = bytes(32)
SEALED = made.encrypted_content(CONTENT, KEY)
FOR_ALICE = made.ktri(KEY, encrypted=b"sealed")
WRAP = made.algorithm("1.2.840.113549.1.9.16.3.5", made.algorithm("2.16.840.1.101.3.4.1.45"))
SEALED_KEY = der.element(der.OCTET_STRING, b"k")


def kari(*recipients: bytes) -> bytes:
    keys = (der.element(der.SEQUENCE, recipient, SEALED_KEY) for recipient in recipients)
    originator = der.element(0xA0, der.element(0x80, b"o"))
    ukm = der.element(0xA1, der.element(der.OCTET_STRING, b"u"))
    return der.element(
        0xA1, der.integer(3), originator, ukm, WRAP, der.element(der.SEQUENCE, *keys)
    )


KEKRI = der.element(0xA2, der.integer(4), der.element(der.SEQUENCE, SEALED_KEY), WRAP, SEALED_KEY)
PWRI = der.element(0xA3, der.integer(0), der.element(0xA0), WRAP, SEALED_KEY)
ORI = der.element(0xA4, der.object_identifier("1.2.3.4"), der.NULL)
BY_KEY = der.element(0xA0, der.element(der.OCTET_STRING, b"\x0a"))


def test_every_kind_of_recipient_is_listed() -> None:
    """E94: an unknown kind of the future is an `ori` and crashes nothing."""
    infos = (FOR_ALICE, kari(made.ALICE, BY_KEY), KEKRI, PWRI, ORI)
    enveloped = parse_enveloped_data(made.enveloped_data(*infos, encrypted=SEALED))
    kinds = [recipient.type for recipient in enveloped.recipients]
    assert kinds == ["ktri", "kari", "kari", "kekri", "pwri", "ori"]
    alice, by_name, by_key, *others = enveloped.recipients
    assert alice.id == by_name.id
    assert alice.id.startswith("CN=Test Root serial ")
    assert (alice.serial, alice.issuer) == (by_name.serial, by_name.issuer)
    assert alice.encrypted_key == b"sealed"
    assert (by_key.id, by_key.ski) == ("ski 0a", b"\x0a")
    assert [other.id for other in others] == ["", "", ""]
    assert others[-1].algorithm == "1.2.3.4"
    assert others[-1].encoding == ORI


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
    for sealed in (der.element(0xA0, *chunks), indefinite(0xA0, *chunks)):
        raw = made.enveloped_data(FOR_ALICE, encrypted=der.element(0x30, head, sealed))
        enveloped = parse_enveloped_data(raw)
        assert [bytes(piece) for piece in enveloped.ciphertext or ()] == [b"a", b"b"]
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


def test_recipients_are_limited() -> None:
    """E91."""
    raw = made.enveloped_data(*[FOR_ALICE] * MAX_RECIPIENTS, encrypted=SEALED)
    assert len(parse_enveloped_data(raw).recipients) == MAX_RECIPIENTS
    for infos in (
        [FOR_ALICE] * (MAX_RECIPIENTS + 1),
        [kari(*[made.ALICE] * (MAX_RECIPIENTS + 1))],
    ):
        with pytest.raises(MalformedCms, match="too many recipients"):
            parse_enveloped_data(made.enveloped_data(*infos, encrypted=SEALED))


NOTHING = der.element(der.SEQUENCE)


@pytest.mark.parametrize(
    "raw",
    [
        made.wrap(oids.SIGNED_DATA, der.integer(1)),
        made.wrap(oids.ENVELOPED_DATA, der.integer(1)),
        made.enveloped_data(FOR_ALICE, encrypted=NOTHING),
        made.enveloped_data(FOR_ALICE, encrypted=SEALED[:2] + SEALED[2:].replace(b"\x80", b"\x81")),
        made.enveloped_data(der.element(0xA7), encrypted=SEALED),
        *(
            made.enveloped_data(der.element(tag, der.NULL), encrypted=SEALED)
            for tag in (0x30, 0xA1, 0xA2, 0xA3, 0xA4)
        ),
        made.enveloped_data(kari(NOTHING), encrypted=SEALED),
        made.enveloped_data(
            der.element(0xA1, der.integer(3), WRAP, WRAP, der.element(0x30, NOTHING)),
            encrypted=SEALED,
        ),
    ],
)
def test_other_shapes_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        parse_enveloped_data(raw)


@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    infos = (FOR_ALICE, kari(made.ALICE, BY_KEY), KEKRI, PWRI, ORI)
    raw = bytearray(made.enveloped_data(*infos, encrypted=SEALED))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        for recipient in parse_enveloped_data(bytes(raw)).recipients:
            assert recipient.id.isprintable()
    except CmsError:
        pass
