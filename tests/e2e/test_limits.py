"""What clients may take of a running service: time, places, memory; and that others do not notice.

Rows R14, R25, invariants I15, I18; "Limits" of the settings.
"""

import contextlib
import os
import signal
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Client, Lost, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import Design, Listener, eventually, serving, to_sink
from tests.ports import HOST
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

MAIL = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\nHello\r\n".encode()
BEHIND = 2  # seconds that content may be behind
SLOW_ADDRESSES, SLOW_EACH = 10, 50  # 500 clients, as many of an address as may be
DRAIN_SECONDS = 15  # far less than the grace of 30; a slow client gets five
EVERY = 0.2  # seconds between two octets of a slow client


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


def designed(sink: Sink, limits: str, more: str = "") -> Design:
    out = {"out": Listener("outbound", "sink", more)}
    return Design({"sink": to_sink(sink.port)}, out, more=f"[limits]\n{limits}")


def begun(port: int, source: str = HOST) -> socket.socket:
    """Connect and go on to where content is due, without waiting for any reply."""
    client = socket.create_connection((HOST, port), 60, (source, 0))
    client.sendall(
        f"EHLO x\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{OUTSIDE}>\r\nDATA\r\nSubject: s".encode()
    )
    return client


def last_reply(client: socket.socket) -> bytes:
    """Read to the end of the connection; gives the last line."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while octets := client.recv(65536):
            heard += octets
    return heard.rstrip().rpartition(b"\r\n")[2]


def test_r25_slow_clients_are_closed_and_keep_nobody_waiting(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    limits = f"behind = {BEHIND}\nsessions = 2000"
    before = len(sink.messages)
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, limits)) as proxy,
        contextlib.ExitStack() as stack,
    ):
        port = proxy.ports["out"]
        usual = max(seconds_of_one(port) for _ in range(10))
        slow = [
            stack.enter_context(begun(port, f"127.0.0.{number}"))
            for number in range(2, 2 + SLOW_ADDRESSES)
            for _ in range(SLOW_EACH)
        ]
        meanwhile = []
        while proxy.counter("sessions_timed_out") < len(slow):
            for client in slow:
                with contextlib.suppress(OSError):
                    client.sendall(b"l")
            meanwhile.append(seconds_of_one(port))
            time.sleep(EVERY)
        assert all(last_reply(client)[:9] == b"421 4.4.2" for client in slow)
        assert len(meanwhile) > 1
        assert sorted(meanwhile)[len(meanwhile) // 2] < usual + 0.5
        assert len(sink.messages) == before + 10 + len(meanwhile)
        assert deliver(port, ALICE, (OUTSIDE,), MAIL).code == 250


def seconds_of_one(port: int) -> float:
    started = time.monotonic()
    assert deliver(port, ALICE, (OUTSIDE,), MAIL).code == 250
    return time.monotonic() - started


def test_a_client_as_fast_as_the_rate_is_served_however_long_it_takes(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    limits = f"behind = 1\nmin_rate = {int(40 / EVERY)}"
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, limits)) as proxy,
        Client(proxy.ports["out"]) as client,
    ):
        for line in ("EHLO x", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>", "DATA"):
            assert client.say(line).code in {250, 354}
        client.send(MAIL)
        for _ in range(15):  # three times as long as it may be behind
            client.send(b"x" * 78 + b"\r\n")
            time.sleep(EVERY)
        client.send(b".\r\n")
        assert client.answer().code == 250


def test_a_command_that_trickles_is_closed(tmp_path: Path, made: Made, sink: Sink) -> None:
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, "command = 1")) as proxy,
        Client(proxy.ports["out"]) as client,
    ):
        with contextlib.suppress(Lost):
            for _ in range(100):
                client.send(b"N")
                time.sleep(0.05)
                if proxy.counter("sessions_timed_out"):
                    break
        assert client.answer().code == 421
        with pytest.raises(Lost):
            client.answer()


def test_r14_slow_clients_do_not_hold_the_end_up(tmp_path: Path, made: Made, sink: Sink) -> None:
    """One in DATA is slow, one says nothing there, one has a transaction open; one is fast."""
    before = len(sink.messages)
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, "")) as proxy,
        begun(proxy.ports["out"]) as slow,
        begun(proxy.ports["out"]) as silent,
        Client(proxy.ports["out"]) as waiting,
        Client(proxy.ports["out"]) as fast,
    ):
        for client in (waiting, fast):
            for line in ("EHLO x", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>"):
                assert client.say(line).code == 250
        assert fast.say("DATA").code == 354
        fast.send(MAIL)
        assert proxy.process is not None
        proxy.process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        while not has_heard(waiting):
            with contextlib.suppress(OSError):
                slow.sendall(b"l")
            # Longer than a silent client is waited for, and faster than the least rate.
            fast.send((b"x" * 78 + b"\r\n") * 10)
            time.sleep(EVERY)
        fast.send(b".\r\n")
        assert fast.answer().code == 250
        assert waiting.answer().code == 421
        assert last_reply(slow)[:9] == last_reply(silent)[:9] == b"421 4.4.2"
        assert proxy.process.wait(60) == 0
        assert time.monotonic() - stopped < DRAIN_SECONDS
        assert "had to be ended by force" not in proxy.log()
    assert len(sink.messages) == before + 1


def has_heard(client: Client) -> bool:
    """Tell whether something has come for a client."""
    client._socket.setblocking(False)
    try:
        return bool(client._socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client._socket.settimeout(60)


def test_places_of_an_address_and_of_the_service_are_so_many(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    limits = "sessions = 10\nsessions_per_address = 3\nstress_idle = 1"
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, limits)) as proxy,
        contextlib.ExitStack() as stack,
    ):
        port = proxy.ports["out"]
        for _ in range(3):
            stack.enter_context(Client(port))
        with Client(port) as refused:
            assert (refused.greeting.code, refused.greeting.status) == (421, "4.7.0")
        assert proxy.counter("sessions_refused") == 1
        assert proxy.counter("sessions_timed_out") == 0
        others = [stack.enter_context(begun(port, f"127.0.0.{n}")) for n in (2, 2, 3, 3, 4)]
        # Nearly full: those who say nothing go, and there is room again.
        eventually(lambda: proxy.counter("sessions_timed_out") == 3 + len(others))
        assert deliver(port, ALICE, (OUTSIDE,), MAIL).code == 250


def test_mail_beyond_the_memory_waits_and_the_rest_goes_on(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    big = MAIL + (b"x" * 78 + b"\r\n") * 10_000
    with (
        serving(tmp_path / "proxy", made.state, designed(sink, 'memory = "500kB"')) as proxy,
        Client(proxy.ports["out"]) as client,
    ):
        client.say("EHLO x")
        answer = client.say(f"MAIL FROM:<{ALICE}> SIZE={len(big)}")
        assert (answer.code, answer.status) == (452, "4.3.1")
        answer = client.transaction(ALICE, (OUTSIDE,), big)
        assert (answer.code, answer.status) == (452, "4.3.1")
        assert client.transaction(ALICE, (OUTSIDE,), MAIL).code == 250
        # More of it, while mail goes on.
        proxy.config.write_text(proxy.config.read_text().replace("500kB", "5MB"))
        os.kill(proxy.pid, signal.SIGHUP)
        eventually(lambda: proxy.counter("reloads") == 1)
        assert client.transaction(ALICE, (OUTSIDE,), big).code == 250


def test_one_login_has_so_many_sessions(tmp_path: Path, made: Made, sink: Sink) -> None:
    design = designed(sink, "sessions_per_login = 2", 'auth = "local"\ntrusted_networks = []')
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    with serving(tmp_path / "proxy", made.state, design) as proxy:
        proxy.done("account", "password", ALICE, "--password-file", password)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(proxy.ports["out"])) for _ in range(3)]
            answers = [log_in(client) for client in clients]
            assert [answer[0] for answer in answers] == [235, 235, 421]
            with pytest.raises(Lost):
                clients[2].answer()
            clients[0].say("QUIT")
            assert clients[0].is_over()
            again = stack.enter_context(Client(proxy.ports["out"]))
            assert log_in(again)[0] == 235
        assert proxy.counter("sessions_refused") == 1


def log_in(client: Client) -> tuple[int, str]:
    secret = b"\0" + ALICE.encode() + b"\0correct horse"
    client.say("EHLO x")
    answer = client.say(b"AUTH PLAIN " + b64encode(secret))
    return answer.code, answer.status


def test_a_service_that_is_late_puts_clients_off_and_says_so(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    """The least lag that can be set is exceeded by any machine."""
    with serving(tmp_path / "proxy", made.state, designed(sink, "lag = 0.0000001")) as proxy:
        client = Client(proxy.ports["out"])
        with client:
            assert client.say("EHLO x").code == 250

            def is_refused() -> bool:
                try:
                    with Client(proxy.ports["out"]) as other:
                        status = other.greeting.status
                        return (other.greeting.code, status) == (421, "4.3.2")
                except Lost:
                    return False

            eventually(is_refused, proxy.log)
            answer = client.say(f"MAIL FROM:<{ALICE}>")
            assert (answer.code, answer.status) == (451, "4.3.2")
            assert proxy.counter("put_off") == 1
            assert proxy.get("/readyz") == (200, "ok\n")
        assert proxy.counter("sessions_refused") > 0
