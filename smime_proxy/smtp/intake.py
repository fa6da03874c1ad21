"""Octets from the client: command lines, and the content after DATA collected in big pieces.

RFC 5321 4.1.1.4 (DATA), 4.5.2 (transparency), 2.3.8 (lines end with CRLF), RFC 2920 (pipelining).
"""

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from smime_proxy.smtp.allowance import Allowance

MAX_COMMAND_OCTETS = 2048  # Postfix line_length_limit; RFC 5321 4.5.3.1.4 asks for 512 and more
MAX_JUNK_OCTETS = 1 << 20  # of one endless command line; then it is no SMTP client
HIGH_WATER_OCTETS = 1 << 17  # buffered while nobody reads; bounds what pipelining can pile up
_END = b"\r\n.\r\n"
_DOT = re.compile(rb"\r\n\.")
# Two searches for one octet each, at half the cost of counting CR, LF and CRLF.
_BARE_CR = re.compile(rb"\r[^\n]")
_BARE_LF = re.compile(rb"\n(?<!\r\n)")


class Shortfall(Enum):
    """Why there is no content although DATA was said."""

    LOST = "the client left before the final dot"
    TOO_LARGE = "more than the limit"
    NO_ROOM = "the memory for messages is spent"
    ENDLESS = "far more than the limit, the rest was not awaited"


@dataclass(frozen=True, slots=True)
class Content:
    """Unstuffed content; `clean` tells that every CR and LF in it is part of a CRLF."""

    raw: bytes
    clean: bool


@dataclass(slots=True)
class ByteBudget:
    """Octets of messages one process holds at a time."""

    limit: int
    used: int = 0

    def take(self, octets: int) -> bool:
        """Reserve octets; False when they do not fit."""
        if self.used + octets > self.limit:
            return False
        self.used += octets
        return True

    def give(self, octets: int) -> None:
        """Return what was taken."""
        self.used -= octets


class Switch(Protocol):
    """Something that is on or off."""

    def __call__(self, *, on: bool) -> None:
        """Turn it."""
        ...


class Intake:
    """The octets received and not yet used, with flow control and one waiting reader.

    `deadline` (loop time in seconds) is set while the reader waits for the client and infinite
    while it does not, so that nobody's work counts as the client's silence.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, switch: Switch) -> None:
        """Keep the loop, and `switch`, which stops and restarts the socket's reading."""
        self.buffer = bytearray()
        self.deadline = math.inf
        self.ended = False
        self.longest = MAX_COMMAND_OCTETS  # of a line that is kept whole
        self._loop = loop
        self._switch = switch
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._skipped = 0

    def feed(self, raw: bytes) -> None:
        """Add octets from the socket."""
        self.buffer += raw
        if self._waiter is not None:
            self.wake()
        elif len(self.buffer) > HIGH_WATER_OCTETS and not self._paused:
            self._paused = True
            self._switch(on=False)

    def end(self, *, discard: bool = False) -> None:
        """Note that no more will come; `discard` drops what waits, for nobody hears the answer."""
        self.ended = True
        if discard:
            self.buffer.clear()
        self.wake()

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of something has come."""
        return bool(self.buffer) or self._skipped > 0

    def hurry(self, seconds: float) -> None:
        """Let the deadline, if there is one, be no later than so many seconds from now."""
        if self.deadline < math.inf:
            self.deadline = min(self.deadline, self._loop.time() + seconds)

    def wake(self) -> None:
        """Let the waiting reader look again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def more(self, seconds: float, until: float = math.inf) -> None:
        """Wait for octets, the end or `wake`; the deadline is in `seconds`, at most at `until`."""
        if self._paused:
            self._paused = False
            self._switch(on=True)
        self.deadline = min(self._loop.time() + seconds, until)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.deadline = math.inf

    def line(self) -> bytes | None:
        """Take one command line without its line end; None when there is no whole one yet.

        Of a line over `longest` octets only so much is kept that its length tells; one over
        MAX_JUNK_OCTETS counts as the end.
        """
        buffer = self.buffer
        found = buffer.find(b"\n")
        if found < 0:
            self._skip()
            return None
        taken = bytes(buffer[:found])
        del buffer[: found + 1]
        if self._skipped:
            taken = taken.ljust(self.longest + 1, b"?")
            self._skipped = 0
        return taken.rstrip(b"\r")

    def _skip(self) -> None:
        if len(self.buffer) > self.longest:
            self._skipped += len(self.buffer)
            self.buffer.clear()
            self.ended = self.ended or self._skipped > MAX_JUNK_OCTETS


