import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.reply import MAX_REPLY_LINE, EnhancedStatus, Reply, read_reply

REFUSED = Reply(550, EnhancedStatus(7, 1), "not allowed")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (250, (True, False, False)),
        (354, (False, False, False)),
        (451, (False, True, False)),
        (550, (False, False, True)),
    ],
)
def test_the_class_of_a_reply_follows_its_code(
    code: int, expected: tuple[bool, bool, bool]
) -> None:
    reply = Reply(code, None, "")
    assert (reply.is_positive, reply.is_temporary, reply.is_permanent) == expected


def test_the_class_of_the_enhanced_status_follows_the_code() -> None:
    assert REFUSED.enhanced == "5.7.1"
    assert Reply(451, EnhancedStatus(7, 1), "").enhanced == "4.7.1"
    assert Reply(250, None, "ok").enhanced == ""


def test_a_reply_reads_on_one_line() -> None:
    assert str(REFUSED) == "550 5.7.1 not allowed"
    assert str(Reply(250, None, "a\nb")) == "250 a b"
    assert str(Reply(221, None, "")) == "221"


def test_every_line_on_the_wire_carries_code_and_status() -> None:
    reply = Reply(550, EnhancedStatus(7, 1), "first\nsecond")
    assert reply.encode() == b"550-5.7.1 first\r\n550 5.7.1 second\r\n"
    assert Reply(250, None, "ok").encode() == b"250 ok\r\n"
    assert Reply(250, None, "").encode() == b"250 \r\n"


def test_nothing_but_printable_ascii_reaches_the_wire() -> None:
    assert Reply(550, None, "gr\u00fc\u00df\r\x00e").encode() == b"550 gr????e\r\n"


def test_a_wire_line_never_exceeds_the_limit() -> None:
    assert len(Reply(550, EnhancedStatus(7, 1), "x" * 2000).encode()) == MAX_REPLY_LINE


def test_a_peers_reply_is_read_with_its_status() -> None:
    assert read_reply(550, ["5.7.1 not", "5.7.1 allowed"]) == Reply(
        550, EnhancedStatus(7, 1), "not\nallowed"
    )
    assert read_reply(250, ["2.0.0"]) == Reply(250, EnhancedStatus(0, 0), "")
    assert read_reply(250, []) == Reply(250, None, "")


@pytest.mark.parametrize(
    "line", ["5.7.1 wrong class", "4.7.1x", "hello", "4.7 short", "4.7.1234 x"]
)
def test_a_status_that_is_none_or_does_not_fit_the_code_stays_text(line: str) -> None:
    assert read_reply(451, [line]) == Reply(451, None, line)


def test_a_status_later_in_the_text_stays() -> None:
    assert read_reply(550, ["5.7.1 a", "see 5.7.1 b"]).text == "a\nsee 5.7.1 b"


@given(st.text(max_size=30), st.sampled_from([250, 451, 550]))
def test_what_was_encoded_is_read_back(text: str, code: int) -> None:
    wire = Reply(code, EnhancedStatus(1, 2), text).encode().decode("ascii")
    lines = wire.removesuffix("\r\n").split("\r\n")
    assert all(line.startswith(str(code)) for line in lines)
    assert [line[3] for line in lines] == ["-"] * (len(lines) - 1) + [" "]
