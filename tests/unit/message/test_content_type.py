import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.content_type import (
    ContentType,
    is_plain,
    read_content_type,
    read_parameters,
)


@pytest.mark.parametrize(
    ("value", "full", "parameters"),
    [
        ("text/plain", "text/plain", {}),
        ("TEXT/Plain; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ('multipart/mixed;boundary="a;b"', "multipart/mixed", {"boundary": "a;b"}),
        ('a/b; x="q\\"q\\\\"; y=1', "a/b", {"x": 'q"q\\', "y": "1"}),
        ("a/b; x = y ;; z=1;", "a/b", {"x": "y", "z": "1"}),
        ("a / b; x=y", "a/b", {"x": "y"}),
        ("a/b (comment); x=y (other; z=2)", "a/b", {"x": "y"}),
        ("a/b; name=copy(1).pdf", "a/b", {"name": "copy(1).pdf"}),
        ('a/b; name="copy (1).pdf"', "a/b", {"name": "copy (1).pdf"}),
        ("a/b; name=two words.txt; x=1", "a/b", {"name": "two words.txt", "x": "1"}),
        ('a/b; x="unclosed', "a/b", {"x": "unclosed"}),
        ("a/b; x=1; X=2", "a/b", {"x": "1"}),
        ("a/b; junk; x=1", "a/b", {"x": "1"}),
        ("a/b; =v; x=1", "a/b", {"x": "1"}),
        ("a/b; x=", "a/b", {"x": ""}),
        ("a/b; x*=utf-8''gr%C3%BC%C3%9Fe", "a/b", {"x": "grüße"}),
        ("a/b; x*0=ab; x*1=cd", "a/b", {"x": "abcd"}),
        ("a/b; x*1=cd; x*0=ab; x*3=gap", "a/b", {"x": "abcd"}),
        ("a/b; x*0*=utf-8'de'gr%C3; x*1*=%BC; x*2=\"%41\"", "a/b", {"x": "grü%41"}),
        ("a/b; x*=iso-8859-1''%FC; x=plain", "a/b", {"x": "plain"}),
        ("a/b; x*=no-charset%41", "a/b", {"x": "no-charsetA"}),
        ("a/b; x*=weird''%41", "a/b", {"x": "A"}),
        ("a/b; x*=''%41", "a/b", {"x": "A"}),
    ],
)
def test_types_and_parameters_are_read(value: str, full: str, parameters: dict[str, str]) -> None:
    read = read_content_type(value)
    assert read is not None
    assert str(read) == read.full == full
    assert dict(read.parameters) == parameters


@pytest.mark.parametrize("value", ["", "text", "/plain", "text/", "a b/c", "text/plain/x", "(c)"])
def test_a_value_without_a_media_type_is_none(value: str) -> None:
    assert read_content_type(value) is None


def test_types_compare_by_value() -> None:
    assert ContentType("a", "b") == read_content_type("A/B")


def test_a_disposition_is_read_the_same_way() -> None:
    head, parameters = read_parameters('Attachment; filename="x.p7m"')
    assert head == "Attachment"
    assert parameters["filename"] == "x.p7m"


@given(st.text(alphabet="a/;=*0\"\\() '%4", max_size=60))
def test_reading_never_raises(value: str) -> None:
    read_content_type(value)


@pytest.mark.parametrize("piece", [";", "(", ")", '"', "\\", ";a=b", ";a*1*=%", "a=", '";"', "( "])
def test_a_whole_field_of_one_sort_is_read(piece: str) -> None:
    """The largest field there can be; quadratic reading would be felt."""
    read_content_type("a/b;" + piece * (100_000 // len(piece)))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ('multipart/signed; protocol="application/pkcs7-signature"; boundary="=_b"', True),
        ("multipart/signed;boundary=----=_Part_1.2 ; micalg = sha1; ", True),
        ('multipart/signed; boundary="a"; BOUNDARY="b"', False),
        ("multipart/signed; boundary=a; boundary*=us-ascii''b", False),
        ('multipart/signed; boundary*0="a"', False),
        ('multipart/signed; boundary="\\a"', False),
        ('multipart/signed; boundary="a', False),
        ('multipart/signed; boundary="a"b', False),
        ("multipart/signed; boundary=a b", False),
        ("multipart/signed; boundary=a(b)", False),
        ('multipart/signed; x="; boundary=a"; boundary="b"', False),
        ("(a) multipart/signed; boundary=b", False),
        ("multipart/signed; boundary=\u00fc", False),
        ("multipart/signed; nonsense; boundary=b", False),
        ("text", False),
    ],
)
def test_plain_is_what_every_reader_reads_alike(value: str, plain: bool) -> None:
    assert is_plain(value) is plain
