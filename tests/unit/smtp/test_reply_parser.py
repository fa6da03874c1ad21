import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.errors import ReplySyntaxError
from smime_proxy.smtp.reply_parser import MAX_LINE, MAX_LINES, ReplyParser

CODES = st.integers(2, 5).flatmap(
    lambda first: st.integers(0, 59).map(lambda rest: f"{first}{rest:02d}")
)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


def wire(code: str, lines: list[str]) -> bytes:
    marks = ["-"] * (len(lines) - 1) + [" "]
    shown = (f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True))
    return "".join(shown).encode()


REPLIES = st.builds(wire, CODES, st.lists(TEXTS, min_size=1, max_size=5))


def feed_all(chunks: list[bytes]) -> tuple[list[Reply], str]:
    """Give the replies, and the error that ended them if any."""
    parser, replies = ReplyParser(), list[Reply]()
    for chunk in chunks:
        try:
            replies += parser.feed(chunk)
        except ReplySyntaxError as error:
            return replies, str(error)
    return replies, ""


@given(st.lists(REPLIES, max_size=4), st.data())
def test_replies_do_not_depend_on_how_the_network_cut_them(
    replies: list[bytes], data: st.DataObject
) -> None:
    raw = b"".join(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    whole, pieces = feed_all([raw]), feed_all(chunks)
    assert whole == pieces
    assert len(whole[0]) == len(replies)
    assert whole[1] == ""


@given(st.binary(max_size=300))
def test_no_octets_raise_anything_but_its_own_error(raw: bytes) -> None:
    feed_all([raw])
    feed_all([bytes((octet,)) for octet in raw])


@given(st.binary(max_size=200))
def test_octets_one_by_one_end_in_the_same_verdict(raw: bytes) -> None:
    whole, single = feed_all([raw]), feed_all([bytes((octet,)) for octet in raw])
    assert bool(whole[1]) == bool(single[1])


def test_code_status_and_text_of_all_lines_are_kept() -> None:
    raw = b"550-5.7.1 first\r\n550-5.7.1\r\n550 5.7.1 third\r\n"
    assert ReplyParser().feed(raw) == [Reply(550, EnhancedStatus(7, 1), "first\n\nthird")]


@pytest.mark.parametrize("raw", [b"250\r\n", b"250 \r\n"])
def test_a_reply_may_have_no_text(raw: bytes) -> None:
    assert ReplyParser().feed(raw) == [Reply(250, None, "")]


def test_what_a_terminal_would_act_on_is_made_visible() -> None:
    raw = "550 a\x1b[2Jb\x00c\x9bd\xff".encode() + b"\xff\r\n"
    assert ReplyParser().feed(raw)[0].text == "a?[2Jb?c?d\xff\ufffd"


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"250_ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"260 ok\r\n",
        b" 250 ok\r\n",
        b"\r\n",
        b"250 ok\n",
        b"250 o\rk\r\n",
        b"250 o\nk\r\n",
        b"250-ok\r\n251 ok\r\n",
        b"250-ok\r\nok\r\n",
    ],
)
def test_what_is_no_reply_is_refused(raw: bytes) -> None:
    with pytest.raises(ReplySyntaxError):
        ReplyParser().feed(raw)


def test_half_a_code_waits_for_the_rest() -> None:
    parser = ReplyParser()
    assert parser.feed(b"25") == []
    assert parser.pending == b"25"
    assert [reply.code for reply in parser.feed(b"0 ok\r\n")] == [250]
    assert parser.pending == b""


def test_a_reply_begun_is_told_by_its_code() -> None:
    parser = ReplyParser()
    parser.feed(b"421-bye\r\n")
    assert parser.pending == b"421"


def test_a_line_of_the_greatest_length_is_taken_and_one_octet_more_is_not() -> None:
    longest = b"250 " + b"x" * (MAX_LINE - 6) + b"\r\n"
    assert len(ReplyParser().feed(longest)) == 1
    with pytest.raises(ReplySyntaxError):
        ReplyParser().feed(b"250 x" + longest[4:])


def test_a_line_without_end_is_given_up_at_the_limit() -> None:
    """R23: memory stays bounded when the end never comes."""
    parser = ReplyParser()
    for _ in range(MAX_LINE - 1):
        parser.feed(b"2")
    with pytest.raises(ReplySyntaxError):
        parser.feed(b"2")


def test_lines_without_end_are_given_up_at_the_limit() -> None:
    """R23: an endless multi-line reply."""
    parser = ReplyParser()
    for _ in range(MAX_LINES - 1):
        assert parser.feed(b"250-more\r\n") == []
    with pytest.raises(ReplySyntaxError):
        parser.feed(b"250-more\r\n")


def test_the_last_line_allowed_completes_the_reply() -> None:
    raw = b"250-more\r\n" * (MAX_LINES - 1) + b"250 done\r\n"
    assert len(ReplyParser().feed(raw)) == 1
