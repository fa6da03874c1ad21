"""What watches over the service: the first process over its workers, systemd over all of it.

Invariants I5, I18; sd_notify(3); getrlimit(2).
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.canary import files, leaks
from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, serving, to_sink
from tests.notify_socket import Manager
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

MAIL = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\nHello\r\n".encode()
WATCHDOG_SECONDS = 8
CANARY = b"canary-of-what-was-written-in-confidence"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


def designed(sink: Sink, workers: int) -> Design:
    return Design({"sink": to_sink(sink.port)}, {"out": Listener("outbound", "sink")}, workers)


def managed(manager: Manager, watchdog: int = 0) -> tuple[str, ...]:
    """Give the command that starts the service as the manager would."""
    found = ("env", f"NOTIFY_SOCKET={manager.address}")
    return (*found, f"WATCHDOG_USEC={watchdog * 1_000_000}") if watchdog else found


def states(manager: Manager) -> list[str]:
    """Give what the manager heard, without signs of life and what is for people."""
    return [line for line in manager.lines() if not line.startswith(("STATUS=", "WATCHDOG="))]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_each_state(
    tmp_path: Path, made: Made, sink: Sink, workers: int, is_abstract: bool
) -> None:
    with Manager(None if is_abstract else tmp_path / "notify") as manager:
        wrapper = managed(manager)
        with serving(tmp_path / "proxy", made.state, designed(sink, workers), wrapper) as proxy:
            eventually(lambda: states(manager) == ["READY=1"])
            assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 250
            proxy.config.write_text(proxy.config.read_text() + "\n[limits]\nsessions = 7\n")
            os.kill(proxy.pid, signal.SIGHUP)
            eventually(lambda: len(states(manager)) == 4, lambda: str(states(manager)))
            ready, reloading, since, again = states(manager)
            assert (ready, reloading, again) == ("READY=1", "RELOADING=1", "READY=1")
            assert since.startswith("MONOTONIC_USEC=")
            eventually(lambda: proxy.counter("reloads") == workers)  # told once a second
            assert proxy.stop() == 0
        assert states(manager)[4:] == ["STOPPING=1"]
        assert manager.count("WATCHDOG=1") == 0


def test_a_service_that_cannot_start_is_never_ready(tmp_path: Path, made: Made, sink: Sink) -> None:
    with Manager() as manager:
        design = designed(sink, 2)
        with serving(tmp_path / "one", made.state, design) as one:
            other = Proxy(tmp_path / "two", design, wrapper=managed(manager))
            other.ports["out"] = one.ports["out"]
            other.config.write_text(design.toml(other.state, other.ports))
            try:
                other.launch()
                assert other.process is not None
                assert other.process.wait(60) == 1
            finally:
                other.end()
        assert manager.lines() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_the_watchdog_hears_of_us_only_while_every_loop_lives(
    tmp_path: Path, made: Made, sink: Sink, workers: int
) -> None:
    with Manager() as manager:
        wrapper = managed(manager, WATCHDOG_SECONDS)
        with serving(tmp_path / "proxy", made.state, designed(sink, workers), wrapper) as proxy:
            eventually(lambda: manager.count("WATCHDOG=1") >= 2)
            stuck = proxy.pid if workers == 1 else taking_mail(proxy)[0]
            os.kill(stuck, signal.SIGSTOP)
            eventually(partial(is_silent, manager))
            os.kill(stuck, signal.SIGCONT)
            heard = manager.count("WATCHDOG=1")
            eventually(lambda: manager.count("WATCHDOG=1") > heard)
            assert proxy.stop() == 0


def is_silent(manager: Manager) -> bool:
    """Tell whether nothing is heard for as long as the manager would wait."""
    before = manager.count("WATCHDOG=1")
    until = os.times().elapsed + WATCHDOG_SECONDS
    while os.times().elapsed < until:
        if manager.count("WATCHDOG=1") > before:
            return False
        signal.sigtimedwait((), 0.1)
    return True


def taking_mail(proxy: Proxy) -> list[int]:
    """Give the workers; the process that shows the status was made last."""
    return sorted(proxy.children())[:-1]


def test_a_worker_that_is_killed_leaves_content_on_its_way_to_others_alone(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    """The other worker's session is in DATA, and the port goes on taking clients."""
    before = len(sink.messages)
    with serving(tmp_path / "proxy", made.state, designed(sink, 2)) as proxy:
        with Client(proxy.ports["out"]) as client:
            for line in ("EHLO x", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>", "DATA"):
                assert client.say(line).code in {250, 354}
            client.send(MAIL)
            workers = taking_mail(proxy)
            (victim,) = [pid for pid in workers if not holds(pid, client)]
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: not is_alive(victim))
            for _ in range(3):
                assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 250
            client.send(b"and the rest\r\n.\r\n")
            assert client.answer().code == 250
        eventually(lambda: len(proxy.children()) == 3)
        assert victim not in proxy.children()
        eventually(proxy.is_up)
        assert proxy.stop() == 0
    assert len(sink.messages) == before + 4
    assert sum(b"and the rest" in one.content for one in sink.messages[before:]) == 1


def holds(pid: int, client: Client) -> bool:
    """Tell whether a process has the other end of a client's connection."""
    port = client._socket.getsockname()[1]
    # The server's end: its remote port is the client's own.
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(f":{port:04X}")}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(entry.readlink()) in {f"socket:[{inode}]" for inode in inodes}:
                return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_i5_no_process_leaves_a_core_dump(
    tmp_path: Path, made: Made, sink: Sink, workers: int
) -> None:
    design = designed(sink, workers)
    with serving(tmp_path / "proxy", made.state, design, installed=True) as proxy:
        processes = [proxy.pid, *proxy.children()]
        assert len(processes) == (1 if workers == 1 else 4)
        for pid in processes:
            folder = Path(f"/proc/{pid}")
            limits = (folder / "limits").read_text().splitlines()
            (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
            assert core[4:6] == ["0", "0"]
            assert int((folder / "coredump_filter").read_text(), 16) == 0


def test_i5_what_is_written_in_mail_is_never_on_a_disk(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    """While it comes, while it waits, and afterwards; large, so that a thread works on it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    wrapper = ("env", f"TMPDIR={temporary}")
    with serving(tmp_path / "proxy", made.state, designed(sink, 1), wrapper) as proxy:
        with Client(proxy.ports["out"]) as client:
            for line in ("EHLO x", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>", "DATA"):
                assert client.say(line).code in {250, 354}
            client.send(MAIL + (CANARY + b"\r\n") * 50_000)
            assert written_by(proxy, temporary) == []
            client.send(b".\r\n")
            assert client.answer().code == 250
        assert CANARY in sink.messages[-1].content
        assert written_by(proxy, temporary) == []


def written_by(proxy: Proxy, temporary: Path) -> list[str]:
    """Name what could hold mail: files made, files open though removed, and the canary itself."""
    found: list[str] = []
    for entry in Path(f"/proc/{proxy.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(entry.readlink()))
    found = [name for name in found if "(deleted)" in name or "memfd:" in name]
    found += [str(path) for path in temporary.rglob("*")]
    places = [*files(proxy.state), proxy.log().encode()]
    return found + [repr(shape) for shape in leaks(CANARY, places)]
