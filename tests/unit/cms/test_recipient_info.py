import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.enveloped_data import parse_enveloped_data
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.recipient_info import MAX_RECIPIENTS
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
    assert [other.id for other in others] == ["key 6b", "", "1.2.3.4"]
    assert others[-1].algorithm == "1.2.3.4"
    assert others[-1].encoding == ORI


def kemri(*behind: bytes) -> bytes:
    fields = (
        der.integer(0),
        made.ALICE,
        made.algorithm("1.2.3"),
        SEALED_KEY,
        made.algorithm("1.2.4"),
        der.integer(32),
    )
    info = der.element(der.SEQUENCE, *fields, *behind)
    return der.element(0xA4, der.object_identifier(oids.KEM_RECIPIENT), info)


def test_key_encapsulation_is_listed_with_its_holder() -> None:
    """E94, RFC 9629 3."""
    raw = made.enveloped_data(kemri(WRAP, SEALED_KEY), encrypted=SEALED)
    (only,) = parse_enveloped_data(raw).recipients
    assert (only.type, only.algorithm, only.encrypted_key) == ("ori", "1.2.3", b"k")
    assert only.id.startswith("CN=Test Root serial ")
    assert only.encapsulation is not None
    assert (only.encapsulation.kdf, only.encapsulation.kek_length) == ("1.2.4", 32)
    assert (only.encapsulation.ukm, only.encapsulation.wrap) == (None, WRAP)


def test_key_derivation_takes_in_the_key_wrap_as_der() -> None:
    """E45: RFC 5753 7.2 and RFC 9629 5 hash the DER of what may be sent as BER."""
    wrap = indefinite(der.SEQUENCE, der.object_identifier("2.16.840.1.101.3.4.1.45"))
    agreed = kari(made.ALICE).replace(WRAP, made.algorithm("1.2.3", wrap))
    body = ber.first_header(kari(made.ALICE))[1]
    infos = (kemri(wrap, SEALED_KEY), der.element(0xA1, agreed[body:]))
    raw = made.enveloped_data(*infos, encrypted=SEALED)
    encapsulated, agreement = parse_enveloped_data(raw).recipients
    assert encapsulated.encapsulation is not None
    assert encapsulated.encapsulation.wrap == ber.to_der(ber.read_only(wrap))
    assert agreement.parameters == ber.to_der(ber.read_only(wrap))


def test_the_name_of_a_shared_secret_is_for_people_only() -> None:
    name = der.element(der.SEQUENCE, der.element(der.OCTET_STRING, bytes(100)))
    info = der.element(0xA2, der.integer(4), name, WRAP, SEALED_KEY)
    (only,) = parse_enveloped_data(made.enveloped_data(info, encrypted=SEALED)).recipients
    assert only.id == "key " + "00" * 64
    assert (only.issuer, only.serial, only.ski) == (None, None, None)
    assert not only.identifier.matches(b"", 0, bytes(64))


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
ORIGINATOR = der.element(0xA0, der.element(0x80, b"o"))


@pytest.mark.parametrize(
    "raw",
    [
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
        *(
            made.enveloped_data(info, encrypted=SEALED)
            for info in (
                kemri(SEALED_KEY),
                kemri(der.NULL, WRAP, SEALED_KEY),
                der.element(0xA2, der.integer(4), NOTHING, WRAP, SEALED_KEY),
                der.element(0xA1, der.integer(3), ORIGINATOR, der.NULL, WRAP, NOTHING),
                der.element(
                    0xA1, der.integer(3), der.element(0xA0, der.element(0xA1)), WRAP, NOTHING
                ),
            )
        ),
    ],
)
def test_other_shapes_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        parse_enveloped_data(raw)


@given(st.data())
def test_damaged_objects_raise_nothing_else(data: st.DataObject) -> None:
    infos = (FOR_ALICE, kari(made.ALICE, BY_KEY), KEKRI, PWRI, ORI, kemri(WRAP, SEALED_KEY))
    raw = bytearray(made.enveloped_data(*infos, encrypted=SEALED))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        for recipient in parse_enveloped_data(bytes(raw)).recipients:
            assert recipient.id.isprintable()
    except CmsError:
        pass
