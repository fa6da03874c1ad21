import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.smtp.errors import ContentError
from smime_proxy.smtp.stuffing import BLOCK, stuff

PIECES = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"a", b"\r\n.", b""]), max_size=30)
SIZES = st.integers(1, 9)  # octets in a block: every border falls everywhere


def expected(raw: bytes) -> bytes:
    """Stuff line by line, as RFC 5321 4.5.2 tells it."""
    lines = raw.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)


@given(PIECES, SIZES)
def test_every_line_that_begins_with_a_dot_gets_another(pieces: list[bytes], size: int) -> None:
    """The content is cut anywhere, inside CRLF and before the dot too."""
    raw = b"".join(pieces)
    assert b"".join(stuff([raw], size)) == expected(raw)
    assert b"".join(stuff(pieces, size)) == expected(raw)


@given(PIECES, SIZES)
def test_unstuffing_gives_the_content_back(pieces: list[bytes], size: int) -> None:
    raw = b"".join(pieces) + b"\r\n"
    sent = b"".join(stuff([bytes((octet,)) for octet in raw], size))
    assert (b"\r\n" + sent).replace(b"\r\n.", b"\r\n")[2:] == raw
    assert b"\r\n.\r\n" not in b"\r\n" + sent


@pytest.mark.parametrize("at", range(BLOCK - 4, BLOCK + 3))
def test_a_dot_at_the_border_of_a_block_is_doubled(at: int) -> None:
    raw = b"x" * at + b"\r\n.\r\n" + b"y" * BLOCK
    assert b"".join(stuff([raw])) == b"x" * at + b"\r\n..\r\n" + b"y" * BLOCK + b"\r\n"


def test_blocks_are_bounded_whatever_the_buffers_are() -> None:
    line = b".23456\r\n"
    sizes = [len(block) for block in stuff([line * (3 * BLOCK // 8), *[line] * (BLOCK // 8)])]
    assert max(sizes) <= BLOCK * 9 // 8 + 2
    assert len(sizes) <= 5


def test_small_buffers_leave_as_one_block() -> None:
    assert list(stuff([b"a: b\r\n", b"\r\n", b"text\r\n"])) == [b"a: b\r\n\r\ntext\r\n"]


def test_a_last_line_without_end_gets_one() -> None:
    assert b"".join(stuff([b"a\r\nb"])) == b"a\r\nb\r\n"


def test_no_content_is_no_octets() -> None:
    assert list(stuff([])) == []
    assert list(stuff([b"", b""])) == []


@pytest.mark.parametrize(
    "content",
    [
        [b"a\nb\r\n"],
        [b"a\rb\r\n"],
        [b"a\r\n\n.\r\n"],
        [b"a\n.\r\n"],
        [b"a\r.\r\n"],
        [b"a\r\r\n"],
        [b"a\n\r"],
        [b"\nb\r\n"],
        [b"a\r"],
        [b"a\r", b"b\r\n"],
        [b"a\r", b"\r\n"],
        [b"a", b"\nb\r\n"],
        [b"a" * BLOCK, b"\n"],
        [b"a" * (BLOCK - 1) + b"\r", b"b\r\n"],
    ],
)
def test_bare_cr_or_lf_is_refused(content: list[bytes]) -> None:
    """E09: what another server may take for the end of the message never reaches the wire."""
    with pytest.raises(ContentError):
        b"".join(stuff(content))


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"]), max_size=20), SIZES)
def test_what_is_sent_has_paired_line_ends_only(pieces: list[bytes], size: int) -> None:
    try:
        sent = b"".join(stuff(pieces, size))
    except ContentError:
        bare = b"".join(pieces).replace(b"\r\n", b"")
        assert b"\r" in bare or b"\n" in bare
    else:
        assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
