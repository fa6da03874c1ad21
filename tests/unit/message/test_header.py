import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.errors import FieldError, TooComplex
from smime_proxy.message.header import (
    MAX_FIELD_OCTETS,
    MAX_HEADER_OCTETS,
    Field,
    HeaderBlock,
    check_limits,
    field_line,
    has_loose_lines,
    valid_name,
)

RAW = (
    b"Received: one\r\n"
    b"FROM: alice@example.test\r\n"
    b"Subject: a\r\n  folded\r\n\tvalue \r\n"
    b"no field at all\r\n"
    b"X-Blank \t: obsolete\r\n"
    b"received:two\r\n"
)
BLOCK = HeaderBlock(RAW)


def test_a_block_is_its_octets() -> None:
    assert bytes(BLOCK) == RAW
    assert b"".join(field.raw for field in BLOCK.fields) == RAW
    assert len(BLOCK) == len(RAW)
    assert HeaderBlock(RAW) == BLOCK
    assert hash(HeaderBlock(RAW)) == hash(BLOCK)
    assert repr(BLOCK) == f"HeaderBlock(6 fields, {len(RAW)} octets)"


def test_fields_are_found_in_any_case_in_order() -> None:
    assert [field.value for field in BLOCK.find("Received")] == ["one", "two"]
    assert BLOCK.first("from") == "alice@example.test"
    assert BLOCK.first("to") is None
    assert BLOCK.find("ü") == ()
    assert [field.value for field in BLOCK.starting("Rec")] == ["one", "two"]


def test_white_space_before_the_colon_belongs_to_no_name() -> None:
    assert BLOCK.first("x-blank") == "obsolete"
    assert Field(b"X-Blank \t: obsolete\r\n").name == "x-blank"


def test_a_value_is_unfolded_and_keeps_inner_blanks() -> None:
    assert BLOCK.first("subject") == "a  folded\tvalue"


def test_a_line_that_is_no_field_has_no_name_and_stays() -> None:
    assert [field.raw for field in BLOCK.find("")] == [b"no field at all\r\n"]
    assert b"no field at all\r\n" in bytes(BLOCK.remove(["received"]))


@pytest.mark.parametrize(
    "raw",
    [b"From eve@x.org Mon: x\r\n", b": x\r\n", b" x: y\r\n", b"\xff: y\r\n", b"x\r\n", b"a\0: b"],
)
def test_what_has_no_valid_name_is_no_field(raw: bytes) -> None:
    assert Field(raw).name == ""
    assert [field.name for field in HeaderBlock(raw).fields] == [""]


def test_octets_that_are_not_utf8_come_back_when_encoded_again() -> None:
    field = Field(b"Subject: gr\xc3\xbc\xc3\x9f \xfc\r\n")
    assert field.value == "grüß \udcfc"
    assert field.value.encode("utf-8", "surrogateescape") == b"gr\xc3\xbc\xc3\x9f \xfc"


def test_removing_leaves_every_other_octet() -> None:
    assert bytes(BLOCK.remove(["Received", "x-blank"])) == (
        b"FROM: alice@example.test\r\nSubject: a\r\n  folded\r\n\tvalue \r\nno field at all\r\n"
    )
    assert bytes(BLOCK.remove(lambda field: field.name != "from")) == (
        b"FROM: alice@example.test\r\n"
    )
    assert BLOCK.remove(["to"]) is BLOCK
    assert bytes(BLOCK) == RAW


def test_a_prepended_field_stands_on_top_and_ends_with_crlf() -> None:
    assert bytes(BLOCK.prepend("X-New", "v\r\n\tfolded")) == b"X-New: v\r\n\tfolded\r\n" + RAW
    assert bytes(HeaderBlock(b"a: b\n").prepend("X", b"\xff")) == b"X: \xff\r\na: b\n"
    assert bytes(HeaderBlock(b"").prepend("X", "ü")) == "X: ü\r\n".encode()


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nBcc: x",
        "a\nb",
        "a\rb",
        "a\r\n",
        "a\r\n \r\n b",
        "a\r\n ",
        "\0",
        "a\r\n\r\n b",
        "a\n b",
    ],
)
def test_a_value_cannot_inject_lines(value: str) -> None:
    with pytest.raises(FieldError):
        BLOCK.prepend("X-New", value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "ü", "a\r\n", " a"])
def test_a_name_must_be_one(name: str) -> None:
    assert not valid_name(name)
    with pytest.raises(FieldError):
        field_line(name, b"x")


def test_headers_beyond_the_limits_are_too_complex() -> None:
    check_limits(HeaderBlock(b"a: b\r\n" * (MAX_HEADER_OCTETS // 6)))
    check_limits(HeaderBlock(b"a: " + b"b" * (MAX_FIELD_OCTETS - 5) + b"\r\n"))
    with pytest.raises(TooComplex):
        check_limits(HeaderBlock(b"a: b\r\n" * (MAX_HEADER_OCTETS // 6 + 1)))
    with pytest.raises(TooComplex):
        check_limits(HeaderBlock(b"a: " + b"b" * MAX_FIELD_OCTETS + b"\r\n"))


@given(st.binary() | st.text(alphabet="aA:\r\n\t \0", max_size=60).map(str.encode))
def test_fields_joined_are_the_block_whatever_it_holds(raw: bytes) -> None:
    block = HeaderBlock(raw)
    assert b"".join(field.raw for field in block.fields) == raw
    assert bytes(block.remove([])) == raw
    for field in block.fields:
        assert field in block.find(field.name)


@pytest.mark.parametrize(
    ("raw", "loose"),
    [
        (b"", False),
        (b"A: b\r\n c\r\n", False),
        (b"From a@b Mon\r\nA: b\r\n", False),
        (b"A: b\r\ntext\r\n", True),
        (b" text\r\nA: b\r\n", True),
        (b"From a@b Mon\r\nA: b\r\nFrom c\r\n", True),
    ],
)
def test_lines_that_are_no_field_are_loose(raw: bytes, loose: bool) -> None:
    assert has_loose_lines(HeaderBlock(raw)) is loose
