"""What worker processes tell the one that shows the status: readiness and counters, added up.

No RFC. Datagrams on a socket pair made before the workers are, so a worker started later has it
too; each carries everything, so none is missed when one is lost.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from smime_proxy.smtp.service import Worker

REPORT_SECONDS = 1.0  # how old what is shown may be
SILENT_SECONDS = 10.0  # without a report a worker counts as stuck
MAX_REPORT_OCTETS = 1 << 17  # all that can be counted and measured; a datagram holds more
_DRAINING = b"{}"


@dataclass(frozen=True, slots=True)
class Channel:
    """A socket pair; whoever has it may write, one process reads."""

    read: socket.socket
    write: socket.socket

    @classmethod
    def make(cls) -> "Channel":
        """Open one, to be inherited."""
        read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        read.settimeout(0)
        write.settimeout(0)
        return cls(read, write)

    def send(self, raw: bytes) -> None:
        """Send, or leave it when the reader is behind: the next report says it all again."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            self.write.send(raw)

    def announce_end(self) -> None:
        """Tell the reader that the service is draining."""
        self.send(_DRAINING)


async def report(worker: Worker, slot: int, pid: int, channel: Channel) -> None:
    """Report on a worker for as long as it runs."""
    while True:
        said = {"slot": slot, "pid": pid, "not_ready": worker.not_ready()}
        said |= {"counts": worker.counts(), "gauges": worker.gauges()}
        channel.send(json.dumps(said).encode())
        await asyncio.sleep(REPORT_SECONDS)


class Tally:
    """The whole service as the reports show it."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Await reports of so many workers; `clock` is monotonic, in seconds."""
        self._workers = workers
        self._clock = clock
        self._latest: dict[int, _Report] = {}
        self._gone: Counter[str] = Counter()
        self._draining = False

    def take(self, raw: bytes) -> None:
        """Take one report in; what a worker's predecessor had counted stays counted."""
        if raw == _DRAINING:
            self._draining = True
            return
        said = json.loads(raw)
        before = self._latest.get(said["slot"])
        if before is not None and before.pid != said["pid"]:
            self._gone.update(before.counts)
        self._latest[said["slot"]] = _Report(
            said["pid"], said["not_ready"], said["counts"], said["gauges"], self._clock()
        )

    def not_ready(self) -> str:
        """Say in a few words why mail cannot be taken, "" when one worker at least can."""
        if self._draining:
            return "shutting down"
        fresh = self._clock() - SILENT_SECONDS
        said = [one.not_ready for one in self._latest.values() if one.heard >= fresh]
        if not said:
            return "no worker answers" if self._latest else "starting"
        if len(self._latest) < self._workers:
            return "starting"
        return "" if "" in said else said[0]

    def counts(self) -> Mapping[str, int]:
        """Give the counters of all workers that ever were, added up."""
        total = Counter(self._gone)
        for one in self._latest.values():
            total.update(one.counts)
        return total

    def measured(self) -> Sequence[Mapping[str, float]]:
        """Give what each worker measured last; one that fell silent holds nothing any more."""
        fresh = self._clock() - SILENT_SECONDS
        return [one.gauges for one in self._latest.values() if one.heard >= fresh]


@dataclass(frozen=True, slots=True)
class _Report:
    pid: int
    not_ready: str
    counts: Mapping[str, int]
    gauges: Mapping[str, float]
    heard: float
