"""The service as processes: it drains, survives its workers, notices the store, tells its state.

Rows R14, invariants I17, I18; "Commands" and "Settings" of the outside.
"""

import os
import shutil
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from tests.e2e.canary import files, leaks
from tests.e2e.client import Client, Lost, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, House, Made, command
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, serving, to_sink
from tests.faults.driver import Sender
from tests.faults.journal import Journal, Word, check
from tests.faults.letters import Shared, letters
from tests.ports import HOST, free_ports
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

GRACE_SECONDS = 30  # what the service gives sessions at its end
NOTICE_SECONDS = 5  # two are promised; the rest is the machine's
GONE_SECONDS = 2  # workers outlive the first process by no more


def note(sender: str, text: str = "Hello") -> bytes:
    """Write a small mail to the outside."""
    head = f"From: {sender}\r\nTo: {OUTSIDE}\r\nMessage-ID: <{time.time_ns()}@client.example>"
    return f"{head}\r\n\r\n{text}\r\n".encode()


def designed(sink: Sink, workers: int) -> Design:
    return Design({"sink": to_sink(sink.port)}, {"out": Listener("outbound", "sink")}, workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_r14_sigterm_under_load_loses_nothing_and_doubles_nothing(
    tmp_path: Path, made: Made, workers: int
) -> None:
    """Invariant I18."""
    journal = Journal(tmp_path / "journal")
    with (
        running(Sink()) as sink,
        serving(tmp_path / "proxy", made.state, designed(sink, workers), installed=True) as proxy,
    ):
        source = Shared(letters())
        senders = [Sender(proxy.ports["out"], journal, source) for _ in range(4)]
        eventually(lambda: len(sink.messages) > 30)
        started = time.monotonic()
        assert proxy.stop() == 0, proxy.log()
        assert time.monotonic() - started < GRACE_SECONDS
        for sender in senders:
            sender.give_up()
            sender.join(60)
        assert "Traceback" not in proxy.log()
    assert len(journal.said[Word.ACK]) > 10
    assert journal.said[Word.UNKNOWN].total() == 0
    check(journal, sink.messages, windows=0)


def test_r14_a_drain_lets_a_transaction_finish_and_takes_no_new_one(
    tmp_path: Path, made: Made
) -> None:
    with (
        running(Sink()) as sink,
        serving(tmp_path / "proxy", made.state, designed(sink, 1), installed=True) as proxy,
        Client(proxy.ports["out"]) as busy,
        Client(proxy.ports["out"]) as idle,
    ):
        for line in ("EHLO busy.example", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>"):
            assert busy.say(line).code == 250
        assert busy.say("DATA").code == 354
        assert proxy.process is not None
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: proxy.get("/readyz") == (503, "shutting down\n"))
        assert idle.answer().code == 421
        assert is_turned_away(proxy.ports["out"])
        assert busy.content(note(ALICE)).code == 250
        assert proxy.process.wait(GRACE_SECONDS) == 0
        assert len(sink.messages) == 1


def is_turned_away(port: int) -> bool:
    """Tell whether a new client gets no service."""
    try:
        with Client(port) as client:
            return client.greeting.code == 421
    except (Lost, OSError):
        return True


def test_a_second_service_on_the_same_state_or_port_says_so_in_one_line(
    house: House, tmp_path: Path, made: Made
) -> None:
    result = house.proxy.command("serve")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert str(house.proxy.state) in result.stderr

    other = Proxy(tmp_path / "other", designed(house.sink, 2))
    shutil.copytree(made.state, other.state)
    other.ports["out"] = house.port("out")
    other.config.write_text(other.design.toml(other.state, other.ports))
    result = other.command("serve")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert f"{HOST}:{house.port('out')}" in result.stderr
    assert deliver(house.port("out"), ALICE, (OUTSIDE,), note(ALICE)).code == 250


def test_workers_are_replaced_and_end_with_the_first_process(tmp_path: Path, made: Made) -> None:
    with (
        running(Sink()) as sink,
        serving(tmp_path / "proxy", made.state, designed(sink, 2), installed=True) as proxy,
    ):
        before = set(proxy.children())
        assert len(before) == 3  # two that take mail, one that shows the status
        for victim in before:
            os.kill(victim, signal.SIGKILL)
            eventually(partial(is_gone, victim))
            assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), note(ALICE)).code == 250
        eventually(lambda: len(set(proxy.children()) - before) == 3)
        eventually(proxy.is_up)
        children = proxy.children()
        proxy.kill()
        killed = time.monotonic()
        eventually(lambda: not any(map(is_alive, children)))
        assert time.monotonic() - killed < GONE_SECONDS


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def test_changes_of_the_store_by_commands_are_noticed(house: House) -> None:
    carol = "carol@example.test"

    def is_signed() -> bool:
        assert deliver(house.port("out"), carol, (OUTSIDE,), note(carol)).code == 250
        return b"multipart/signed" in house.sink.messages[-1].content

    assert not is_signed()
    house.proxy.done("account", "add", carol)
    house.proxy.done("ca", "issue", carol)
    changed = time.monotonic()
    eventually(is_signed)
    assert time.monotonic() - changed < NOTICE_SECONDS
    house.proxy.done("account", "disable", carol)
    changed = time.monotonic()
    eventually(lambda: not is_signed())
    assert time.monotonic() - changed < NOTICE_SECONDS


