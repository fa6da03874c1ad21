"""Disks that are full: mail goes on, or is refused before anything of it was sent.

Rows R15 and R16, as far as there is something to write; invariants I1, I4, I20.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import deliver
from tests.e2e.conftest import PARTNER
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.faults.driver import connect, offer
from tests.faults.journal import Journal, Word, check
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import OPENERS, Role, State, Way
from tests.peers import require

pytestmark = pytest.mark.e2e

WAYS = tuple(Way(role, copies) for role in (Role.SUBMISSION, Role.MX) for copies in (1, 2))
LETTERS = 20
FILE_OCTETS = 65_536  # less than the store has, enough to start


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Sinks]:
    with sinks(tmp_path / "sinks", 1) as made:
        yield made


def designed(running: Sinks) -> Design:
    mx = 'domains = ["example.test"]\nreports = "sink"'
    listeners = {"out": Listener("outbound", "sink"), "mx": Listener("inbound", "sink", mx)}
    return Design({"sink": to_sink(running.lanes[0].port)}, listeners)


def send_all(
    proxy: Proxy, state: State, journal: Journal, count: int, first: int = 0, *, space: bool = True
) -> None:
    """Send mail of every kind; each must be accepted.

    Without `space` what goes in several copies may be refused for now: the ledger needs some (R15).
    """
    for number in range(first, first + count):
        way = WAYS[number % len(WAYS)]
        letter = way.letter(f"{number}-{way}@client.example", state)
        with connect(proxy.ports["mx" if way.role is Role.MX else "out"]) as client:
            offer(client, journal, letter, letter.recipients)
        for one in letter.recipients:
            words = [Word.ACK] if space or way.copies == 1 else [Word.ACK, Word.NACK]
            said = sum(journal.said[word][letter.identifier, one] for word in words)
            assert said == 1, proxy.log()[-2000:]


def test_a_log_that_cannot_be_written_costs_no_mail_and_doubles_none(
    tmp_path: Path, state: State, running: Sinks
) -> None:
    journal = Journal(tmp_path / "journal")
    wrapper = ("sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh")
    with serving(tmp_path / "proxy", state.folder, designed(running), wrapper) as proxy:
        send_all(proxy, state, journal, LETTERS)
        assert proxy.stop() == 0
    assert check(journal, running.accepted(0), windows=0).duplicates == 0


def test_a_reader_of_the_log_that_has_ended_costs_no_mail(
    tmp_path: Path, state: State, running: Sinks
) -> None:
    journal = Journal(tmp_path / "journal")
    wrapper = ("bash", "-c", 'exec "$@" > >(head -c 1 >/dev/null) 2>&1', "bash")
    with serving(tmp_path / "proxy", state.folder, designed(running), wrapper) as proxy:
        send_all(proxy, state, journal, LETTERS)
    assert check(journal, running.accepted(0), windows=0).duplicates == 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    line = ("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder)
    if subprocess.run(line, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(("umount", "--lazy", folder), check=True)


def signed(state: State, number: int) -> bytes:
    """Write a partner's signed mail, from which the service learns what he can read."""
    files = state.folder.parent
    signer = ("-signer", files / "partner.pem", "-inkey", files / "partner.key")
    line = (require("openssl"), "cms", "-sign", *signer, "-md", "sha256")
    made = subprocess.run(
        line,
        input=f"Content-Type: text/plain\r\n\r\nNumber {number}\r\n".encode(),
        capture_output=True,
        check=True,
    )
    head = f"From: {PARTNER}\r\nTo: {OPENERS[0]}\r\nMessage-ID: <signed-{number}@x.example>\r\n"
    return head.encode() + made.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def fill(folder: Path) -> Path:
    """Leave not one octet of a file system."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


def test_r16_a_full_state_directory_loses_no_mail_and_mends_itself(
    tmp_path: Path, state: State, running: Sinks, small: Path
) -> None:
    """I20: what is noted behind the mail is lost, and nothing else."""
    journal = Journal(tmp_path / "journal")
    proxy = Proxy(small / "proxy", designed(running))
    shutil.copytree(state.folder, proxy.state)
    try:
        proxy.start()
        send_all(proxy, state, journal, 4)
        filler = fill(small)
        for number in range(4):
            answer = deliver(proxy.ports["mx"], PARTNER, OPENERS[:1], signed(state, number))
            assert answer.code == 250, proxy.log()
        send_all(proxy, state, journal, LETTERS, first=4, space=False)
        assert shutil.disk_usage(small).free == 0
        filler.unlink()
        send_all(proxy, state, journal, 4, first=2 * LETTERS)
        assert proxy.stop() == 0
        proxy.start()
        assert proxy.stop() == 0
    finally:
        proxy.end()
    taken = [one for one in running.accepted(0) if b"<signed-" not in one.wire]
    assert len(running.accepted(0)) == len(taken) + 4
    assert check(journal, taken, windows=0).duplicates == 0


def test_files_that_may_not_grow_lose_no_mail(tmp_path: Path, state: State, running: Sinks) -> None:
    """RLIMIT_FSIZE: each write behind the limit fails, in the store and in the log."""
    journal = Journal(tmp_path / "journal")
    wrapper = ("prlimit", f"--fsize={FILE_OCTETS}")
    with serving(tmp_path / "proxy", state.folder, designed(running), wrapper) as proxy:
        for number in range(4):
            answer = deliver(proxy.ports["mx"], PARTNER, OPENERS[:1], signed(state, number))
            assert answer.code == 250, proxy.log()
        send_all(proxy, state, journal, LETTERS, space=False)
        assert proxy.stop() == 0
        assert proxy.log_file.stat().st_size <= FILE_OCTETS
    taken = [one for one in running.accepted(0) if b"<signed-" not in one.wire]
    assert check(journal, taken, windows=0).duplicates == 0
