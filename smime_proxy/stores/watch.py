"""Keeps a snapshot current: notices changes by any process and swaps in a new one whole.

No RFC. The mail path only ever reads `SnapshotSource.current`.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from smime_proxy.stores.connection import Store, one_line, revision
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.snapshot import Snapshot

POLL_SECONDS = 0.5  # a change is to be noticed within two seconds

_log = structlog.get_logger(__name__)


class SnapshotSource:
    """The newest snapshot of a store; the first is loaded here, later ones by `watch`.

    Raises `StoreError` when the first cannot be loaded. A later one that cannot be leaves the
    old in place: mail goes on, and `age` grows.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Load the first snapshot; blocks. `clock` gives seconds that only grow."""
        self._store = store
        self._clock = clock
        self._connection: Connection | None = None
        self._failing = False
        with store.reading() as connection:
            self._current = Snapshot.of(store, connection)
        self._checked_at = clock()

    @property
    def current(self) -> Snapshot:
        """The newest snapshot; take it once for a transaction and keep to it."""
        return self._current

    @property
    def age(self) -> float:
        """Seconds since the snapshot was last known to be what the store holds."""
        return self._clock() - self._checked_at

    async def watch(self) -> None:
        """Follow the store until cancelled; the loop never waits for the database."""
        # A thread of its own: it shall not queue behind the work on large messages.
        with ThreadPoolExecutor(1, thread_name_prefix="snapshot") as thread:
            loop = asyncio.get_running_loop()
            try:
                while True:
                    await asyncio.sleep(POLL_SECONDS)
                    await loop.run_in_executor(thread, self.refresh)
            finally:
                thread.submit(self.close)

    def refresh(self) -> bool:
        """Load a new snapshot if the store has changed, and tell whether it had; blocks."""
        try:
            with one_line(self._store.path):
                changed = self._reload_if_changed()
        except StoreError as error:
            self.close()
            if not self._failing:
                _log.error("store_unreadable", reason=str(error), consequence="old state in use")
            self._failing = True
            return False
        if self._failing:
            _log.info("store_readable_again")
        self._failing = False
        self._checked_at = self._clock()
        return changed

    def _reload_if_changed(self) -> bool:
        if self._connection is None:
            self._connection = self._store.engine.connect()
        with self._connection.begin():
            declared = self._current.declared is self._store.declared.current
            if declared and revision(self._connection) == self._current.revision:
                return False
            self._current = Snapshot.of(self._store, self._connection, self._current)
        _log.info("store_reloaded", revision=self._current.revision)
        return True

    def close(self) -> None:
        """Let go of the store; the snapshot goes on answering."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()
