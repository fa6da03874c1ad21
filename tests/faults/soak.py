"""Steady load for a long time: every message is settled as it should be, and nothing grows.

The mix: signed, encrypted, decrypted, an invitation, refused, and three copies. Memory, descriptors
and tasks of every process are looked at again and again; a line is drawn through what was seen.
"""

import itertools
import math
import re
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import linear_regression

from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER
from tests.e2e.proxy import Proxy
from tests.faults.driver import Sender
from tests.faults.journal import Journal, Letter, Word, verdict
from tests.faults.letters import Shared
from tests.faults.sinks import Accepted
from tests.faults.stage import Role, Stage, State, Way, staged

CLIENTS = 4  # outbound, and as many inbound
UPSTREAM_SECONDS = 60.0
JOIN_SECONDS = 60.0
HEAD_OCTETS = 4096  # of an accepted message that are kept; its Message-ID is among them
MEGABYTE = 1_000_000
ALLOWED = {"megabytes": 10.0, "descriptors": 6.0, "tasks": 6.0}  # rise behind the warm-up
_TASKS = re.compile(r'^smime_proxy_tasks\{worker="(\d+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Soak:
    """How long and how hard: `rate` in messages a second, times in seconds.

    Samples of the first `warm_up` seconds do not count. `allowed` is how much each measure may
    rise behind it.
    """

    seconds: float
    rate: float = 20
    workers: int = 2
    every: float = 5
    warm_up: float = 300
    allowed: dict[str, float] = field(default_factory=lambda: dict(ALLOWED))


@dataclass(frozen=True, slots=True)
class Trend:
    """The line through what one measure of one process was: from `first` to `last` on it."""

    of_what: str
    measure: str
    first: float
    last: float
    seconds: float
    allowed: float

    @property
    def rises(self) -> bool:
        return self.last - self.first > self.allowed

    def __str__(self) -> str:
        an_hour = (self.last - self.first) / self.seconds * 3600
        word = "RISES" if self.rises else "steady"
        return (
            f"{self.of_what:12} {self.measure:12} {self.first:8.1f} -> {self.last:8.1f} "
            f"({an_hour:+8.1f} an hour) {word}"
        )


@dataclass(frozen=True, slots=True)
class Told:
    """The end of it: what was offered, what the checker says, and the trends."""

    offered: int
    acknowledged: int
    refused: int
    lost: int
    unexpected: int
    duplicates: int
    trends: Sequence[Trend]

    @property
    def holds(self) -> bool:
        return not (self.lost or self.unexpected or self.duplicates) and not any(
            trend.rises for trend in self.trends
        )

    def __str__(self) -> str:
        counts = (
            f"{self.offered} offered, {self.acknowledged} acknowledged, {self.refused} refused; "
            f"lost {self.lost}, unexpected {self.unexpected}, duplicates {self.duplicates}"
        )
        return "\n".join((counts, *map(str, self.trends)))


class Paced(Iterator[Letter]):
    """Letters at a steady rate, one every `pause` seconds."""

    def __init__(self, source: Iterator[Letter], pause: float) -> None:
        self._source = source
        self._pause = pause
        self._due = time.monotonic()

    def __next__(self) -> Letter:
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due += self._pause
        return next(self._source)


def outbound(state: State) -> Iterator[Letter]:
    """Write what our people send: signed, encrypted, an invitation, refused, three copies."""
    one, three = Way(Role.SUBMISSION, 1), Way(Role.SUBMISSION, 3)
    for number in itertools.count():
        name = f"soak-{number}@client.example"
        yield (
            _plain(name, OUTSIDE),
            one.letter(name, state),
            _plain(name, PARTNER, "Content-Type: text/calendar; method=REQUEST\r\n"),
            _plain(name, OUTSIDE, "X-SMIME-Encrypt: yes\r\n"),  # nobody can: refused
            three.letter(name, state),
        )[number % 5]


def _plain(identifier: str, to: str, more: str = "") -> Letter:
    head = f"From: {ALICE}\r\nTo: {to}\r\nSubject: Soak\r\nMessage-ID: <{identifier}>\r\n{more}\r\n"
    calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    return Letter(identifier, ALICE, (to,), (head + calendar).encode())


def inbound(state: State) -> Iterator[Letter]:
    """Write what others send: encrypted to accounts of ours."""
    way = Way(Role.MX, 1)
    for number in itertools.count():
        yield way.letter(f"soak-in-{number}@client.example", state)


class Watch:
    """Looks at every process of the service, in a thread of its own, until it is stopped."""

    def __init__(self, proxy: Proxy, every: float) -> None:
        self.samples: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._proxy = proxy
        self._every = every
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)

    def trends(self, told: Soak) -> list[Trend]:
        """Draw the lines."""
        return [
            trend(*name, samples, told)
            for name, samples in sorted(self.samples.items())
            if samples[-1][0] > told.warm_up
        ]

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            at = time.monotonic() - self._started
            for number, pid in enumerate((self._proxy.pid, *self._proxy.children())):
                self._note(f"process {number}", "megabytes", at, megabytes(pid))
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                self._note(f"process {number}", "descriptors", at, files)
            _, metrics = self._proxy.get("/metrics")
            for worker, tasks in _TASKS.findall(metrics):
                self._note(f"worker {worker}", "tasks", at, float(tasks))

    def _note(self, of_what: str, measure: str, at: float, value: float) -> None:
        self.samples.setdefault((of_what, measure), []).append((at, value))


