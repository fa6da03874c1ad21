"""Large mail: CPU for each octet as messages grow, and the memory they need when several come."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.perf.load import send
from tests.perf.processes import resident_octets
from tests.perf.service import know_recipient, prepare, serving

SMALL, SMALL_COUNT = 1_000_000, 30
LARGE, LARGE_COUNT = 30_000_000, 2
HUGE, AT_ONCE = 49_000_000, 4  # just below what a listener takes
_LOOK_SECONDS = 0.02  # between two looks at the memory


@dataclass(frozen=True)
class Growth:
    """CPU for an octet of large mail over that of smaller; octets of memory for one of mail.

    `memory` is of signing, `sealing` of signing and encrypting.
    """

    cpu: float
    memory: float
    sealing: float


def growth(folder: Path, sink: int) -> Growth:
    """Send large mail through one worker: one by one for the CPU, several at once for memory."""
    folder.mkdir()
    config, port = prepare(folder, sink, workers=1)
    with serving(config, port, folder / "serve.log") as pid:
        send(port, pid, messages=4, size=SMALL, reuse=True, sessions=1)
        small = send(port, pid, messages=SMALL_COUNT, size=SMALL, reuse=True, sessions=1)
        large = send(port, pid, messages=LARGE_COUNT, size=LARGE, reuse=True, sessions=1)
    memory = _memory(config, port, folder)
    know_recipient(config, folder)
    sealing = _memory(config, port, folder)
    return Growth((large.cpu / LARGE) / (small.cpu / SMALL), memory, sealing)


def _memory(config: Path, port: int, folder: Path) -> float:
    """Send several huge messages at once; gives octets of memory for one of theirs."""
    with serving(config, port, folder / "serve.log") as pid:
        send(port, pid, messages=4, size=4096, reuse=True, sessions=1)
        with _watching(pid) as seen:
            send(port, pid, messages=AT_ONCE, size=HUGE, reuse=True, sessions=AT_ONCE)
    return (max(seen) - seen[0]) / (AT_ONCE * HUGE)


@contextlib.contextmanager
def _watching(pid: int) -> Iterator[list[int]]:
    """Collect how much memory the process holds, from before the block to its end."""
    seen, end = [resident_octets(pid)], threading.Event()

    def look() -> None:
        while not end.wait(_LOOK_SECONDS):
            seen.append(resident_octets(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
