"""Writes what is learnt from mail into the store, behind the mail and never in its way.

No RFC. What cannot be written is tried again with the next, and is no fault of any mail.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Generic, TypeVar

import structlog

from smime_proxy.gateway.ports import FoundKey, SeenCapabilities
from smime_proxy.policy.rules import Harvest
from smime_proxy.stores.capabilities import remember
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.harvest import Taken, take

WRITE_SECONDS = 10.0  # what is new makes every process read the store again, so it is gathered
MAX_WAITING = 10_000  # addresses that wait while the store cannot be written; more are not noted
MAX_WAITING_KEYS = 500  # each may hold 100 kB of certificates; more come again with the next mail
TIDY = timedelta(hours=1)  # so often what waited for a decision too long is looked for

NoteT = TypeVar("NoteT")
DoneT = TypeVar("DoneT")

_log = structlog.get_logger(__name__)


class Notes(ABC, Generic[NoteT, DoneT]):
    """What waits to be written; made and used in one event loop."""

    subject: ClassVar[str]
    most: ClassVar[int]

    def __init__(self, store: Store) -> None:
        """Begin with nothing waiting."""
        self._store = store
        self._waiting: dict[Hashable, NoteT] = {}
        self._failing = False

    def note(self, seen: NoteT) -> None:
        """Take note of something; returns at once. What there is no room for is not noted."""
        name = self._name(seen)
        known = self._waiting.get(name)
        if known is not None:
            self._waiting[name] = self._joined(known, seen)
        elif len(self._waiting) < self.most:
            self._waiting[name] = seen
        else:
            self._lose()

    async def write_always(self, seconds: float = WRITE_SECONDS) -> None:
        """Write what waits from time to time, until cancelled, and then once more."""
        # A thread of its own: SQLite waits for other processes, and mail must not wait for that.
        with ThreadPoolExecutor(1, thread_name_prefix=self.subject) as thread:
            loop = asyncio.get_running_loop()
            try:
                while True:
                    await self._pause(seconds)
                    batch = self._take()
                    if not batch and not self._is_due():
                        continue
                    done = await loop.run_in_executor(thread, self._try, batch)
                    if done is not None:
                        self._tell(done)
                    else:
                        for seen in batch:
                            self.note(seen)
                    self._settle()
            finally:
                if batch := self._take():
                    thread.submit(self._try, batch)

    def _take(self) -> Collection[NoteT]:
        batch, self._waiting = self._waiting, {}
        return batch.values()

    def _try(self, batch: Collection[NoteT]) -> DoneT | None:
        """Write a batch; None when it cannot be written. Blocks."""
        try:
            done = self._write(batch)
        except StoreError as error:
            if not self._failing:
                reason, consequence = str(error), "kept waiting"
                _log.error(f"{self.subject} not written", reason=reason, consequence=consequence)
            self._failing = True
            return None
        self._failing = False
        return done

    async def _pause(self, seconds: float) -> None:
        """Wait before the next batch."""
        await asyncio.sleep(seconds)

    def _settle(self) -> None:
        """Take it that a batch was written, or could not be and waits again."""

    def _is_due(self) -> bool:
        """Tell whether there is something to do though nothing waits."""
        return False

    def _lose(self) -> None:
        """Take it that there is no room for one; most come again with the next mail."""

    @abstractmethod
    def _name(self, seen: NoteT) -> Hashable:
        """Say what it is about; of that only one waits."""

    @abstractmethod
    def _joined(self, known: NoteT, seen: NoteT) -> NoteT:
        """Join two about the same."""

    @abstractmethod
    def _write(self, batch: Collection[NoteT]) -> DoneT:
        """Write a batch; raises `StoreError`. Blocks, in a thread."""

    @abstractmethod
    def _tell(self, done: DoneT) -> None:
        """Log and count what was written, in the event loop."""


class CapabilityNotes(Notes[SeenCapabilities, int]):
    """What senders say that they can read; the latest word of each counts."""

    subject = "capabilities"
    most = MAX_WAITING

    def _name(self, seen: SeenCapabilities) -> Hashable:
        return seen.mailbox.key

    def _joined(self, known: SeenCapabilities, seen: SeenCapabilities) -> SeenCapabilities:
        return seen if seen.at > known.at else known

    def _write(self, batch: Collection[SeenCapabilities]) -> int:
        return remember(self._store, batch)

    def _tell(self, done: int) -> None:
        if done:
            _log.info("capabilities_remembered", number=done)


class KeyNotes(Notes[FoundKey, Taken]):
    """Keys that signed mail brought; `count` counts what becomes of them, `clock` is in UTC."""

    subject = "keys"
    most = MAX_WAITING_KEYS

    def __init__(
        self,
        store: Store,
        harvest: Harvest,
        count: Callable[[str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Begin with nothing waiting, and with looking for what has expired."""
        super().__init__(store)
        self.harvest = harvest
        self._count = count
        self._clock = clock
        self._tidied: datetime | None = None

    def _is_due(self) -> bool:
        return self._tidied is None or self._clock() - self._tidied >= TIDY

    def _lose(self) -> None:
        self._count("dropped")

    def _name(self, seen: FoundKey) -> Hashable:
        return seen.mailbox.key, seen.certificate.fingerprint

    def _joined(self, known: FoundKey, seen: FoundKey) -> FoundKey:
        return replace(known, at=max(known.at, seen.at), count=known.count + seen.count)

    def _write(self, batch: Collection[FoundKey]) -> Taken:
        at = self._clock()
        taken = take(self._store, self.harvest, batch, at)
        self._tidied = at
        return taken

    def _tell(self, done: Taken) -> None:
        for found, why in done.accepted:
            self._count("accepted")
            _log.info("key_accepted", **_about(found), reason=why)
        for found, decision in done.waiting:
            self._count("pending")
            if warning := decision.caution.value:
                _log.warning("key_pending", **_about(found), warning=warning)
            else:
                _log.info("key_pending", **_about(found))
        for outcome, number in (("dropped", done.dropped), ("expired", done.expired)):
            for _ in range(number):
                self._count(outcome)


def _about(found: FoundKey) -> dict[str, str]:
    return {"address": str(found.mailbox), "key": found.certificate.fingerprint[:16]}