def megabytes(pid: int) -> float:
    """Give the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MEGABYTE


def trend(of_what: str, measure: str, samples: Sequence[tuple[float, float]], told: Soak) -> Trend:
    """Draw a line by least squares through the samples behind the warm-up."""
    counted = [sample for sample in samples if sample[0] >= told.warm_up]
    times, values = [at for at, _ in counted], [value for _, value in counted]
    slope, begin = linear_regression(times, values) if len(set(times)) > 1 else (0.0, values[0])
    first, last = (begin + slope * at for at in (times[0], times[-1]))
    seconds = max(times[-1] - times[0], math.ulp(1.0))
    return Trend(of_what, measure, first, last, seconds, told.allowed[measure])


def soak(folder: Path, state: State, told: Soak) -> Told:
    """Load the service for so long; raises AssertionError when a client comes to no end."""
    journal = Journal(folder / "journal")
    with staged(folder, state, 1, UPSTREAM_SECONDS, told.workers) as stage:
        _load(stage, journal, told, watch := Watch(stage.proxy, told.every))
        assert stage.proxy.stop() == 0, stage.proxy.log()[-8000:]
        assert "Traceback" not in stage.proxy.log()
        taken = [_cut(one) for one in stage.sinks.accepted(0)]
    said, result = journal.said, verdict(journal.said, taken)
    open_ones = said[Word.OFFER].keys() - said[Word.ACK].keys() - said[Word.REFUSED].keys()
    assert not open_ones, open_ones
    return Told(
        len(said[Word.OFFER]),
        len(said[Word.ACK]),
        len(said[Word.REFUSED]),
        len(result.lost),
        len(result.unexpected),
        result.duplicates,
        watch.trends(told),
    )


def _load(stage: Stage, journal: Journal, told: Soak, watch: Watch) -> None:
    sources = {
        Role.SUBMISSION: Paced(outbound(stage.state), 6 / 5 / told.rate),
        Role.MX: Paced(inbound(stage.state), 6 / told.rate),
    }
    senders = [
        Sender(stage.port(0, role, tls=False), journal, shared)
        for role, source in sources.items()
        for shared in [Shared(source)]
        for _ in range(CLIENTS)
    ]
    time.sleep(told.seconds)
    for sender in senders:
        sender.stop()
    for sender in senders:
        sender.join(JOIN_SECONDS)
    watch.stop()


def _cut(one: Accepted) -> Accepted:
    """Keep of a message what the checker reads; reports it reads whole."""
    return one if one.reverse_path == "" else replace(one, wire=one.wire[:HEAD_OCTETS])
