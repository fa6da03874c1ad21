"""Mutate, run, keep what behaves in a new way, and note what must not happen."""

import hashlib
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz import limits, seeds
from tests.fuzz.minimise import minimised
from tests.fuzz.mutate import mutant
from tests.fuzz.seeds import Kind
from tests.fuzz.targets import TARGETS, Target

MAX_KEPT = 20_000  # octets of a mutant that is followed up
MAX_POOL = 3_000  # seeds of a kind
_WEIGHED = 1 / 25  # of the runs: watching memory makes them several times slower
_OURS = ("/smime_proxy/", "/tests/fuzz/targets", "/tests/fuzz/exchange")


@dataclass(frozen=True)
class Finding:
    """What went wrong where: the target, the fault told briefly, the octets, the traceback."""

    target: str
    fault: str
    raw: bytes = field(repr=False)
    told: str = field(repr=False, default="")

    @property
    def name(self) -> str:
        """A file name that says the target and is the same for the same octets."""
        return f"{self.target}--{hashlib.sha256(self.raw).hexdigest()[:12]}"


@dataclass
class Campaign:
    """One run of the fuzzer; the same seed gives the same mutants of the same pool.

    `before` is told what is about to run, `note` what was found.
    """

    seed: int
    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    with_collections: bool = True
    small_seconds: float = 20
    before: Callable[[str, bytes], None] = lambda _name, _raw: None
    note: Callable[[Finding], None] = lambda _finding: None
    runs: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    seen: dict[str, set[Hashable]] = field(default_factory=dict)
    pools: dict[Kind, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)
        for name, target in self.targets.items():
            if target.kind not in self.pools:
                found = seeds.collected(target.kind) if self.with_collections else []
                self.pools[target.kind] = seeds.made_here(target.kind) + found
            self.seen[name] = set()

    def run_seeds(self) -> None:
        """Run what is not changed yet."""
        for name, target in self.targets.items():
            for raw in tuple(self.pools[target.kind]):
                self.try_one(name, raw)

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def run_times(self, number: int) -> None:
        for _ in range(number):
            self.step()

    def step(self) -> None:
        """Make one mutant and run it."""
        shares = [target.share for target in self.targets.values()]
        name = self._rng.choices(tuple(self.targets), shares)[0]
        kind = self.targets[name].kind
        self.try_one(name, mutant(self._rng, kind, self.pools[kind]))

    def try_one(self, name: str, raw: bytes) -> None:
        """Run one input; a fault is noted once, a new behaviour is kept."""
        target = self.targets[name]
        self.runs[name] += 1
        self.before(name, raw)
        start = time.process_time()
        try:
            outcome = limits.run(target, raw)
            if self._rng.random() < _WEIGHED:
                limits.run_weighed(target, raw)
        except Exception as error:  # noqa: BLE001 - what may come is what is looked for
            self._note(name, raw, error)
            return
        finally:
            self.cpu[name] += time.process_time() - start
        if outcome not in self.seen[name]:
            self.seen[name].add(outcome)
            self._keep(target.kind, raw)

    def _keep(self, kind: Kind, raw: bytes) -> None:
        pool = self.pools[kind]
        if len(raw) > MAX_KEPT:
            return
        if len(pool) < MAX_POOL:
            pool.append(raw)
        else:
            pool[self._rng.randrange(len(pool))] = raw

    def _note(self, name: str, raw: bytes, error: Exception) -> None:
        fault = fault_of(error)
        if (name, fault) in self.findings:
            return
        told = "".join(traceback.format_exception(error)[-12:])
        target = self.targets[name]

        def fails(other: bytes) -> bool:
            self.before(name, other)
            return failing(target, other) == fault

        small = minimised(raw, fails, self.small_seconds)
        self.findings[name, fault] = Finding(name, fault, small, told)
        self.note(self.findings[name, fault])


def failing(target: Target, raw: bytes) -> str:
    """Give the fault that octets make a target show, or nothing."""
    try:
        limits.run(target, raw)
        limits.run_weighed(target, raw)
    except Exception as error:  # noqa: BLE001 - same
        return fault_of(error)
    return ""


def fault_of(error: Exception) -> str:
    """Tell faults apart: what was raised, and where last in code of ours."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if any(name in frame.filename for name in _OURS):
            where = f"{Path(frame.filename).name}:{frame.name}"
    says = str(error)[:60] if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} in {where} {says}".strip()


def write(finding: Finding, folder: Path) -> Path:
    """Write a finding into the folder, octets and beside them what was told."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / finding.name
    path.write_bytes(finding.raw)
    path.with_name(f"{finding.name}.txt").write_text(f"{finding.fault}\n\n{finding.told}")
    return path
