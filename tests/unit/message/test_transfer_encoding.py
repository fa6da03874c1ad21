import base64
import quopri
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.entity import decode_octets
from smime_proxy.message.transfer_encoding import (
    base64_lines,
    encode_base64,
    encode_quoted_printable,
    is_bare_base64,
    is_clear_base64,
    is_clear_quoted_printable,
    is_safe,
    is_seven_bit,
    suits_quoted_printable,
)


@pytest.mark.parametrize(
    "body",
    [b"", b"a", b"a b\tc\r\n\r\n", b"x" * 998, (b"y" * 998 + b"\r\n") * 3, b"a.\r\n From x\r\n"],
)
def test_ordinary_text_is_safe(body: bytes) -> None:
    assert is_safe(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xe9",
        b"\0",
        b"a\rb",
        b"a\nb",
        b"\r\r\n",
        b"a \r\n",
        b"a\t\r\n",
        b"a ",
        b"a\t",
        b".a",
        b"a\r\n.",
        b"From x",
        b"a\r\nFrom x",
        b"x" * 999,
        b"x" * 999 + b"\r\n",
        b"a\r\n" + b"x" * 999 + b"\r\nb\r\n",
        b"a\r\n" * 2000 + b"x" * 999,
    ],
)
def test_what_some_relay_or_mailbox_changes_is_not_safe(body: bytes) -> None:
    """E32."""
    assert not is_safe(body)


def test_seven_bit_is_what_needs_no_encoding_to_be_sent() -> None:
    """RFC 2045 2.7."""
    assert is_seven_bit(b".a \r\nFrom \t\r\n" + b"x" * 998)
    assert not any(is_seven_bit(body) for body in (b"\xe9", b"a\0", b"x" * 999))


HOSTILE = st.lists(
    st.sampled_from(
        [
            b"\r\n",
            b"\r",
            b"\n",
            b" ",
            b"\t",
            b".",
            b"From ",
            b"=",
            b"\xc3\xbc",
            b"\0",
            b"a" * 74,
            b"bc",
        ]
    ),
    max_size=30,
).map(b"".join)


@given(HOSTILE | st.binary())
def test_quoted_printable_is_safe_and_decodes_to_the_same_octets(raw: bytes) -> None:
    """E32."""
    encoded = encode_quoted_printable(raw)
    assert is_safe(encoded)
    assert is_clear_quoted_printable(encoded)
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert not encoded.endswith((b"=", b"=\r\n"))
    assert decode_octets(encoded, "quoted-printable") == raw
    assert quopri.decodestring(encoded.replace(b"\r\n", b"\n")) == raw.replace(b"\r\n", b"\n")


def test_long_lines_break_softly_at_76() -> None:
    assert encode_quoted_printable(b"x" * 76) == b"x" * 76
    assert encode_quoted_printable(b"x" * 77) == b"x" * 75 + b"=\r\nxx"
    assert encode_quoted_printable(b"x" * 74 + b"\xff\xff") == b"x" * 74 + b"=\r\n=FF=FF"
    assert encode_quoted_printable(b"x" * 73 + b"\xff\xff") == b"x" * 73 + b"=\r\n=FF=FF"
    assert encode_quoted_printable(b"x" * 72 + b"\xff\xff") == b"x" * 72 + b"=FF=\r\n=FF"
    assert encode_quoted_printable(b"x" * 75 + b".yz") == b"x" * 75 + b"=\r\n=2Eyz"


@given(st.binary(max_size=300))
def test_base64_has_lines_of_76_and_decodes_to_the_same_octets(raw: bytes) -> None:
    encoded = encode_base64(raw)
    assert base64.b64decode(encoded) == raw
    assert is_safe(encoded)
    assert is_clear_base64(encoded)
    assert re.fullmatch(rb"(?:[^\r\n]{76}\r\n)*(?:[^\r\n]{1,76}\r\n)?", encoded)


@given(st.lists(st.binary(max_size=130)))
def test_base64_of_pieces_is_that_of_the_whole(pieces: list[bytes]) -> None:
    assert b"".join(base64_lines(pieces)) == encode_base64(b"".join(pieces))
    views = [memoryview(piece) for piece in pieces]
    assert b"".join(base64_lines(views)) == encode_base64(b"".join(pieces))


