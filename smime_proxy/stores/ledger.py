"""Who has a message already, remembered for the client that sends it again; a file of its own.

RFC 5321 6.1 (responsibility) and 4.5.4.1 (retries for days). Names are HMAC-SHA-256 (RFC 2104), so
that the file tells nobody who wrote to whom. docs/adr/0021 says why it is made so.
"""

import asyncio
import hashlib
import hmac
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import structlog

from smime_proxy.gateway.ports import Known, LedgerError
from smime_proxy.stores.holder import Holder

LEDGER_FILE = "ledger.sqlite"
LEASE_SECONDS = 1200.0  # 590 until the client is answered, 600 for the upstream's answer, and some
TTL = timedelta(days=5)  # clients give up after 4 to 5 days, RFC 5321 4.5.4.1
PURGE_SECONDS = 3600.0
BUSY_SECONDS = 5.0  # another process's transaction takes milliseconds
PATIENCE_SECONDS = 10.0  # for one question or change; a disk that takes longer counts as failed
SETTLED_NS = 50_000_000  # a file's time has the grain of the kernel's tick, 10 ms at most

_INTENT, _ACCEPTED = 0, 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    name BLOB PRIMARY KEY,    -- HMAC of listener, reverse-path, recipient and message
    state INTEGER NOT NULL,   -- 0: about to be sent, 1: accepted by the upstream
    holder TEXT NOT NULL,     -- the process that sends it
    lease REAL NOT NULL,      -- until when, on the clock of the machine's uptime
    at INTEGER NOT NULL       -- seconds since the epoch, for the purge
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO entry (name, state, holder, lease, at) VALUES (?, ?, ?, ?, ?)"

Mark = tuple[tuple[int, int, int] | None, ...]
DoneT = TypeVar("DoneT")

_log = structlog.get_logger(__name__)


