import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.entity import START_OCTETS, decode_body, decode_octets, decode_start
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.parse import parse


def leaf(header: str, body: bytes = b"") -> bytes:
    return header.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("", "7bit"),
        ("Content-Transfer-Encoding: BASE64", "base64"),
        ("Content-Transfer-Encoding: quoted-printable;", "quoted-printable"),
        ("Content-Transfer-Encoding: 8bit (really)", "8bit"),
        ("Content-Transfer-Encoding:", "7bit"),
        ("Content-Transfer-Encoding: x-uue\r\nContent-Transfer-Encoding: 7bit", "x-uue"),
    ],
)
def test_the_transfer_encoding_is_the_first_word_of_the_first_field(
    value: str, encoding: str
) -> None:
    assert parse(leaf(f"A: b\r\n{value}" if value else "A: b")).transfer_encoding == encoding


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Content-Disposition: attachment; filename=a.p7m", "a.p7m"),
        ("Content-Type: a/b; name=b.p7s", "b.p7s"),
        ("Content-Type: a/b; name=b\r\nContent-Disposition: x; filename=a", "a"),
        ("Content-Disposition: x; filename*=utf-8''gr%C3%BC.p7m", "grü.p7m"),
        ('Content-Type: a/b; name="=?utf-8?q?gr=C3=BC?="', "grü"),
        ("Content-Disposition: inline", ""),
        ("A: b", ""),
    ],
)
def test_the_file_name_is_found(header: str, name: str) -> None:
    """E48."""
    assert parse(leaf(header)).filename == name


def test_the_disposition_is_in_lower_case() -> None:
    assert parse(leaf("Content-Disposition: ATTACHMENT; x=y")).disposition == "attachment"
    assert parse(leaf("A: b")).disposition == ""


def test_walking_gives_parents_first_in_order() -> None:
    content = leaf(
        "Content-Type: multipart/mixed; boundary=b",
        b"--b\n\none\n--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\ntwo\n--c--\n"
        b"--b\n\nsix\n--b--",
    )
    entity = parse(content)
    assert entity.is_multipart
    assert [each.start for each in entity.walk()] == sorted(each.start for each in entity.walk())
    assert [each.body for each in entity.walk() if each.is_leaf] == [b"one", b"two", b"six"]


@pytest.mark.parametrize(
    ("encoding", "body", "decoded"),
    [
        ("7bit", b"a=\r\n", b"a=\r\n"),
        ("x-unknown", b"YWJj", b"YWJj"),
        ("base64", b"YW\r\nJj\r\n", b"abc"),
        ("quoted-printable", b"a=3D=\r\nb=e9 \t\r\nc  ", b"a=b\xe9\r\nc"),
        ("quoted-printable", b"a= \r\nb", b"ab"),
        ("quoted-printable", b"=ZZ=", b"=ZZ"),
        ("quoted-printable", b"soft=", b"soft"),
    ],
)
def test_bodies_are_decoded(encoding: str, body: bytes, decoded: bytes) -> None:
    entity = parse(leaf(f"Content-Transfer-Encoding: {encoding}", body))
    assert decode_body(entity, 100) == decoded


def test_a_body_that_decodes_to_too_much_is_too_complex() -> None:
    entity = parse(leaf("Content-Transfer-Encoding: base64", base64.b64encode(b"x" * 100)))
    assert len(decode_body(entity, 100)) == 100
    with pytest.raises(TooComplex):
        decode_body(entity, 99)


@given(st.binary(), st.sampled_from(["7bit", "base64", "quoted-printable", "other"]))
def test_decoding_never_raises(body: bytes, encoding: str) -> None:
    decode_octets(body, encoding)


@given(st.binary())
def test_quoted_printable_is_read_as_the_standard_library_writes_it(raw: bytes) -> None:
    text = raw.replace(b"\r", b"").replace(b"\n", b"")
    assert decode_octets(quopri.encodestring(text, quotetabs=True), "quoted-printable") == text


BODIES = st.one_of(
    st.binary(max_size=3_000).map(base64.encodebytes),
    st.binary(max_size=3_000),
    st.builds(
        lambda raw, at, odd: base64.encodebytes(raw)[:at] + odd + base64.encodebytes(raw)[at:],
        st.binary(min_size=1_500, max_size=2_000),
        st.integers(0, 2_500),
        st.sampled_from([b"=", b"==", b"\0", b"-", b" \v\f", b"=\r\n"]),
    ),
)


@given(BODIES, st.sampled_from(["base64", "7bit", "quoted-printable", "x-uue"]))
def test_what_a_body_begins_with_is_what_the_whole_begins_with(body: bytes, encoding: str) -> None:
    entity = parse(leaf(f"Content-Transfer-Encoding: {encoding}", body))
    whole, start = decode_octets(entity.body, encoding), decode_start(entity)
    assert whole.startswith(start)
    assert len(start) >= min(START_OCTETS, len(whole))


def test_the_start_of_a_large_body_is_found_without_decoding_it() -> None:
    entity = parse(leaf("Content-Transfer-Encoding: base64", b"QUJD" * 19 * 10_000 + b"\r\n"))
    assert len(decode_start(entity)) < 2 * START_OCTETS
