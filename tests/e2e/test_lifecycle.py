"""Keys come, go and are changed under a service that goes on, and people are told what ends."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from tests import pki
from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.fakes import mail
from tests.ports import HOST
from tests.sink import Sink, running

BOB = "bob@example.test"
ADMINISTRATOR = "postmaster@example.test"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


@pytest.fixture
def proxy(tmp_path: Path, made: Made, sink: Sink) -> Iterator[Proxy]:
    """Run two workers that tell an administrator what ends."""
    design = Design(
        {"sink": to_sink(sink.port)},
        {"out": Listener("outbound", "sink")},
        workers=2,
        more=f'[notify]\nadministrator = "{ADMINISTRATOR}"\nupstream = "sink"',
    )
    with serving(tmp_path / "proxy", made.state, design) as proxy:
        yield proxy


def is_signed(proxy: Proxy, sink: Sink, sender: str = ALICE) -> bool:
    """Send a mail and tell whether it left signed."""
    answer = deliver(proxy.ports["out"], sender, (OUTSIDE,), mail(sender, OUTSIDE))
    assert answer.code == 250, answer
    return classify(parse(sink.messages[-1].content)) is Protection.CLEAR_SIGNED


def test_a_new_master_key_is_taken_over_by_all_workers(
    proxy: Proxy, sink: Sink, tmp_path: Path
) -> None:
    assert is_signed(proxy, sink)
    proxy.done("store", "rotate-master-key")
    key = write_key(tmp_path, BOB, days=400)
    proxy.done("account", "add", BOB)
    proxy.done("account", "import-key", BOB, key)
    # Only with the new master key can bob's key be opened.
    eventually(lambda: all(is_signed(proxy, sink, BOB) for _ in range(8)), proxy.log)
    assert is_signed(proxy, sink)
    assert "store_unreadable" not in proxy.log()
    proxy.stop()
    proxy.start()
    assert is_signed(proxy, sink, BOB)


def test_a_restored_store_is_taken_over_by_all_workers(
    proxy: Proxy, sink: Sink, tmp_path: Path
) -> None:
    password, file = tmp_path / "password", tmp_path / "backup"
    password.write_text("correct horse\n")
    proxy.done("backup", file, "--password-file", password)
    proxy.done("account", "remove", ALICE, "--destroy-keys")
    eventually(lambda: not any(is_signed(proxy, sink) for _ in range(8)), proxy.log)
    proxy.done("restore", file, "--password-file", password, "--replace")
    eventually(lambda: all(is_signed(proxy, sink) for _ in range(8)), proxy.log)


def write_key(folder: Path, address: str, *, days: int) -> Path:
    """Write a key whose certificate ends in so many days from now on."""
    end = datetime.now(UTC) + timedelta(days=days)
    someone = pki.person(None, address, kind="p256", not_after=end)
    file = folder / f"{address}.{days}.pem"
    file.write_bytes(someone.pem() + someone.key_pem())
    return file


def test_what_ends_is_measured_warned_of_and_told_once(
    tmp_path: Path, made: Made, sink: Sink
) -> None:
    design = Design(
        {"sink": to_sink(sink.port)},
        {"out": Listener("outbound", "sink")},
        workers=2,
        more=f'[notify]\nadministrator = "{ADMINISTRATOR}"\nupstream = "sink"',
    )
    proxy = Proxy(tmp_path / "ending", design)
    shutil.copytree(made.state, proxy.state)
    proxy.done("account", "add", BOB)
    proxy.done("account", "import-key", BOB, write_key(tmp_path, BOB, days=10))
    try:
        proxy.start()
        told = [f"To: <{ADMINISTRATOR}>\r\n".encode()]

        def is_told() -> bool:
            return any(all(word in one.content for word in told) for one in sink.messages)

        eventually(is_told, proxy.log)
        eventually(lambda: 'expiry_seconds{use="signing"}' in proxy.get("/metrics")[1], proxy.log)
        (line,) = [
            line
            for line in proxy.get("/metrics")[1].splitlines()
            if line.startswith('smime_proxy_expiry_seconds{use="signing"}')
        ]
        assert 9 * 86400 < float(line.rpartition(" ")[2]) < 10 * 86400
        proxy.stop()
        proxy.start()
        eventually(lambda: 'expiry_seconds{use="signing"}' in proxy.get("/metrics")[1], proxy.log)
        proxy.stop()
    finally:
        proxy.end()
    assert len(sink.messages) == 1
    (content,) = (one.content for one in sink.messages)
    assert b"Auto-Submitted: auto-generated" in content
    assert b"2 keys or certificates end" in content
    assert proxy.log().count("use=signing") == 1
    assert HOST not in content.decode()