class Ledger:
    """The ledger in a directory, shared by the processes of one machine; implements the port.

    `key` is secret and the same in all of them. `uptime` in seconds is the same clock in all
    processes and never stepped; `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        uptime: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Touch no disk yet: a ledger that cannot be had troubles only the mail that needs it."""
        self._path = folder / LEDGER_FILE
        self._key = key
        self._uptime = uptime
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._connection: sqlite3.Connection | None = None
        self._holder: Holder | None = None
        self._empty_at: Mark | None = None
        self._failing = False

    def name(self, *parts: bytes) -> bytes:
        """Give the name of an entry, which tells nothing of its parts without the key."""
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, framed, hashlib.sha256)

    def is_empty(self) -> bool:
        """Tell whether it was found empty and no process has changed it since."""
        return self._empty_at is not None and self._empty_at == self._mark()

    async def look(self, names: Sequence[bytes]) -> Known:
        """Say what is known of entries."""
        return await self._do(lambda: self._look(names))

    async def claim(self, names: Sequence[bytes]) -> Known:
        """Say what is known of entries; unless busy, all others are ours and that is durable."""
        lease = self._uptime() + LEASE_SECONDS
        try:
            return await self._do(lambda: self._claim(names, lease))
        except LedgerError:
            # It may come about when nobody waits for it any more.
            self._thread.submit(self._withdraw, names, lease)
            raise

    async def accept(self, names: Sequence[bytes]) -> None:
        """Remember that these have the message; durable when this returns."""
        await self._do(lambda: self._accept(names))

    async def forget(self, names: Sequence[bytes]) -> None:
        """Forget these."""
        await self._do(lambda: self._forget(names))

    async def purge_always(self, seconds: float = PURGE_SECONDS) -> None:
        """Forget what no client asks for any more, from time to time, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            with suppress(LedgerError):  # it is in the log
                await self._do(self._purge)

    def close(self) -> None:
        """Let go of the files; leases end."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], DoneT]) -> DoneT:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                done = await loop.run_in_executor(self._thread, self._try, work)
        except TimeoutError:
            raise self._failed("the disk does not answer") from None
        except (sqlite3.Error, OSError) as error:
            raise self._failed(" ".join(str(error).split())) from error
        self._failing = False
        return done

    def _failed(self, reason: str) -> LedgerError:
        if not self._failing:
            consequence = "mail in several copies waits"
            _log.error(
                "ledger failed", path=str(self._path), reason=reason, consequence=consequence
            )
        self._failing = True
        return LedgerError(reason)

    def _try(self, work: Callable[[], DoneT]) -> DoneT:
        try:
            return work()
        except sqlite3.Error:
            self._disconnect()  # the next one begins with a new connection
            raise

    def _look(self, names: Sequence[bytes]) -> Known:
        mark = self._mark()
        settled = _is_settled(mark)  # before the look, which may take as long as a change
        with self._transaction("BEGIN") as connection:
            known = self._known(connection, names)
            is_empty = connection.execute("SELECT 1 FROM entry LIMIT 1").fetchone() is None
        self._empty_at = mark if is_empty and settled else None
        return known

    def _claim(self, names: Sequence[bytes], lease: float) -> Known:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            known = self._known(connection, names)
            if not known.busy:
                rest = [name for name in names if name not in known.served]
                self._put(connection, rest, _INTENT, lease)
        return known

    def _withdraw(self, names: Sequence[bytes], lease: float) -> None:
        ours = "DELETE FROM entry WHERE name = ? AND state = ? AND holder = ? AND lease = ?"
        with suppress(sqlite3.Error, OSError), self._transaction("BEGIN IMMEDIATE") as connection:
            me = self._me().name
            connection.executemany(ours, [(name, _INTENT, me, lease) for name in names])

    def _accept(self, names: Sequence[bytes]) -> None:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            self._put(connection, names, _ACCEPTED, 0.0)

    def _forget(self, names: Sequence[bytes]) -> None:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            connection.executemany("DELETE FROM entry WHERE name = ?", [(name,) for name in names])

    def _purge(self) -> None:
        now, ttl = self._clock(), TTL.total_seconds()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            # What is written in the future was so before the clock was put right.
            old = "DELETE FROM entry WHERE at < ? OR at > ?"
            connection.execute(old, (now - ttl, now + ttl))
        self._me().sweep()

    def _known(self, connection: sqlite3.Connection, names: Sequence[bytes]) -> Known:
        served, busy, doubtful = set(), False, 0
        question = "SELECT state, holder, lease FROM entry WHERE name = ?"
        for name in names:
            row = connection.execute(question, (name,)).fetchone()
            if row is None:
                continue
            state, holder, lease = row
            if state == _ACCEPTED:
                served.add(name)
            elif self._holds(holder, lease):
                busy = True
            else:
                doubtful += 1
        return Known(frozenset(served), busy, doubtful)

    def _holds(self, holder: str, lease: float) -> bool:
        """Tell whether a lease is good: of a process that lives, and neither over nor too long."""
        left = lease - self._uptime()
        return 0 < left <= LEASE_SECONDS and self._me().is_alive(holder)

    def _put(
        self, connection: sqlite3.Connection, names: Sequence[bytes], state: int, lease: float
    ) -> None:
        holder, at = self._me().name, int(self._clock())
        connection.executemany(_PUT, [(name, state, holder, lease, at) for name in names])

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        connection = self._connection = self._connection or _connect(self._path)
        connection.execute(begin)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _me(self) -> Holder:
        if self._holder is None:
            self._holder = Holder(self._path.parent)
        return self._holder

    def _mark(self) -> Mark:
        """Give what changes in the files with every change of the ledger by any process."""
        return _times(self._path), _times(self._path.with_name(f"{LEDGER_FILE}-wal"))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _close(self) -> None:
        self._disconnect()
        if self._holder is not None:
            self._holder.close()


def _connect(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the permissions of the first.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _times(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_settled(mark: Mark) -> bool:
    """Tell whether a change from now on would show in the mark."""
    newest = max((times[2] for times in mark if times is not None), default=0)
    return time.time_ns() - newest > SETTLED_NS
