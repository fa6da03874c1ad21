"""Clients by the hundred that send one octet a second after DATA: what the others feel of it.

Row R25. Whether and when the slow ones are ended is the listener's business; nothing of theirs may
arrive, and nobody else may wait.
"""

import contextlib
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, OUTSIDE
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.faults.journal import delivered
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import State
from tests.ports import HOST

EACH = 25  # clients from one address; the program allows twice as many
PROBES = 200  # messages of the others
BEGIN = (
    b"EHLO slow.example\r\nMAIL FROM:<slow@example.test>\r\n"
    b"RCPT TO:<slow@example.net>\r\nDATA\r\nSubject: s"
)


@dataclass(frozen=True, slots=True)
class Slowness:
    """How many slow clients, the pause between their octets in seconds, how many other messages."""

    clients: int = 500
    pause: float = 1.0
    probes: int = PROBES


@dataclass(frozen=True, slots=True)
class Felt:
    """What the others waited, in seconds, alone and beside the slow ones; who was ended."""

    alone: tuple[float, float]  # median and 99th percentile
    beside: tuple[float, float]
    refused: int  # of the others' messages
    ended: int  # slow clients that the service hung up on meanwhile
    arrived: int  # messages of slow clients that the sink has

    def __str__(self) -> str:
        return (
            f"alone: median {self.alone[0] * 1000:.0f} ms, p99 {self.alone[1] * 1000:.0f} ms; "
            f"beside: median {self.beside[0] * 1000:.0f} ms, p99 {self.beside[1] * 1000:.0f} ms; "
            f"others refused {self.refused}, slow ones ended {self.ended}, arrived {self.arrived}"
        )


class Slow:
    """The slow clients, fed by one thread; `ended` counts those that were hung up on."""

    def __init__(self, port: int, told: Slowness) -> None:
        self._pause = told.pause
        self._stop = threading.Event()
        self._open = [_slow_client(port, number) for number in range(told.clients)]
        self.ended = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(60)
        for client in self._open:
            client.close()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._open = [client for client in self._open if self._say_one_octet(client)]

    def _say_one_octet(self, client: socket.socket) -> bool:
        if not _is_over(client):
            with contextlib.suppress(OSError):
                client.send(b"l")
                return True
        client.close()
        self.ended += 1
        return False


def _slow_client(port: int, number: int) -> socket.socket:
    source = (f"127.0.1.{1 + number // EACH}", 0)
    client = socket.create_connection((HOST, port), 60, source)
    client.sendall(BEGIN)
    return client


def _is_over(client: socket.socket) -> bool:
    """Read what was said, without waiting; tell whether the service has closed."""
    with selectors.DefaultSelector() as ready:
        ready.register(client, selectors.EVENT_READ)
        while ready.select(0):
            try:
                if not client.recv(65536):
                    return True
            except OSError:
                return True
    return False


def felt(folder: Path, state: State, told: Slowness) -> Felt:
    """Measure what one client after the other waits, before and while the slow ones send."""
    folder.mkdir(parents=True, exist_ok=True)
    with sinks(folder / "sinks", 1) as running, _serving(folder, state, running) as proxy:
        alone, _ = _probe(proxy, told.probes)
        slow = Slow(proxy.ports["out"], told)
        try:
            begun = lambda: running.heard(0).count("RCPT TO:<slow@example.net>")  # noqa: E731
            eventually(lambda: begun() + slow.ended >= told.clients, proxy.log)
            beside, refused = _probe(proxy, told.probes)
        finally:
            slow.close()
        assert "Traceback" not in proxy.log()
        assert proxy.stop() == 0, proxy.log()
        arrived = sum("slow@example.net" in one.recipients for one in running.accepted(0))
        others = delivered(one for one in running.accepted(0) if OUTSIDE in one.recipients)
    assert others.total() == 2 * told.probes - refused
    return Felt(_summed(alone), _summed(beside), refused, slow.ended, arrived)


@contextlib.contextmanager
def _serving(folder: Path, state: State, running: Sinks) -> Iterator[Proxy]:
    design = Design({"sink": to_sink(running.lanes[0].port)}, {"out": Listener("outbound", "sink")})
    with serving(folder / "proxy", state.folder, design) as proxy:
        yield proxy


def _probe(proxy: Proxy, count: int) -> tuple[list[float], int]:
    """Send signed messages; gives the seconds each took, and how many were not taken."""
    took, refused = [], 0
    for number in range(count):
        identifier = f"probe-{time.monotonic_ns()}-{number}@client.example"
        head = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\nMessage-ID: <{identifier}>\r\n\r\nHello\r\n"
        started = time.monotonic()
        answer = deliver(proxy.ports["out"], ALICE, (OUTSIDE,), head.encode())
        took.append(time.monotonic() - started)
        refused += answer.code != 250
    return took, refused


def _summed(took: list[float]) -> tuple[float, float]:
    return statistics.median(took), statistics.quantiles(took, n=100)[98]
