"""Mail that goes round is known by authentic marks, and by nothing anybody else can write."""

from datetime import UTC, datetime

import pytest

from smime_proxy.gateway.loops import MAX_PASSES, Loops, word_of
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.message.trace import received_field

LISTENERS = ("out", "in", "filter")
LOOPS = Loops(b"secret", "proxy.example", LISTENERS)
BODY = b"From: a@example.test\r\nMessage-ID: <1@example.test>\r\n\r\nx\r\n"


def header_of(raw: bytes) -> HeaderBlock:
    return parse(raw).header


def passed(raw: bytes, listener: str = "out", number: int = 0, loops: Loops = LOOPS) -> bytes:
    """Put the field of one passage in front of a message."""
    mark = loops.mark(listener, f"{number:012x}", header_of(raw))
    return field(mark) + raw


def field(identifier: str) -> bytes:
    return received_field(
        helo="x",
        peer="192.0.2.1",
        hostname="proxy.example",
        protocol="ESMTP",
        identifier=identifier,
        recipient=None,
        at=datetime(2026, 6, 1, tzinfo=UTC),
    )


def rounds(count: int, raw: bytes = BODY, listener: str = "out", loops: Loops = LOOPS) -> bytes:
    for number in range(count):
        raw = passed(raw, listener, number, loops)
    return raw


def test_mail_that_was_here_too_often_goes_round() -> None:
    assert not LOOPS.goes_round("out", header_of(rounds(MAX_PASSES)))
    assert LOOPS.goes_round("out", header_of(rounds(MAX_PASSES + 1)))


def test_each_listener_counts_for_itself() -> None:
    raw = BODY
    for number in range(MAX_PASSES):
        for listener in LISTENERS:
            raw = passed(raw, listener, number)
    assert not any(LOOPS.goes_round(listener, header_of(raw)) for listener in LISTENERS)


def test_another_server_may_fold_the_field_anew() -> None:
    raw = rounds(MAX_PASSES + 1).replace(b"\r\n\tby", b" by").replace(b" id ", b"\r\n\tid\t")
    assert LOOPS.goes_round("out", header_of(raw))


def test_mail_without_an_identifier_of_its_own_is_known_too() -> None:
    raw = rounds(MAX_PASSES + 1, b"From: a@example.test\r\n\r\nx\r\n")
    assert LOOPS.goes_round("out", header_of(raw))


def test_one_passage_counts_once_however_often_it_is_repeated() -> None:
    mark = LOOPS.mark("out", "0" * 12, header_of(BODY))
    assert not LOOPS.goes_round("out", header_of(field(mark) * 40 + BODY))


FORGED = rounds(MAX_PASSES + 5)


@pytest.mark.parametrize(
    "raw",
    [
        rounds(9, loops=Loops(b"guess", "proxy.example", LISTENERS)),
        FORGED.replace(b"<1@example.test>", b"<2@example.test>"),
        FORGED.replace(b"Message-ID:", b"X-Message-ID:"),
        FORGED.replace(b"Received:", b"X-Received:"),
        FORGED.replace(b" id 0000", b" id 1000"),
        rounds(9, listener="in"),
        b"".join(field(f"{number:012x}-{'0' * 20}") for number in range(9)) + BODY,
        b"Received: by proxy.example id -\r\nReceived: id\r\nReceived:\r\n" + BODY,
    ],
)
def test_marks_of_others_of_other_mail_and_forged_ones_mean_nothing(raw: bytes) -> None:
    assert not LOOPS.goes_round("out", header_of(raw))


def test_a_listener_whose_upstream_is_itself_leads_back() -> None:
    loops = Loops(b"secret", "proxy.example", LISTENERS)
    assert loops.leads_back("out", greeting(loops, "out"))


def test_ways_through_other_listeners_are_followed() -> None:
    loops = Loops(b"secret", "proxy.example", LISTENERS)
    assert not loops.leads_back("out", greeting(loops, "in"))
    assert not loops.leads_back("in", greeting(loops, "filter"))
    assert loops.leads_back("filter", greeting(loops, "out"))
    assert not loops.leads_back("filter", "220 somewhere else")
    assert not loops.leads_back("out", greeting(loops, "in"))  # it was led elsewhere meanwhile


def test_a_ring_of_others_does_not_hold_us() -> None:
    loops = Loops(b"secret", "proxy.example", LISTENERS)
    loops.leads_back("in", greeting(loops, "filter"))
    assert loops.leads_back("filter", greeting(loops, "in"))
    assert not loops.leads_back("out", greeting(loops, "in"))


def test_another_gateway_is_not_us_though_the_key_be_the_same() -> None:
    other = Loops(b"secret", "other.example", LISTENERS)
    assert not LOOPS.leads_back("out", greeting(other, "out"))


def greeting(loops: Loops, listener: str) -> str:
    return word_of(f"proxy.example ESMTP {loops.name_of(listener)}")


@pytest.mark.parametrize("text", ["", "x ESMTP", "x ESMTP Postfix", "x 0123456789ABCDEF", "x 0123"])
def test_greetings_of_others_have_no_such_word(text: str) -> None:
    assert word_of(text) == ""


def test_names_tell_strangers_nothing_and_differ() -> None:
    names = {LOOPS.name_of(listener) for listener in LISTENERS}
    assert len(names) == len(LISTENERS)
    assert not any(listener in name for name in names for listener in LISTENERS)
