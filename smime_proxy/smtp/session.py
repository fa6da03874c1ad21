"""One SMTP client session after EHLO, TLS and AUTH: commands out, exactly one reply each back.

RFC 5321 3.8 and 4.2 (replies, 421), RFC 5321 4.5.3.2 (timeouts), RFC 2920 (pipelining). It takes
over the transport of a finished handshake. Whatever is out of step ends the session.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from smime_proxy.gateway.ports import Extensions
from smime_proxy.reply import Reply
from smime_proxy.smtp.errors import ReplySyntaxError, connection_lost
from smime_proxy.smtp.reply_parser import ReplyParser

SERVICE_CLOSING = 421
HOLD_BACK = 0.002  # seconds the last block waits for the dot, to leave in one segment with it
QUIT_PATIENCE = 5.0  # seconds for the 221 after QUIT; nothing depends on it


@dataclass(frozen=True, slots=True)
class _Waiter:
    reply: asyncio.Future[Reply]
    timeout: float


class Session(asyncio.Protocol):
    """An open session; `fault` says why it ended, and then every use raises `UpstreamError`.

    `opened_at` is loop time in seconds; `reused` tells that it carried a transaction before.
    `forwards` are the attributes XFORWARD may have, none where it is not offered or not wanted.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        extensions: Extensions,
        *,
        pipelining: bool,
        forwards: frozenset[str] = frozenset(),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._parser = ReplyParser()
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf  # loop time; one timer looks at it, none for each command
        self._held: list[bytes] = []
        self._flush: asyncio.Handle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._resetting: asyncio.Future[Reply] | None = None
        self._pipelining = pipelining
        self.extensions = extensions
        self.forwards = forwards
        self.opened_at = self._loop.time()
        self.reused = False
        self.fault = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()
        transport.set_protocol(self)

    @property
    def peer_certificate(self) -> bytes:
        """Give the certificate the upstream showed, in DER; b"" without TLS."""
        connection = self._transport.get_extra_info("ssl_object")
        return b"" if connection is None else connection.getpeercert(binary_form=True) or b""

    @property
    def settled(self) -> bool:
        """Tell whether the next transaction may begin: open, and at most RSET is unanswered."""
        if self.fault or self._transport.is_closing():
            return False
        if self._waiters:
            return self._waiters[-1].reply is self._resetting
        return not self._parser.pending

    async def command(self, line: bytes, timeout: float) -> Reply:  # noqa: ASYNC109 - one timer
        """Send one command line (with CRLF) and give its reply, within `timeout` seconds.

        Called again before the first reply came, it pipelines where the upstream offers it, else
        waits its turn. Raises `UpstreamError` when the session is or gets lost (RFC 2920 3.1).
        """
        while self._waiters and not self._pipelining:
            await asyncio.wait({self._waiters[-1].reply})
        return await self.request(line, timeout)

    def request(self, line: bytes, timeout: float) -> asyncio.Future[Reply]:
        """Send one command line (with CRLF); the future gets its reply or an `UpstreamError`."""
        self._require_open()
        waiter = _Waiter(self._loop.create_future(), timeout)
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            self._arm(timeout)
            self._write(line)
        else:
            if not self._held:
                self._flush = self._loop.call_soon(self._release)
            self._held.append(line)
        return waiter.reply

    def await_another(self, timeout: float) -> asyncio.Future[Reply]:
        """Give the future of one more reply to the command before (LMTP, RFC 2033 4.2)."""
        self._require_open()
        waiter = _Waiter(self._loop.create_future(), timeout)
        self._waiters.append(waiter)
        return waiter.reply

    def reset(self, timeout: float) -> None:
        """Send RSET and wait for nothing; a refusal ends the session (RFC 5321 4.1.1.5)."""
        self._resetting = self.request(b"RSET\r\n", timeout)

    async def send_content(self, blocks: Iterable[bytes], timeout: float) -> None:  # noqa: ASYNC109
        """Write blocks that want no reply; `timeout` seconds for each to be taken.

        The last block leaves with the next write, `HOLD_BACK` later without one: a dot that
        follows at once shares its segment. Raises `UpstreamError` when the session is lost, also
        by a reply during the content (RFC 5321 4.5.3.2.5).
        """
        last = b""
        for block in blocks:
            if last:
                await self._send_block(last, timeout)
            last = block
        self._require_open()
        self._held.append(last)
        self._flush = self._loop.call_later(HOLD_BACK, self._release)

    def fail(self, reason: str) -> None:
        """End the session at once, nothing more is sent; whoever waits gets `UpstreamError`."""
        if not self.fault:
            self.fault = reason
        self._cancel_timer()
        self._transport.abort()
        while self._waiters:
            waiter = self._waiters.popleft()
            if waiter.reply is self._resetting:
                waiter.reply.cancel()  # nobody awaits it, an exception would be logged
            elif not waiter.reply.done():
                waiter.reply.set_exception(connection_lost())
        self.resume_writing()

    def quit(self) -> None:
        """Say QUIT and close when the upstream answers, or soon after (RFC 5321 4.1.1.10)."""
        if not self.settled:
            self.fail("closed")
            return
        self._write(b"QUIT\r\n")
        self.fault = "closed"
        self._cancel_timer()
        self._timer = self._loop.call_later(QUIT_PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Match replies with commands; more replies than commands end the session."""
        if self.fault:
            # Not `close`: asyncio's TLS raises when the peer's close came with its last reply.
            self._transport.abort()
            return
        try:
            replies = self._parser.feed(data)
        except ReplySyntaxError as error:
            self.fail(str(error))
            return
        surplus = replies[len(self._waiters) :]
        if self._out_of_step(len(replies), surplus):
            self.fail("a reply came that no command asked for")
            return
        self._deliver(replies[: len(self._waiters)])
        if surplus:
            self.fail(f"closed by the upstream: {surplus[0]}")

    def eof_received(self) -> bool:
        """Treat a half-closed session as closed."""
        self.fail("closed by the upstream")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self.fail(f"connection lost: {exc}" if exc else "connection lost")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Hold the content back: the transport's buffer is full."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Go on with the content."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _out_of_step(self, count: int, surplus: list[Reply]) -> bool:
        # RFC 5321 3.8: 421 is the one reply a server may send without a command.
        if surplus:
            return surplus[0].code != SERVICE_CLOSING
        begun = self._parser.pending[:3] if count >= len(self._waiters) else b""
        return not b"421".startswith(begun)

    def _deliver(self, replies: list[Reply]) -> None:
        for reply in replies:
            if self._waiters[0].reply is self._resetting and not reply.is_positive:
                # Before a MAIL pipelined behind it gets its answer: it may have been taken for
                # part of the old transaction.
                self.fail("RSET was refused")
                return
            waiter = self._waiters.popleft()
            if not waiter.reply.done():
                waiter.reply.set_result(reply)
        if not replies:
            return
        if self._waiters:
            self._arm(self._waiters[0].timeout)
        else:
            self._disarm()

    def _arm(self, timeout: float) -> None:
        """Set the deadline; the timer stays as it is unless it would look too late."""
        self._deadline = self._loop.time() + timeout
        if self._timer is None or self._timer.when() > self._deadline:
            self._look_at(self._deadline)

    def _disarm(self) -> None:
        self._deadline = math.inf

    def _look_at(self, when: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._deadline:
            self.fail("no answer in time")
        elif self._deadline < math.inf:
            self._look_at(self._deadline)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _require_open(self) -> None:
        if self.fault or self._transport.is_closing():
            raise connection_lost()

    async def _send_block(self, block: bytes, timeout: float) -> None:  # noqa: ASYNC109
        self._require_open()
        self._write(block)
        if self._writable is not None:
            self._arm(timeout)
            await self._writable
            self._disarm()

    def _write(self, data: bytes) -> None:
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
            if self._flush is not None:
                self._flush.cancel()
        self._transport.write(data)

    def _release(self) -> None:
        if self._held and not self.fault:
            self._write(b"")
