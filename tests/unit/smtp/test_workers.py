"""The service as processes: who starts, who ends, and that nobody is left behind."""

import os
import re
import signal
import smtplib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smime_proxy.gateway.late import LAST_SECONDS
from smime_proxy.smtp.session import QUIT_PATIENCE
from smime_proxy.smtp.workers import KILL_SECONDS
from tests.ports import free_ports
from tests.tied import tied

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 20  # a busy machine; nothing waits as long when all is well


class Service:
    """A service in a process of its own."""

    def __init__(self, state: Path, workers: int, mode: str = "") -> None:
        self.state = state
        self.port, self.status_port = free_ports(2)
        self.process = self.start(workers, self.port, self.status_port, mode)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        words = [str(word) for word in (self.state, *arguments) if word != ""]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.unit.smtp.serving", *words],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            preexec_fn=tied(),
        )

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}") as answer:
                text: bytes = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        except OSError:
            return ""
        return text.decode()

    def ready(self) -> bool:
        return self.get("/readyz") == "ok\n"

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def send(self, text: str = "text") -> int:
        """Send a message and give the process that took it."""
        with self.client() as client:
            return send(client, text)

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


def send(client: smtplib.SMTP, text: str = "text") -> int:
    client.ehlo_or_helo_if_needed()
    client.mail("a@example.com")
    client.rcpt("b@example.org")
    code, said = client.data(text)
    assert code == 250
    return int(said.split()[-1])


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def service(state: Path, workers: int) -> Iterator[Service]:
    running = Service(state, workers)
    try:
        eventually(running.ready)
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_in_good_order(tmp_path: Path, workers: int) -> None:
    with service(tmp_path, workers) as running:
        idle = running.client()
        busy = running.client()
        busy.ehlo()
        busy.mail("a@example.com")
        busy.rcpt("b@example.org")
        busy.putcmd("data")
        busy.getreply()
        busy.send(b"slow\r\n.\r\n")
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: running.get("/readyz") in {"shutting down\n", ""})
        assert busy.getreply()[0] == 250
        assert busy.getreply()[0] == 421
        assert idle.getreply()[0] == 421
        assert running.process.wait(PATIENCE_SECONDS) == 0
        with pytest.raises(OSError, match="refused"):
            running.client()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a service of two workers that several tests may use."""
    with service(tmp_path_factory.mktemp("pair"), 2) as running:
        yield running


def test_second_service_is_told_in_one_line(pair: Service, tmp_path: Path) -> None:
    other = pair.start(2, *free_ports(2))
    line = f"{pair.state}: in use by another service, process {pair.process.pid}\n"
    assert other.communicate()[1] == line
    assert other.returncode == 1
    assert pair.ready()


def test_second_service_on_a_port_is_told_in_one_line(pair: Service, tmp_path: Path) -> None:
    other = Service.__new__(Service)
    other.state = tmp_path
    process = other.start(1, pair.port, free_ports(2)[0])
    line = f"cannot listen on 127.0.0.1:{pair.port}: Address already in use\n"
    assert process.communicate()[1] == line
    assert process.returncode == 1
    assert pair.ready()


def test_workers_share_the_port_and_are_counted_together(pair: Service) -> None:
    clients: list[smtplib.SMTP] = []
    served: list[int] = []

    def both_served() -> bool:
        clients.append(pair.client())
        served.append(send(clients[-1]))
        return len(set(served)) == 2

    eventually(both_served)  # the kernel may give any number in a row to one of them
    total = f'smime_proxy_messages_total{{listener="out",reply="2yz"}} {len(served)}.0\n'
    eventually(lambda: total in pair.get("/metrics"))
    eventually(lambda: pair.get("/metrics").count("smime_proxy_tasks{") == 2)
    for client in clients:
        client.close()


_RELOADS = r"^smime_proxy_partly_sent_total (\S+)$"  # what the engine of these tests counts


def reloads(pair: Service) -> float:
    """Give how many workers have heard SIGHUP so far, as the metrics show it."""
    (count,) = re.findall(_RELOADS, pair.get("/metrics"), re.MULTILINE)
    return float(count)


def test_sighup_reaches_every_worker(pair: Service) -> None:
    wanted = reloads(pair) + 2
    pair.process.send_signal(signal.SIGHUP)
    eventually(lambda: reloads(pair) == wanted)


def test_worker_that_died_is_replaced_and_others_go_on(pair: Service) -> None:
    victim = pair.send()
    clients = [pair.client() for _ in range(12)]
    by = [(client, send(client)) for client in clients]
    before = set(pair.children())
    counted = reloads(pair) + 2
    pair.process.send_signal(signal.SIGHUP)
    eventually(lambda: reloads(pair) == counted)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in pair.children())
    for client, pid in by:
        if pid != victim:
            assert send(client) == pid
        client.close()
    eventually(lambda: len(pair.children()) == len(before))
    eventually(lambda: pair.send() not in before)
    assert pair.ready()
    # What the dead one had counted stays counted.
    assert reloads(pair) == counted


def test_workers_end_with_the_first_process_and_leave_all_to_the_next(tmp_path: Path) -> None:
    with service(tmp_path, 2) as running:
        children = running.children()
        assert len(children) == 3
        running.process.kill()
        running.process.communicate()
        eventually(lambda: not any(map(exists, children)))
        running.process = running.start(1, running.port, running.status_port)
        eventually(running.ready)
        assert running.send()


def test_a_worker_may_end_all_that_its_end_waits_for_before_it_is_killed() -> None:
    """I18: late answers are written down, then sessions with upstreams are closed."""
    assert KILL_SECONDS > LAST_SECONDS + 2 * QUIT_PATIENCE


@pytest.mark.parametrize("workers", [1, 2])
def test_service_that_cannot_start_ends(tmp_path: Path, workers: int) -> None:
    failed = Service(tmp_path, workers, "broken")
    try:
        _, errors = failed.process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        failed.process.kill()
    assert failed.process.returncode == 1
    assert "the key does not fit" in errors
    assert "ProcessLookupError" not in errors
