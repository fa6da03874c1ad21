import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.address_list import (
    MAX_ADDRESSES,
    MAX_COMMENT_DEPTH,
    MAX_TOKENS,
    Kind,
    elements,
    strip_blank,
    tokens,
)
from smime_proxy.message.errors import TooComplex


def kinds(value: str) -> list[str]:
    return [token.kind.name for token in tokens(value)]


def texts(value: str) -> list[str]:
    return ["".join(token.text for token in strip_blank(element)) for element in elements(value)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.c", "ATOM SPECIAL ATOM SPECIAL ATOM"),
        ('"a \\" b" <x>', "QUOTED BLANK SPECIAL ATOM SPECIAL"),
        ("(a (b) \\) c)", "COMMENT"),
        ("a@[192.0.2.1]", "ATOM SPECIAL LITERAL"),
        ('"open <a@b>', "BAD"),
        ("(open <a@b>", "BAD"),
        ("[open a", "BAD"),
        ("a)b\\c\0", "ATOM BAD ATOM BAD ATOM BAD"),
        ("a\r\nb", "ATOM BAD BAD ATOM"),
        ("grü\udcff", "ATOM"),
    ],
)
def test_a_field_is_taken_apart(value: str, expected: str) -> None:
    assert kinds(value) == expected.split()


@given(st.text(alphabet='ab ()<>@.,;:"\\[]\t\0é', max_size=60))
def test_no_character_is_lost(value: str) -> None:
    assert "".join(token.text for token in tokens(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b, c@d", ["a@b", "c@d"]),
        ('"x, y" <a@b> (no, comma), c@d', ['"x, y" <a@b>', "c@d"]),
        ("team: a@b, c@d; , e@f", ["a@b", "c@d", "", "e@f"]),
        ("undisclosed-recipients:;", ["", ""]),
        ("<@a,@b:c@d>, e@f", ["<@a,@b:c@d>", "e@f"]),
    ],
)
def test_a_list_is_split_at_its_commas_and_groups_are_dissolved(
    value: str, expected: list[str]
) -> None:
    assert texts(value) == expected


def test_comments_may_nest_only_so_deep() -> None:
    assert kinds("(" * MAX_COMMENT_DEPTH + ")" * MAX_COMMENT_DEPTH) == [Kind.COMMENT.name]
    with pytest.raises(TooComplex):
        kinds("(" * (MAX_COMMENT_DEPTH + 1) + ")" * (MAX_COMMENT_DEPTH + 1))


def test_a_megabyte_of_parentheses_is_refused_at_the_limit() -> None:
    for value in ("(" * 1_000_000, ")" * 1_000_000, "()" * 500_000):
        with pytest.raises(TooComplex):
            kinds(value)


def test_addresses_and_tokens_are_limited() -> None:
    assert len(texts("a@b," * (MAX_ADDRESSES - 1))) == MAX_ADDRESSES
    with pytest.raises(TooComplex):
        texts("a@b," * MAX_ADDRESSES)
    assert len(kinds("." * MAX_TOKENS)) == MAX_TOKENS
    with pytest.raises(TooComplex):
        kinds("." * (MAX_TOKENS + 1))
