"""What one process measures, gathered for the gauges.

No RFC; docs/metrics.md names them.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from smime_proxy.admin.engine import Remembering
from smime_proxy.admin.metrics import full_name
from smime_proxy.gateway.modes import Mode
from smime_proxy.stores import pending
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError

COUNT_SECONDS = 30.0  # between looks at what waits; each costs a read of an index

_log = structlog.get_logger("smime_proxy.service")


class PendingWatch:
    """How many keys wait for a decision, as last looked at."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing looked at."""
        self._store = store
        self._number: int | None = None

    def gauges(self) -> Mapping[str, float]:
        """Give the number under its full name, nothing before the first look."""
        return {} if self._number is None else {"keys_pending": float(self._number)}

    async def watch(self) -> None:
        """Look from time to time, until cancelled; the loop never waits for the database."""
        while True:
            await self.look()
            await asyncio.sleep(COUNT_SECONDS)

    async def look(self) -> None:
        """Look once; what cannot be read now stays as it was."""
        try:
            self._number = await asyncio.to_thread(self._count)
        except StoreError as error:
            _log.error("pending keys not counted", reason=str(error), consequence="old state shown")

    def _count(self) -> int:
        with self._store.reading() as connection:
            return pending.count(connection)


def modes(listeners: Mapping[str, Mode]) -> Mapping[str, float]:
    """Give the mode of each listener under the full name of its gauge."""
    return {full_name("mode", name, mode.value): 1.0 for name, mode in listeners.items()}


def measured(
    upstreams: Mapping[str, Remembering],
    age: float,
    *others: Callable[[], Mapping[str, float]],
) -> Mapping[str, float]:
    """Put together what a process measures; `age` of its snapshot is in seconds."""
    found = {
        full_name("upstream_reachable", name): float(one.reachable)
        for name, one in upstreams.items()
    }
    for other in others:
        found.update(other())
    return {**found, "snapshot_age_seconds": age}