async def collect(
    intake: Intake, limit: int, budget: ByteBudget, allowance: Callable[[], Allowance]
) -> Content | Shortfall:
    """Take the content up to `CRLF . CRLF`; what follows stays for the next command.

    `limit` is in octets without stuffing. `allowance` is asked again with each piece: the service
    may end meanwhile, and then waits for nobody who is slow. What is refused is swallowed up to
    twice the limit, so that the client hears the reply. The caller gives `len(raw)` back to
    `budget`; of a Shortfall nothing is held. Work is linear: each octet is searched once, whatever
    the pieces.
    """
    loop, allowed = asyncio.get_running_loop(), allowance()
    end = loop.time() + allowed.content
    until = allowed.begun(loop.time())
    collector = _Collector(intake, limit, budget)
    try:
        while (content := collector.step()) is None:
            if intake.ended:
                return Shortfall.LOST
            held = len(intake.buffer)
            await intake.more(allowed.chunk, min(end, until))
            allowed = allowance()
            until = allowed.earned(until, len(intake.buffer) - held, loop.time())
    except BaseException:
        intake.end(discard=True)  # nobody knows where it ends: nothing of it may be a command
        raise
    else:
        return content
    finally:
        collector.settle()


def normalise(raw: bytes) -> bytes:
    """Make every line end CRLF, the bare CR and LF too (RFC 5321 2.3.8).

    CR CR LF is one line end: a CRLF that went through a text-mode file (Postfix reads it so too).
    """
    unix = raw.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return unix.replace(b"\n", b"\r\n")


class _Collector:
    """The state of one DATA: what was searched, judged and reserved so far."""

    def __init__(self, intake: Intake, limit: int, budget: ByteBudget) -> None:
        self._buffer = intake.buffer
        # The CRLF of the DATA command is the one before a first-line dot (RFC 5321 4.1.1.4).
        self._buffer[:0] = b"\r\n"
        # Stuffing makes at most four octets of three ("." and CRLF).
        self._raw_limit = limit + limit // 3 + 2 * len(_END)
        self._limit = limit
        self._budget = budget
        self._searched = 0
        self._judged = 0
        self._dotted = False
        self._first_dot = 0
        self._clean = True
        self._reserved = 0
        self._swallowed = 0
        self._refusal: Shortfall | None = None

    def step(self) -> Content | Shortfall | None:
        """Look at what is new; None when the end has not come yet."""
        found = self._find_end()
        stop = found + 2 if found >= 0 else len(self._buffer)
        if self._refusal is None:
            self._account(stop)
        if found >= 0:
            return self._finish(stop)
        if self._refusal is not None:
            return self._swallow()
        return None

    def _find_end(self) -> int:
        """Find the final dot in what is new, -1 when it is not there."""
        start, self._searched = max(0, self._searched - len(_END) + 1), len(self._buffer)
        if not self._dotted:
            # Nearly always no line begins with a dot: one search then serves end and stuffing.
            dot = _DOT.search(self._buffer, start)
            if dot is None:
                return -1
            self._dotted = True
            start = self._first_dot = dot.start()
        return self._buffer.find(_END, start)

    def settle(self) -> None:
        """Give back what was reserved for content that did not come about."""
        self._budget.give(self._reserved)
        self._reserved = 0

    def _account(self, stop: int) -> None:
        start, self._judged = self._judged, stop
        if not self._budget.take(stop - start):
            self._refusal = Shortfall.NO_ROOM
            return
        self._reserved += stop - start
        if stop > self._raw_limit:
            self._refusal = Shortfall.TOO_LARGE
            return
        # Piece by piece, so that no large message holds the loop up at its end.
        piece = (self._buffer, max(0, start - 1), stop)
        self._clean = self._clean and not (_BARE_CR.search(*piece) or _BARE_LF.search(*piece))

    def _finish(self, stop: int) -> Content | Shortfall:
        buffer = self._buffer
        if self._refusal is not None:
            del buffer[: stop + 3]
            return self._refusal
        start = 3 if buffer[2:3] == b"." and stop > 2 else 2  # noqa: PLR2004 - behind our CRLF
        with memoryview(buffer) as view:
            raw = bytes(view[start:stop])
        del buffer[: stop + 3]
        if self._first_dot + 2 < stop:
            raw = raw.replace(b"\r\n.", b"\r\n")
        if len(raw) > self._limit:
            return Shortfall.TOO_LARGE
        self.settle()
        self._budget.used += len(raw)
        return Content(raw, self._clean)

    def _swallow(self) -> Shortfall | None:
        self.settle()
        kept = len(_END) - 1
        self._swallowed += max(0, len(self._buffer) - kept)
        del self._buffer[:-kept]
        self._searched = len(self._buffer)
        return Shortfall.ENDLESS if self._swallowed > 2 * self._limit else None
