"""Idle sessions with one upstream, kept for the next transaction: the youngest is used first.

RFC 5321 3.8 (either side may close); limits after Postfix's connection cache.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from smime_proxy.smtp.session import QUIT_PATIENCE, Session


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How long and how many sessions are kept; seconds and a count."""

    idle: float = 30.0  # servers under stress drop idle clients after 10 s, else after 300 s
    age: float = 300.0  # Postfix smtp_connection_reuse_time_limit: follow changes of the DNS
    sessions: int = 64  # idle ones; sessions in use are not limited here


DEFAULT_LIMITS = PoolLimits()


@dataclass(frozen=True, slots=True)
class _Idle:
    session: Session
    since: float


class Sessions(Protocol):
    """Where a transaction has its session from, and gives it back to."""

    async def take(self) -> Session:
        """Give a session; raises `UpstreamError`."""
        ...

    async def fresh(self) -> Session:
        """Give a new session in place of one that turned out to be closed."""
        ...

    def give(self, session: Session) -> None:
        """Take a session back that is between transactions."""
        ...


class Unpooled:
    """Sessions that belong to one client: each is new, and closed behind its transaction."""

    def __init__(self, connect: Callable[[], Awaitable[Session]]) -> None:
        self._connect = connect

    async def take(self) -> Session:
        """Make a session; raises `UpstreamError`."""
        return await self._connect()

    async def fresh(self) -> Session:
        """Make another one; raises `UpstreamError`."""
        return await self._connect()

    def give(self, session: Session) -> None:
        """End it: what the upstream was told of its client holds for nobody else."""
        session.quit()


class Pool:
    """Sessions waiting for work; `connect` makes a new one or raises `UpstreamError`."""

    def __init__(
        self, connect: Callable[[], Awaitable[Session]], limits: PoolLimits = DEFAULT_LIMITS
    ) -> None:
        self._connect = connect
        self._limits = limits
        self._idle: list[_Idle] = []  # the longest idle first
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self) -> Session:
        """Give the youngest idle session that still is open, else a new one.

        One that the upstream has just closed may be among them: its first command tells.
        Raises `UpstreamError`.
        """
        now = asyncio.get_running_loop().time()
        while self._idle:
            idle = self._idle.pop()
            if idle.session.settled and idle.since + self._limits.idle > now:
                return idle.session
            idle.session.quit()
        return await self.fresh()

    async def fresh(self) -> Session:
        """Give a new session, for when an idle one turned out to be closed."""
        return await self._connect()

    def give(self, session: Session) -> None:
        """Take a session back that is between transactions; the old and the surplus are closed."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        aged = session.opened_at + self._limits.age <= now
        if self._closed or aged or not session.settled or len(self._idle) >= self._limits.sessions:
            session.quit()
            return
        session.reused = True
        self._idle.append(_Idle(session, now))
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._limits.idle, self._sweep)

    async def close(self) -> None:
        """Close the idle sessions and those that come back from now on; takes a few seconds."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        closing = [idle.session for idle in self._idle]
        self._idle.clear()
        for session in closing:
            session.quit()
        if closing:
            await asyncio.wait({session.closed for session in closing}, timeout=2 * QUIT_PATIENCE)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() - self._limits.idle
        kept = []
        for idle in self._idle:
            if idle.since > limit and idle.session.settled:
                kept.append(idle)
            else:
                idle.session.quit()
        self._idle = kept
        self._sweeper = None
        if kept:
            due = kept[0].since + self._limits.idle
            self._sweeper = loop.call_at(due, self._sweep)
