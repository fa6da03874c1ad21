"""What worker processes show the first one, which has no event loop: that they serve, and live.

No RFC. A piece of shared memory with a line for each worker, which nobody can be behind in reading.
What stands there decides what the service manager is told.
"""

import asyncio
import mmap
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Never

from smime_proxy.smtp.notify import Notifier

PULSE_SECONDS = 0.5  # between two signs of life
START_SECONDS = 0.1  # between looks until all workers serve
IDLE_SECONDS = 3600.0  # between looks when nobody is to be told anything
MAX_RELOAD_SECONDS = 60.0  # then a worker has not reloaded, and the manager waits no longer
_LINE = struct.Struct("=qdq?")


@dataclass(frozen=True, slots=True)
class Line:
    """What one worker shows: `beat` is its last sign of life, in seconds of `time.monotonic`."""

    pid: int
    beat: float
    reloads: int = 0
    is_serving: bool = False


class Board:
    """The shared memory, made before the workers are; each writes its own line only."""

    def __init__(self, workers: int) -> None:
        """Make room for so many lines."""
        self._memory = mmap.mmap(-1, workers * _LINE.size)

    def write(self, slot: int, line: Line) -> None:
        """Show a line."""
        shown = (line.pid, line.beat, line.reloads, line.is_serving)
        _LINE.pack_into(self._memory, slot * _LINE.size, *shown)

    def read(self, slot: int) -> Line:
        """Give what is shown."""
        return Line(*_LINE.unpack_from(self._memory, slot * _LINE.size))


class Pulse:
    """A worker's line on the board; implements `notify.Herald`."""

    def __init__(
        self, board: Board, slot: int, pid: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show that the process `pid` is about to serve."""
        self._board = board
        self._slot = slot
        self._clock = clock
        self._show(Line(pid, clock()))

    def serving(self) -> None:
        """All listeners accept mail."""
        self._show(replace(self._line, is_serving=True))

    def reloading(self) -> None:
        """Show nothing: the first process has told."""

    def reloaded(self) -> None:
        """The settings were read."""
        self._show(replace(self._line, reloads=self._line.reloads + 1))

    def stopping(self) -> None:
        """Show nothing: the first process has told."""

    async def beat(self) -> Never:
        """Give signs of life for as long as the loop lives."""
        while True:
            self._show(replace(self._line, beat=self._clock()))
            await asyncio.sleep(PULSE_SECONDS)

    def _show(self, line: Line) -> None:
        self._line = line
        self._board.write(self._slot, line)


@dataclass(slots=True)
class Vigil:
    """The first process's look at the board; tells the service manager what is true.

    `pids` are those of the workers by slot, 0 where none runs. Times in seconds of `clock`.
    """

    notifier: Notifier
    board: Board
    clock: Callable[[], float] = time.monotonic
    _is_ready: bool = False
    _unread: dict[int, int] = field(default_factory=dict)
    _reload_until: float = 0.0
    _next_sign: float = 0.0

    @property
    def pause(self) -> float:
        """Give how long the first process may sleep before the next look."""
        if not self.notifier:
            return IDLE_SECONDS
        if not self._is_ready or self._unread:
            return START_SECONDS
        return self.notifier.watchdog / 4 or IDLE_SECONDS

    def reloading(self, pids: Sequence[int]) -> None:
        """The settings are about to be read again, by these."""
        self.notifier.reloading()
        self._unread = {line.pid: line.reloads + 1 for line in self._lines(pids) if line.is_serving}
        self._reload_until = self.clock() + MAX_RELOAD_SECONDS

    def stopping(self) -> None:
        """The end has begun."""
        self.notifier.stopping()

    def look(self, pids: Sequence[int]) -> None:
        """See what the workers show, and say what follows from it."""
        if not self.notifier:
            return
        lines = self._lines(pids)
        serving = [line for line in lines if line.is_serving]
        if not self._is_ready and len(serving) == len(pids):
            self._is_ready = True
            self.notifier.serving()
        if self._unread:
            self._await_reload(lines)
        self._give_sign(serving)

    def _lines(self, pids: Sequence[int]) -> list[Line]:
        lines = [self.board.read(slot) for slot in range(len(pids))]
        # What a dead worker has shown counts no more.
        return [line for line, pid in zip(lines, pids, strict=True) if pid and line.pid == pid]

    def _await_reload(self, lines: Sequence[Line]) -> None:
        shown = {line.pid: line.reloads for line in lines}
        self._unread = {
            pid: due
            for pid, due in self._unread.items()
            if pid in shown and shown[pid] < due and self.clock() < self._reload_until
        }
        if not self._unread:
            self.notifier.reloaded()

    def _give_sign(self, serving: Sequence[Line]) -> None:
        """Say that all is well while each worker that serves shows that its loop lives."""
        watchdog, now = self.notifier.watchdog, self.clock()
        if not watchdog or now < self._next_sign:
            return
        if serving and all(now - line.beat < watchdog / 2 for line in serving):
            self._next_sign = now + watchdog / 4
            self.notifier.alive()
