import pytest

from smime_proxy.cms import ber, der
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.identifier import MAX_KEY_IDENTIFIER, Identifier, read_identifier
from tests.unit.cms.parties import indefinite
from tests.unit.cms.test_names import CN, PRINTABLE, UTF8, name

ISSUER = name((CN, UTF8, b"Test CA"))


def test_issuer_and_serial_are_read_and_printed() -> None:
    raw = der.element(der.SEQUENCE, ISSUER, der.integer(0xABC))
    identifier = read_identifier(ber.read_only(raw))
    assert identifier == Identifier(issuer=ISSUER, serial=0xABC)
    assert identifier.printable_issuer == "CN=Test CA"
    assert identifier.printable_serial == "0ABC"
    assert str(identifier) == "CN=Test CA serial 0ABC"


def test_an_issuer_of_indefinite_length_becomes_der() -> None:
    contents = ber.read_only(ISSUER).contents.tobytes()
    raw = indefinite(0x30, indefinite(0x30, contents), der.integer(1))
    assert read_identifier(ber.read_only(raw)).issuer == ISSUER


@pytest.mark.parametrize("raw", [b"\x80\x02\x0a\x0b", b"\xa0\x04\x04\x02\x0a\x0b"])
def test_a_key_identifier_is_read_and_printed(raw: bytes) -> None:
    identifier = read_identifier(ber.read_only(raw))
    assert identifier.ski == b"\x0a\x0b"
    assert str(identifier) == "ski 0a0b"
    assert identifier.printable_serial == identifier.printable_issuer == ""


@pytest.mark.parametrize(
    "raw",
    [
        der.element(der.SEQUENCE, ISSUER),
        der.element(der.SEQUENCE, ISSUER, ISSUER),
        der.element(0x80, bytes(MAX_KEY_IDENTIFIER + 1)),
        der.integer(1),
    ],
)
def test_everything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        read_identifier(ber.read_only(raw))


def test_certificates_match_by_issuer_value_and_serial_or_by_key_identifier() -> None:
    """E50."""
    by_name = Identifier(issuer=name((CN, PRINTABLE, b"TEST ca")), serial=5)
    assert by_name.matches(ISSUER, 5, None)
    assert not by_name.matches(ISSUER, 6, None)
    assert not by_name.matches(name((CN, UTF8, b"Other")), 5, None)
    by_key = Identifier(ski=b"\x01")
    assert by_key.matches(ISSUER, 5, b"\x01")
    assert not by_key.matches(ISSUER, 5, b"\x02")
    assert not by_key.matches(ISSUER, 5, None)


def test_nobody_is_matched_by_nothing() -> None:
    assert not Identifier().matches(ISSUER, 5, b"\x01")
    assert str(Identifier()) == ""


def test_negative_serials_print_with_their_sign() -> None:
    assert Identifier(issuer=ISSUER, serial=-255).printable_serial == "-FF"
