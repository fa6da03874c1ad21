"""Runs campaigns in processes of their own; one that hangs or dies is replaced, never the end.

What a process is at stands in a file it shares, so that the octets to blame are known.
"""

import mmap
import multiprocessing
import resource
import struct
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.campaign import Campaign, Finding
from tests.fuzz.targets import TARGETS, Target

MAX_ADDRESS_SPACE = 6_000_000_000  # octets a process may map; beyond is a MemoryError, a finding
SILENT_SECONDS = 90  # by the clock; runs are broken off long before, if anything can do that
SEED_STEP = 1_000_003  # between the seeds of two processes
_SLATE_OCTETS = 8_000_000  # the largest mutants have little more than a million
_HEAD = struct.Struct("<QII")  # runs begun, length of the target's name, length of the octets
_LOOK_SECONDS = 0.2
_POINTLESS_SECONDS = 2  # left: a new process would only start
_SPAWN = multiprocessing.get_context("spawn")


class Slate:
    """What a process is at, written by it and read by the one that watches."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SLATE_OCTETS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def write(self, name: str, raw: bytes) -> None:
        kept = raw[: _SLATE_OCTETS - 1_000]
        text = name.encode()
        self._map[_HEAD.size : _HEAD.size + len(text) + len(kept)] = text + kept
        self._map[: _HEAD.size] = _HEAD.pack(self.begun() + 1, len(text), len(kept))

    def begun(self) -> int:
        return int(_HEAD.unpack(self._map[: _HEAD.size])[0])

    def read(self) -> tuple[str, bytes]:
        _, name, raw = _HEAD.unpack(self._map[: _HEAD.size])
        start = _HEAD.size + name
        return self._map[_HEAD.size : start].decode(), self._map[start : start + raw]


@dataclass(frozen=True)
class Plan:
    """What is to be run, and for how long; `folder` holds the slates."""

    folder: Path
    seed: int = 1
    seconds: float = 180
    jobs: int = 1
    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    with_collections: bool = True
    silent: float = SILENT_SECONDS


@dataclass
class Tally:
    """Runs, behaviours and seconds of CPU by target, of processes that came to their end."""

    runs: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.ways |= other.ways
        for name, seconds in other.cpu.items():
            self.cpu[name] = self.cpu.get(name, 0) + seconds


class _Watched:
    """One process at work."""

    def __init__(self, plan: Plan, seed: int, seconds: float, *, seeds_too: bool) -> None:
        path = plan.folder / f"slate-{seed}"
        self.seed = seed
        self.slate = Slate(path)
        self.told, sender = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(
            target=_work, args=(plan, path, seed, seconds, seeds_too, sender), daemon=True
        )
        self.process.start()
        sender.close()  # ours of the two, so that its end is seen
        self._begun, self._since = 0, time.monotonic()

    def is_silent(self, seconds: float) -> bool:
        begun, now = self.slate.begun(), time.monotonic()
        if begun != self._begun:
            self._begun, self._since = begun, now
        # Before the first run it only reads its seeds.
        return now - self._since > (seconds if begun else max(seconds, SILENT_SECONDS))

    def heard(self) -> "Finding | Tally | None":
        """Give the next it says; None when there is nothing now, `EOFError` when never again."""
        return self.told.recv() if self.told.poll() else None

    def blamed(self, fault: str) -> Finding:
        name, raw = self.slate.read()
        return Finding(name, fault, raw, f"seed {self.seed}")


def run_all(plan: Plan, note: Callable[[Finding], None]) -> Tally:
    """Run as many processes as planned to the end; findings are noted as they are made."""
    end = time.monotonic() + plan.seconds
    tally = Tally()
    seeds = iter(range(plan.seed, plan.seed + 10_000 * SEED_STEP, SEED_STEP))
    watched = [_Watched(plan, next(seeds), plan.seconds, seeds_too=True) for _ in range(plan.jobs)]
    try:
        while watched:
            for item in tuple(watched):
                outcome = _look(item, plan.silent, note)
                if outcome is None:
                    continue
                watched.remove(item)
                left = end - time.monotonic()
                if isinstance(outcome, Tally):
                    tally.add(outcome)
                elif left > _POINTLESS_SECONDS:
                    watched.append(_Watched(plan, next(seeds), left, seeds_too=False))
            time.sleep(_LOOK_SECONDS)
    finally:
        for item in watched:
            item.process.kill()
    return tally


def _look(item: _Watched, silent: float, note: Callable[[Finding], None]) -> Tally | str | None:
    """Give the tally of one that is done, the fault of one that ended otherwise, or None."""
    try:
        while (heard := item.heard()) is not None:
            if isinstance(heard, Tally):
                item.process.join()
                return heard
            note(heard)
    except EOFError:
        item.process.join()
        fault = f"the process died ({item.process.exitcode})"
    else:
        if not item.is_silent(silent):
            return None
        item.process.kill()
        item.process.join()
        fault = f"no end within {silent:.0f} s"
    note(item.blamed(fault))
    return fault


def _work(
    plan: Plan, path: Path, seed: int, seconds: float, seeds_too: bool, told: Connection
) -> None:
    # Of what strangers' certificates and key files hold; said of thousands of mutants.
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    campaign = Campaign(
        seed, plan.targets, plan.with_collections, before=Slate(path).write, note=told.send
    )
    if seeds_too:
        campaign.run_seeds()
    campaign.run_for(seconds)
    ways = Counter({name: len(found) for name, found in campaign.seen.items()})
    told.send(Tally(campaign.runs, ways, dict(campaign.cpu)))
