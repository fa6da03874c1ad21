"""Writes what is learnt from mail into the store, behind the mail and never in its way.

No RFC. What cannot be written is tried again with the next, and is no fault of any mail.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog

from smime_proxy.gateway.ports import SeenCapabilities
from smime_proxy.stores.capabilities import remember
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError

WRITE_SECONDS = 10.0  # what is new makes every process read the store again, so it is gathered
MAX_WAITING = 10_000  # addresses that wait while the store cannot be written; more are not noted

_log = structlog.get_logger(__name__)


class CapabilityNotes:
    """What waits to be written; made and used in one event loop."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing waiting."""
        self._store = store
        self._waiting: dict[str, SeenCapabilities] = {}
        self._failing = False

    def note(self, seen: SeenCapabilities) -> None:
        """Take note of what somebody said, the latest word counts; returns at once."""
        key = seen.mailbox.key
        known = self._waiting.get(key)
        if known is None and len(self._waiting) >= MAX_WAITING:
            return
        if known is None or seen.at > known.at:
            self._waiting[key] = seen

    async def write_always(self, seconds: float = WRITE_SECONDS) -> None:
        """Write what waits from time to time, until cancelled, and then once more."""
        # A thread of its own: SQLite waits for other processes, and mail must not wait for that.
        with ThreadPoolExecutor(1, thread_name_prefix="capabilities") as thread:
            loop = asyncio.get_running_loop()
            try:
                while True:
                    await asyncio.sleep(seconds)
                    batch = self._take()
                    if batch and not await loop.run_in_executor(thread, self._write, batch):
                        for seen in batch.values():
                            self.note(seen)
            finally:
                if batch := self._take():
                    thread.submit(self._write, batch)

    def _take(self) -> Mapping[str, SeenCapabilities]:
        batch, self._waiting = self._waiting, {}
        return batch

    def _write(self, batch: Mapping[str, SeenCapabilities]) -> bool:
        """Write a batch and tell whether it is written; blocks."""
        try:
            changed = remember(self._store, batch.values())
        except StoreError as error:
            if not self._failing:
                _log.error(
                    "capabilities not written", reason=str(error), consequence="kept waiting"
                )
            self._failing = True
            return False
        self._failing = False
        if changed:
            _log.info("capabilities_remembered", number=changed)
        return True
