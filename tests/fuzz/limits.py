"""Runs a target on octets and measures: no input may take more than is allowed here."""

import signal
import time
import tracemalloc
from collections.abc import Hashable
from types import FrameType

from tests.fuzz.targets import Target
from tests.fuzz.violation import Violation

MAX_CPU_SECONDS = 2.0
STUCK_SECONDS = 20  # of CPU, after which a run is broken off
MAX_MEMORY_FACTOR = 20  # octets held for each of the input
MEMORY_BASE = 50_000_000  # octets; the most elements that are read of an object take about 40 MB


class TooSlow(Violation):
    """A run took too much CPU."""


class TooLarge(Violation):
    """A run held too much memory."""


def run(target: Target, raw: bytes, stuck: float = STUCK_SECONDS) -> Hashable:
    """Run once; raises `TooSlow`, at the latest when stuck, and whatever the target raises."""
    before = signal.signal(signal.SIGPROF, _break_off)
    signal.setitimer(signal.ITIMER_PROF, stuck)
    start = time.process_time()
    try:
        outcome = target.run(raw)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    seconds = time.process_time() - start
    if seconds > MAX_CPU_SECONDS * target.readings:
        raise TooSlow(f"{seconds:.1f} s of CPU for {len(raw)} octets")
    return outcome


def run_weighed(target: Target, raw: bytes) -> None:
    """Run again and raise `TooLarge` when more memory is held meanwhile than allowed."""
    tracemalloc.start()
    try:
        target.run(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > MAX_MEMORY_FACTOR * len(raw) + MEMORY_BASE:
        raise TooLarge(f"{peak} octets of memory for {len(raw)}")


def _break_off(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow("broken off")
