import pytest

from smime_proxy.cms import ber, der, oids
from smime_proxy.cms.content_info import parse_content_info, peek_content_type, read_algorithm
from smime_proxy.cms.errors import MalformedCms
from tests.unit.cms.parties import indefinite

OID = der.object_identifier(oids.DATA)
CONTENT = der.element(0xA0, der.element(der.OCTET_STRING, b"x"))
OBJECT = der.element(der.SEQUENCE, OID, CONTENT)


@pytest.mark.parametrize("raw", [OBJECT, indefinite(0x30, OID, CONTENT), OBJECT + b"\r\n\x00 \t"])
def test_an_object_is_its_type_and_content(raw: bytes) -> None:
    info = parse_content_info(raw)
    assert info.content_type == oids.DATA
    assert info.content.encoding.tobytes() == b"\x04\x01x"
    assert peek_content_type(raw) == oids.DATA


@pytest.mark.parametrize(
    "raw",
    [
        OBJECT + b"x",
        OBJECT + OBJECT,
        OBJECT + b"\n" * 2000,
        der.element(der.SEQUENCE, OID),
        der.element(der.SEQUENCE, OID, CONTENT, CONTENT),
        der.element(der.SEQUENCE, OID, der.element(0xA0)),
        der.element(der.SEQUENCE, OID, der.element(0xA1, der.NULL)),
        der.element(der.SEQUENCE, CONTENT, CONTENT),
        OID,
        b"",
    ],
)
def test_everything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        parse_content_info(raw)


def test_the_type_is_read_from_the_first_octets_only() -> None:
    assert peek_content_type(b"\x30\x84\x7f\xff\xff\xff" + OID) == oids.DATA
    for raw in (b"\x31\x80" + OID, b"\x30\x80\x04\x00", b"\x30", b""):
        with pytest.raises(MalformedCms):
            peek_content_type(raw)


def test_algorithms_have_optional_parameters() -> None:
    absent = der.element(der.SEQUENCE, OID)
    null = der.element(der.SEQUENCE, OID, der.NULL)
    assert read_algorithm(ber.read_only(absent)) == (oids.DATA, b"")
    assert read_algorithm(ber.read_only(null)) == (oids.DATA, der.NULL)
    for raw in (der.element(der.SEQUENCE), der.element(der.SEQUENCE, OID, der.NULL, der.NULL)):
        with pytest.raises(MalformedCms):
            read_algorithm(ber.read_only(raw))
