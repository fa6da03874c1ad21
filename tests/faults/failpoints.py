"""Kill the service at every boundary of a transaction in turn; restart, send again, check.

A boundary is where a coroutine of the client's session, or a task of it, stops or goes on. The
enumeration is over when a mail came and went without reaching the next one.
"""

import contextlib
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.client import Lost
from tests.e2e.proxy import Design, Listener, Proxy, eventually, to_sink
from tests.faults.counted import serve_counted
from tests.faults.driver import connect, offer
from tests.faults.journal import Journal, Letter, Pair, Word, check, delivered
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import Role, State, Way

MOST = 2_000  # boundaries of one mail; more means that the counting is at fault
ATTEMPTS = 5  # of the client, after a death


@dataclass(frozen=True, slots=True)
class Death:
    """A kill: where, what the client had heard, and copies by then and in the end."""

    number: int
    place: str
    acknowledged: bool
    copies: int
    finally_copies: int

    def __str__(self) -> str:
        heard = "heard 250" if self.acknowledged else "heard nothing"
        return (
            f"{self.number:4} {self.place:90} {heard:13} "
            f"copies {self.copies} -> {self.finally_copies}"
        )


class Mortal:
    """A service that can be told to die, and is started again on the same state."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.e2e.preloaded"])
        self.armed = self._context.Value("i", 0)
        self._sessions = self._context.Value("i", 0)
        self._log = proxy.folder / "counted.log"
        self.start()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._process = self._context.Process(
            target=serve_counted,
            args=(self._proxy.config, self._log, self.armed, self._sessions),
            daemon=True,
        )
        self._process.start()
        eventually(lambda: self._proxy.get("/readyz") == (200, "ok\n"), self._said)

    @property
    def sessions(self) -> int:
        """How many client sessions came to their end."""
        number: int = self._sessions.value
        return number

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def is_dead(self) -> bool:
        return not self._process.is_alive()

    def place(self) -> str:
        """Say where it died."""
        return self._log.with_suffix(".point").read_text()

    def close(self) -> None:
        self._process.kill()
        self._process.join()

    def _said(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@contextlib.contextmanager
def mortal(folder: Path, state: State, sink: int) -> Iterator[tuple[Proxy, Mortal]]:
    """Run a service with one sink that can be told to die."""
    mx = 'domains = ["example.test"]\nreports = "sink"'
    listeners = {"out": Listener("outbound", "sink"), "mx": Listener("inbound", "sink", mx)}
    proxy = Proxy(folder, Design({"sink": to_sink(sink)}, listeners))
    shutil.copytree(state.folder, proxy.state)
    service = Mortal(proxy)
    try:
        yield proxy, service
    finally:
        service.close()


class Enumeration:
    """Deaths of one kind of mail, in the order of their places."""

    def __init__(self, way: Way, state: State, running: Sinks, journal: Journal) -> None:
        self._way = way
        self._state = state
        self._sinks = running
        self._journal = journal
        self.deaths: list[Death] = []

    def run(self, proxy: Proxy, service: Mortal, first: int = 1, step: int = 1) -> None:
        """Die at every `step`th boundary from `first` on, until a mail lives through."""
        port = proxy.ports["mx" if self._way.role is Role.MX else "out"]
        for number in range(first, MOST, step):
            letter = self._way.letter(f"{number}-{self._way}@client.example", self._state)
            self._sinks.begin(0)
            service.armed.value = number
            self._offer(port, letter)
            if not self._died(service):
                service.armed.value = 0
                return
            service.armed.value = 0
            acknowledged, place = not self._pending(letter), service.place()
            service.start()
            copies = self._copies(letter)  # what was on its way has arrived by now
            for _ in range(ATTEMPTS):
                if self._pending(letter):
                    self._offer(port, letter)
            assert not self._pending(letter), f"I11: {place}"
            self.deaths.append(Death(number, place, acknowledged, copies, self._copies(letter)))
        raise AssertionError("there is no end of boundaries")

    def _offer(self, port: int, letter: Letter) -> None:
        with contextlib.suppress(Lost, OSError):
            client = connect(port)
            with client:
                offer(client, self._journal, letter, self._pending(letter))
                client.say("QUIT")

    def _died(self, service: Mortal) -> bool:
        """Wait until it is dead or the session of the client is over; tell which."""
        ended = service.sessions
        until = time.monotonic() + 1
        while time.monotonic() < until and not service.is_dead() and service.sessions == ended:
            time.sleep(0.01)
        return service.is_dead()

    def _pending(self, letter: Letter) -> list[str]:
        acknowledged = self._journal.said[Word.ACK]
        return [one for one in letter.recipients if not acknowledged[letter.identifier, one]]

    def _copies(self, letter: Letter) -> int:
        found = delivered(self._sinks.accepted(0))
        pairs: list[Pair] = [(letter.identifier, one) for one in letter.recipients]
        return sum(found[pair] for pair in pairs)


def enumerate_deaths(
    folder: Path, state: State, way: Way, first: int = 1, step: int = 1
) -> list[Death]:
    """Die at every boundary (or each `step`th); raises AssertionError for a broken promise."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "journal")
    with (
        sinks(folder / "sinks", 1) as running,
        mortal(folder / "proxy", state, running.lanes[0].port) as (proxy, service),
    ):
        enumeration = Enumeration(way, state, running, journal)
        enumeration.run(proxy, service, first, step)
        check(journal, running.accepted(0), windows=len(enumeration.deaths) * way.copies)
    return enumeration.deaths
