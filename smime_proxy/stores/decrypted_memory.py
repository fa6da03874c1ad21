"""What the mail path knows of mail that was decrypted: asked at once, written before it leaves.

RFC 5322 3.6.4 (Message-ID). See `decrypted` for what of it lies in the store.
"""

import asyncio
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from smime_proxy.gateway.ports import MemoryUnreadable
from smime_proxy.smime.decrypted_mark import MarkKeys
from smime_proxy.stores.connection import Store, one_line
from smime_proxy.stores.decrypted import knows, remember, tidy
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.notes import Notes

MAX_WAITING = 100_000  # digests that wait while the store cannot be written; some 20 MB
WRITE_SECONDS = 1.0  # before what could not be written is tried again
SETTLE_SECONDS = 5.0  # a mail waits for its note; SQLite waits as long for other processes
TIDY = timedelta(hours=1)  # so often what is too old is looked for

_log = structlog.get_logger(__name__)


class DecryptedNotes(Notes[tuple[bytes, datetime], int]):
    """What was decrypted and is not written yet; `is_waiting` answers for it meanwhile."""

    subject = "decrypted mail"
    most = MAX_WAITING

    def __init__(self, store: Store) -> None:
        """Begin with nothing waiting, and with looking for what is too old."""
        super().__init__(store)
        self._writing: frozenset[bytes] = frozenset()
        self._tidied: datetime | None = None
        self._losing = False
        self._writes = False
        self._new = asyncio.Event()
        self._round = asyncio.Event()

    def note(self, seen: tuple[bytes, datetime]) -> None:
        """Take note of something, and have it written at once; returns before."""
        super().note(seen)
        self._new.set()

    async def settled(self, digests: Sequence[bytes]) -> None:
        """Wait until these are written; not where it is known that they cannot be now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._writes and not self._failing and any(map(self.is_waiting, digests)):
                    await self._round.wait()

    async def write_always(self, seconds: float = WRITE_SECONDS) -> None:
        """Write what waits as soon as it does; after a failure every so many seconds."""
        self._writes = True
        try:
            await super().write_always(seconds)
        finally:
            self._writes = False
            self._settle()

    def is_waiting(self, digest: bytes) -> bool:
        """Tell whether a digest waits to be written, or is being written."""
        return digest in self._waiting or digest in self._writing

    async def _pause(self, seconds: float) -> None:
        if self._failing:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._new.wait()
        self._new.clear()

    def _settle(self) -> None:
        self._writing = frozenset()
        self._round.set()
        self._round = asyncio.Event()

    def _is_due(self) -> bool:
        return self._tidied is None or datetime.now(UTC) - self._tidied >= TIDY

    def _name(self, seen: tuple[bytes, datetime]) -> bytes:
        return seen[0]

    def _joined(
        self, known: tuple[bytes, datetime], seen: tuple[bytes, datetime]
    ) -> tuple[bytes, datetime]:
        return max(known, seen)

    def _lose(self) -> None:
        if not self._losing:
            consequence = "answers to it are not known as such"
            _log.error("decrypted mail forgotten", consequence=consequence)
        self._losing = True

    def _take(self) -> Collection[tuple[bytes, datetime]]:
        # Before they stop waiting: another thread may ask in between.
        self._writing = frozenset(digest for digest, _ in self._waiting.values())
        self._losing = False
        return super()._take()

    def _write(self, batch: Collection[tuple[bytes, datetime]]) -> int:
        number = remember(self._store, dict(batch)) if batch else 0
        if self._is_due():
            now = datetime.now(UTC)
            tidy(self._store, now)
            self._tidied = now
        return number

    def _tell(self, done: int) -> None:
        if done:
            _log.debug("decrypted_mail_remembered", number=done)


class DecryptedMemory:
    """What is known of decrypted mail, for the mail path; implements `gateway.ports.Memory`.

    A question is one read by primary key on a connection of its own: half a millisecond, one for a
    hundred digests, with a million remembered. In WAL mode no writer holds it up, so it may be
    asked in the event loop; and what one process wrote the others know at once.
    """

    def __init__(self, store: Store, keys: MarkKeys, notes: DecryptedNotes | None = None) -> None:
        """Keep what is asked; without `notes` nothing new is taken note of."""
        self.keys = keys
        self._store = store
        self._notes = notes
        self._lock = threading.Lock()  # large mail is worked on in threads
        self._connection: Connection | None = None

    def knows(self, identifiers: Sequence[bytes]) -> bool:
        """Tell whether mail with one of these Message-IDs was decrypted, by any process.

        Raises `gateway.ports.MemoryUnreadable` when the store cannot be read.
        """
        digests = self.keys.digests(identifiers)
        if not digests:
            return False
        if self._notes is not None and any(map(self._notes.is_waiting, digests)):
            return True
        with self._lock:
            try:
                with one_line(self._store.path):
                    return self._ask(digests)
            except (StoreError, SQLAlchemyError) as error:  # the next one begins anew
                self._disconnect()
                raise MemoryUnreadable(str(error)) from error

    def remember(self, identifiers: Sequence[bytes], at: datetime) -> None:
        """Take note of the Message-IDs of mail that was decrypted; returns at once."""
        if self._notes is not None:
            for digest in self.keys.digests(identifiers):
                self._notes.note((digest, at))

    async def settle(self, identifiers: Sequence[bytes]) -> None:
        """Wait until these are written, if they can be now: other processes know them then."""
        if self._notes is not None:
            await self._notes.settled(self.keys.digests(identifiers))

    async def write_always(self, seconds: float = WRITE_SECONDS) -> None:
        """Write what was taken note of, until cancelled; then let go of the store."""
        try:
            if self._notes is not None:
                await self._notes.write_always(seconds)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            self._disconnect()

    def _ask(self, digests: Sequence[bytes]) -> bool:
        if self._connection is None:
            self._connection = self._store.engine.connect()
        with self._connection.begin():
            return knows(self._connection, digests)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()
