"""The session against a transport of the test's own, so that every octet and turn is known."""

import asyncio
from collections.abc import Callable

import pytest

from smime_proxy.gateway.ports import Extensions, UpstreamError
from smime_proxy.smtp.errors import ContentError
from smime_proxy.smtp.session import HOLD_BACK, Session
from smime_proxy.smtp.stuffing import stuff

SOON = 0.02  # seconds, for deadlines that shall pass


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = self.closed = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        assert not self.is_closing(), "written after the end"
        self.written.append(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


def make(*, pipelining: bool = True) -> tuple[Session, Wire]:
    wire = Wire()
    return Session(wire, Extensions(), pipelining=pipelining), wire


async def test_a_command_gets_the_reply_that_follows_it() -> None:
    session, wire = make()
    answer = session.request(b"NOOP\r\n", 9)
    session.data_received(b"250 2.0.0 OK\r\n")
    assert str(await answer) == "250 2.0.0 OK"
    assert wire.written == [b"NOOP\r\n"]
    assert session.settled


async def test_replies_go_to_pipelined_commands_in_their_order() -> None:
    """RFC 2920 3.1; commands behind the first leave as one write."""
    session, wire = make()
    waiting = [asyncio.ensure_future(session.command(b"%d\r\n" % n, 9)) for n in range(3)]
    await asyncio.sleep(0.001)
    assert wire.written == [b"0\r\n", b"1\r\n2\r\n"]
    session.data_received(b"250 zero\r\n550 one\r\n251")
    session.data_received(b" two\r\n")
    assert [str(await reply) for reply in waiting] == ["250 zero", "550 one", "251 two"]


async def test_without_pipelining_each_command_waits_for_the_reply_before() -> None:
    session, wire = make(pipelining=False)
    waiting = [asyncio.ensure_future(session.command(b"%d\r\n" % n, 9)) for n in range(3)]
    for n in range(3):
        await asyncio.sleep(0.001)
        assert wire.written == [b"%d\r\n" % i for i in range(n + 1)]
        session.data_received(b"250 %d\r\n" % n)
    assert [str(await reply) for reply in waiting] == ["250 0", "250 1", "250 2"]


BROKEN: list[tuple[str, Callable[[Session], object]]] = [
    ("garbage", lambda session: session.data_received(b"hello\r\n")),
    ("surplus", lambda session: session.data_received(b"250 a\r\n250 b\r\n")),
    ("surplus begun", lambda session: session.data_received(b"250 a\r\n25")),
    ("endless line", lambda session: session.data_received(b"250 " + b"x" * 5000)),
    ("end", Session.eof_received),
    ("loss", lambda session: session.connection_lost(ConnectionResetError("reset"))),
]


@pytest.mark.parametrize(("name", "breaks"), BROKEN, ids=[name for name, _ in BROKEN])
async def test_what_is_out_of_step_ends_the_session_and_answers_nothing(
    name: str, breaks: Callable[[Session], object]
) -> None:
    session, wire = make()
    answer = session.request(b"MAIL\r\n", 9)
    breaks(session)
    with pytest.raises(UpstreamError, match=r"^451 4\.4\.2 "):
        await answer
    assert wire.aborted
    assert session.fault
    assert not session.settled
    with pytest.raises(UpstreamError):
        await session.command(b"RCPT\r\n", 9)


@pytest.mark.parametrize("raw", [b"250 late\r\n", b"2", b"45", b"\r\n"])
async def test_octets_nobody_asked_for_end_the_session(raw: bytes) -> None:
    session, wire = make()
    session.data_received(raw)
    assert wire.aborted


async def test_a_421_nobody_asked_for_ends_the_session_with_its_text() -> None:
    """RFC 5321 3.8."""
    session, wire = make()
    session.data_received(b"42")
    assert not wire.aborted
    assert not session.settled
    session.data_received(b"1 4.4.2 idle too long\r\n")
    assert wire.aborted
    assert "idle too long" in session.fault


@pytest.mark.parametrize("chunks", [(b"250 ok\r\n421 bye\r\n",), (b"250 ok\r\n4", b"21 bye\r\n")])
async def test_a_421_behind_the_reply_does_not_take_the_reply_away(
    chunks: tuple[bytes, ...],
) -> None:
    session, wire = make()
    answer = session.request(b".\r\n", 9)
    for chunk in chunks:
        session.data_received(chunk)
    assert (await answer).code == 250
    assert wire.aborted


async def test_no_reply_in_time_ends_the_session() -> None:
    """R22."""
    session, wire = make()
    with pytest.raises(UpstreamError):
        await session.command(b"MAIL\r\n", SOON)
    assert wire.aborted
    assert session.fault == "no answer in time"


async def test_octets_that_trickle_in_do_not_move_the_deadline() -> None:
    """R23."""
    session, _ = make()
    answer = session.request(b"MAIL\r\n", 5 * SOON)
    for _ in range(1000):
        session.data_received(b"2" if not session.fault else b"")
        if answer.done():
            break
        await asyncio.sleep(SOON)
        session._parser._rest = b""  # as if the octets never filled a line
    assert session.fault == "no answer in time"
    with pytest.raises(UpstreamError):
        await answer


async def test_the_deadline_of_a_pipelined_command_starts_with_its_turn() -> None:
    session, _ = make()
    first, second = session.request(b"1\r\n", 60), session.request(b"2\r\n", SOON)
    await asyncio.sleep(3 * SOON)
    assert not second.done()
    session.data_received(b"250 first\r\n")
    with pytest.raises(UpstreamError):
        await asyncio.wait_for(second, 10)
    assert (await first).code == 250


async def test_no_deadline_is_left_behind_by_a_reply() -> None:
    session, wire = make()
    answer = session.request(b"NOOP\r\n", SOON)
    session.data_received(b"250 OK\r\n")
    await answer
    await asyncio.sleep(3 * SOON)
    assert not wire.aborted


async def test_a_cancelled_wait_does_not_shift_the_replies() -> None:
    session, _ = make()
    first, second = session.request(b"1\r\n", 9), session.request(b"2\r\n", 9)
    first.cancel()
    session.data_received(b"550 first\r\n250 second\r\n")
    assert str(await second) == "250 second"


async def test_the_dot_shares_a_write_with_the_content_before_it() -> None:
    session, wire = make()
    await session.send_content([b"a: b\r\n\r\ntext\r\n"], 9)
    answer = session.request(b".\r\n", 9)
    assert wire.written == [b"a: b\r\n\r\ntext\r\n.\r\n"]
    await asyncio.sleep(2 * HOLD_BACK)
    assert len(wire.written) == 1
    session.data_received(b"250 OK\r\n")
    await answer


async def test_the_content_does_not_wait_for_the_dot() -> None:
    session, wire = make()
    await session.send_content([b"a\r\n", b"b\r\n"], 9)
    await asyncio.sleep(5 * HOLD_BACK)
    assert b"".join(wire.written) == b"a\r\nb\r\n"


async def test_nothing_held_back_leaves_after_the_session_ended() -> None:
    session, wire = make()
    await session.send_content([b"a\r\n"], 9)
    session.fail("aborted")
    await asyncio.sleep(5 * HOLD_BACK)
    assert wire.written == []


async def test_content_waits_while_the_network_takes_no_more() -> None:
    session, wire = make()
    session.pause_writing()
    sending = asyncio.ensure_future(session.send_content([b"a\r\n", b"b\r\n", b"c\r\n"], 9))
    await asyncio.sleep(0)
    assert wire.written == [b"a\r\n"]
    session.resume_writing()
    await sending
    assert wire.written == [b"a\r\n", b"b\r\n"]


@pytest.mark.parametrize("end", [None, b"421 bye\r\n", b"552 too much\r\n"])
async def test_content_that_cannot_go_on_ends_the_session(end: bytes | None) -> None:
    """RFC 5321 4.5.3.2.5: the data block timeout; and a reply in the middle of the content."""
    session, wire = make()
    session.pause_writing()
    sending = asyncio.ensure_future(session.send_content([b"a\r\n", b"b\r\n"], SOON))
    await asyncio.sleep(0)
    if end is not None:
        session.data_received(end)
    with pytest.raises(UpstreamError):
        await sending
    assert wire.aborted


async def test_content_is_not_begun_on_a_session_that_ended() -> None:
    session, _ = make()
    session.fail("gone")
    with pytest.raises(UpstreamError):
        await session.send_content([b"a\r\n"], 9)


async def test_a_bare_line_end_is_found_before_its_block_is_written() -> None:
    session, wire = make()
    with pytest.raises(ContentError):
        await session.send_content(stuff([b"a\n.\r\n"]), 9)
    assert wire.written == []


async def test_quit_says_goodbye_and_closes_at_the_answer() -> None:
    session, wire = make()
    session.quit()
    assert wire.written == [b"QUIT\r\n"]
    assert not wire.is_closing()
    session.data_received(b"221 Bye\r\n")
    # asyncio's TLS raises in `close` when the peer's close came together with its last reply.
    assert wire.aborted
    with pytest.raises(UpstreamError):
        await session.command(b"MAIL\r\n", 9)


async def test_quit_in_the_middle_of_something_just_closes() -> None:
    session, wire = make()
    answer = session.request(b"MAIL\r\n", 9)
    session.quit()
    assert wire.aborted
    assert wire.written == [b"MAIL\r\n"]
    with pytest.raises(UpstreamError):
        await answer


async def test_a_session_that_resets_is_ready_for_the_next_transaction() -> None:
    session, wire = make()
    session.reset(9)
    assert session.settled
    answer = session.request(b"MAIL\r\n", 9)
    assert not session.settled
    session.data_received(b"250 reset\r\n250 sender\r\n")
    assert str(await answer) == "250 sender"
    assert session.settled
    assert not wire.aborted


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    "raw", [b"500 what\r\n", b"421 bye\r\n", b"500 what\r\n250 sender\r\n", b"what\r\n"]
)
async def test_a_refused_reset_ends_the_session_and_what_waits_behind_it(
    raw: bytes, pipelining: bool
) -> None:
    session, wire = make(pipelining=pipelining)
    session.reset(9)
    mail = asyncio.ensure_future(session.command(b"MAIL\r\n", 9))
    await asyncio.sleep(0.001)
    session.data_received(raw)
    with pytest.raises(UpstreamError):
        await asyncio.wait_for(mail, 5)
    assert wire.aborted