@pytest.mark.parametrize("length", [56, 57, 58, 58_367, 58_368, 58_369, 65_536, 200_000])
def test_base64_of_long_octets_is_that_of_the_standard_library(length: int) -> None:
    raw = bytes(range(256)) * (length // 256 + 1)
    expected = base64.encodebytes(raw[:length]).replace(b"\n", b"\r\n")
    assert encode_base64(raw[:length]) == expected
    assert max(map(len, base64_lines([raw[:length]]))) < 80_000


def test_base64_takes_little_more_memory_than_its_result() -> None:
    """P10."""
    raw = bytes(4_000_000)
    tracemalloc.start()
    try:
        length = len(encode_base64(raw))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * length


@pytest.mark.parametrize("raw", [b"\n" * 200_000, b"\r\n" * 200_000], ids=["LF", "CRLF"])
def test_many_escapes_and_many_lines_take_a_few_times_their_size(raw: bytes) -> None:
    """E91: each used to take a hundred octets."""
    tracemalloc.start()
    try:
        encode_quoted_printable(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(raw)


def test_text_with_many_foreign_octets_suits_base64_better() -> None:
    assert suits_quoted_printable("Viele Grüße aus Köln am Rhein".encode())
    assert suits_quoted_printable(b"")
    assert not suits_quoted_printable("日本語".encode())


@pytest.mark.parametrize("body", [b"=", b"a=20=\r\n", b"a =\nb", b"=e9", b"a=", b"a b"])
def test_clear_quoted_printable_has_no_stray_equals_sign(body: bytes) -> None:
    assert is_clear_quoted_printable(body)


@pytest.mark.parametrize(
    "body", [b"=Z", b"=2", b"==", b"= x", b"=\r", b"a \r\nb", b"a\t", b"= \r\n"]
)
def test_stray_equals_signs_and_blanks_at_line_ends_are_noticed(body: bytes) -> None:
    assert not is_clear_quoted_printable(body)


@pytest.mark.parametrize(
    ("body", "clear"),
    [
        (b"YWJj\r\n", True),
        (b"YWI=\n", True),
        (b"YQ==", True),
        (b"", True),
        (b"YWI", False),
        (b"YW!Jj", False),
        (b"YQ==YQ==", False),
        (b"YWJj\r\n-- \r\nfooter", False),
    ],
)
def test_clear_base64_is_base64_alone(body: bytes, clear: bool) -> None:
    assert is_clear_base64(body) is clear


@pytest.mark.parametrize(
    ("body", "bare"),
    [
        (b"", True),
        (b"YWJj\r\nYW==\r\n\r\n", True),
        (b"YWJjYW= =\r\n", True),
        (b"YWI", True),
        (b"YW==\r\ntext\r\n", False),
        (b"YWJj\r\n--a\r\n", False),
        (b"YWJj===", False),
        (b"=YWJj", False),
        (b"YWJj" * 57 * 256 + b"=\r\n=\r\n", True),
        (b"YWJj" * 57 * 256 + b"=YWJj", False),
        (b"YWJj" * 57 * 255 + b"=" + b"YWJj" * 57, False),
        (b"=" + b"YWJj" * 57 * 512, False),
    ],
)
def test_bare_base64_has_nothing_beside_it(body: bytes, bare: bool) -> None:
    """The large ones are looked at in pieces: their padding lies around the ends of these."""
    assert is_bare_base64(body) is bare


@given(st.text("AB+/ \r\n=-", max_size=12), st.integers(0, 12))
def test_bare_base64_is_the_same_in_pieces_as_in_one(text: str, gap: int) -> None:
    """The piece ends somewhere inside the text."""
    body = b"A" * (57 * 1024 - gap) + text.encode()
    padding = body.translate(None, b"AB+/ \r\n")
    whole = padding in {b"", b"=", b"=="} and body.translate(None, b" \r\n").endswith(padding)
    assert is_bare_base64(body) is whole