def test_probes_and_metrics_tell_the_state(house: House) -> None:
    assert house.proxy.get("/livez") == (200, "ok\n")
    assert house.proxy.get("/readyz") == (200, "ok\n")
    assert house.proxy.get("/")[0] == 404
    before = house.proxy.counter("deliveries")
    assert deliver(house.port("out"), ALICE, (OUTSIDE,), note(ALICE)).code == 250
    assert house.proxy.counter("deliveries") == before + 1
    code, text = house.proxy.get("/metrics")
    assert code == 200
    assert "\nsmime_proxy_ready 1.0\n" in text
    assert "@" not in text
    assert house.proxy.command("healthcheck").returncode == 0
    with socket.create_connection((HOST, house.proxy.ports["status"])) as odd:
        odd.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert odd.recv(100).startswith(b"HTTP/1.1 405 ")


def test_a_service_that_is_not_there_is_not_healthy(tmp_path: Path, made: Made) -> None:
    proxy = Proxy(tmp_path / "proxy", designed(Sink(port=free_ports(1)[0]), 1))
    result = proxy.command("healthcheck")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1


def test_no_password_and_no_private_key_is_in_log_or_state(
    house: House, made: Made, tmp_path: Path
) -> None:
    """Invariant I17: a key that came with a password serves, and neither is to be found."""
    password = b"canary-of-a-key-file"
    dora = "dora@example.test"
    key_file = tmp_path / "dora.key"
    certificate = command(house.proxy, "ca", "issue", dora, "--out", str(key_file))
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    bundle = pkcs12.serialize_key_and_certificates(
        b"dora",
        key,
        x509.load_pem_x509_certificate(certificate.encode()),
        None,
        BestAvailableEncryption(password),
    )
    (tmp_path / "dora.p12").write_bytes(bundle)
    (tmp_path / "right").write_bytes(password + b"\n")
    (tmp_path / "wrong").write_bytes(b"not " + password + b"\n")
    command(house.proxy, "account", "add", dora)
    line = ("account", "import-key", dora, tmp_path / "dora.p12", "--password-file")
    refused = house.proxy.command(*line, tmp_path / "wrong")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    said = [refused.stderr, house.proxy.done(*line, tmp_path / "right")]

    def is_signed() -> bool:
        assert deliver(house.port("out"), dora, (OUTSIDE,), note(dora)).code == 250
        return b"multipart/signed" in house.sink.messages[-1].content

    eventually(is_signed)
    numbers = key.private_numbers()
    secrets = [
        password,
        b"canary-of-the-upstream",
        numbers.d.to_bytes(key.key_size // 8, "big"),
        numbers.p.to_bytes(key.key_size // 16, "big"),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-64:],
    ]
    shown = house.proxy.get("/metrics")[1]
    places = [*files(house.proxy.state), *(text.encode() for text in said), shown.encode()]
    places.append(house.proxy.log().encode())
    places.append(Path(f"/proc/{house.proxy.pid}/cmdline").read_bytes())
    places.append(Path(f"/proc/{house.proxy.pid}/environ").read_bytes())
    for secret in secrets:
        assert leaks(secret, places) == []
