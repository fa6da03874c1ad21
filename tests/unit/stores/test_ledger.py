"""Entries are durable, told to everybody who asks, and theirs alone while they are being sent."""

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from smime_proxy.gateway.ports import NOTHING_KNOWN, Known, LedgerError
from smime_proxy.stores.ledger import LEASE_SECONDS, LEDGER_FILE, TTL, Ledger

KEY = bytes(range(32))
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32

CLAIM_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from smime_proxy.stores.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), bytes(32))
async def work():
    await ledger.claim([b"a" * 32, b"b" * 32])
    await ledger.accept([b"a" * 32])
asyncio.run(work())
os.kill(os.getpid(), signal.SIGKILL)
"""


class Clocks:
    """Uptime and time of day, both set by hand."""

    def __init__(self) -> None:
        self.uptime = 1000.0
        self.now = 1_800_000_000.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def make(folder: Path, clocks: Clocks) -> Ledger:
    return Ledger(folder, KEY, lambda: clocks.uptime, lambda: clocks.now)


@pytest.fixture
def ledger(tmp_path: Path, clocks: Clocks) -> Iterator[Ledger]:
    made = make(tmp_path, clocks)
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path, clocks: Clocks) -> Iterator[Ledger]:
    """Another process's."""
    made = make(tmp_path, clocks)
    yield made
    made.close()


async def test_what_was_accepted_is_served_and_the_rest_is_claimed(ledger: Ledger) -> None:
    assert await ledger.claim([A, B]) == NOTHING_KNOWN
    await ledger.accept([A])
    await ledger.forget([B])
    assert await ledger.look([A, B]) == Known(frozenset({A}))
    assert await ledger.claim([A, B]) == Known(frozenset({A}))
    assert (await ledger.look([B])).busy


async def test_r18_what_somebody_is_sending_is_left_alone(ledger: Ledger, other: Ledger) -> None:
    """R18: by another process, and by this one."""
    await ledger.claim([A, B])
    for asked in (other, ledger):
        assert (await asked.claim([B, C])).busy
        assert (await asked.look([A])).busy
    assert await other.look([C]) == NOTHING_KNOWN  # who is refused has claimed nothing
    await ledger.forget([A, B])
    assert await other.claim([A, B]) == NOTHING_KNOWN


async def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    """R18, I11: at once, and what was accepted stays so."""
    line = [sys.executable, "-c", CLAIM_AND_DIE, str(tmp_path)]
    done = await asyncio.to_thread(lambda: subprocess.run(line, check=False, timeout=60))
    assert done.returncode == -9
    ledger = Ledger(tmp_path, KEY)  # by the clock the lease would go on
    assert await ledger.claim([A, B]) == Known(frozenset({A}), doubtful=1)
    ledger.close()


async def test_r26_a_lease_ends_by_uptime_and_not_by_the_time_of_day(
    ledger: Ledger, other: Ledger, clocks: Clocks
) -> None:
    """R26: an hour forth, an hour back, ten years."""
    await ledger.claim([A])
    for step in (3600, -7200, 10 * 365 * 86400):
        clocks.now += step
        assert (await other.look([A])).busy
    clocks.uptime += LEASE_SECONDS - 1
    assert (await other.look([A])).busy
    clocks.uptime += 1
    assert await other.look([A]) == Known(doubtful=1)


async def test_r26_a_lease_longer_than_any_is_not_believed(
    ledger: Ledger, other: Ledger, clocks: Clocks
) -> None:
    """R26: the uptime of another boot."""
    clocks.uptime += 1_000_000
    await ledger.claim([A])
    clocks.uptime -= 1_000_000
    assert await other.look([A]) == Known(doubtful=1)


async def test_entries_are_forgotten_when_no_client_tries_any_more(
    ledger: Ledger, clocks: Clocks
) -> None:
    await ledger.accept([A])
    clocks.now += TTL.total_seconds() - 10
    await ledger.accept([B])
    chore = asyncio.create_task(ledger.purge_always(0.01))
    await asyncio.sleep(0.1)
    assert (await ledger.look([A, B])).served == {A, B}
    clocks.now += 20
    await asyncio.sleep(0.1)
    assert (await ledger.look([A, B])).served == {B}
    clocks.now -= 3 * TTL.total_seconds()
    await asyncio.sleep(0.1)
    assert await ledger.look([A, B]) == NOTHING_KNOWN
    chore.cancel()


async def test_an_empty_ledger_need_not_be_read(ledger: Ledger, other: Ledger) -> None:
    assert not ledger.is_empty()  # nobody has looked
    await ledger.look([A])
    await asyncio.sleep(0.1)
    await ledger.look([A])
    assert ledger.is_empty()
    await other.accept([A])
    assert not ledger.is_empty()
    assert (await ledger.look([A])).served == {A}
    await asyncio.sleep(0.1)
    await ledger.look([B])
    assert not ledger.is_empty()
    await other.forget([A])
    await ledger.look([A])
    assert not ledger.is_empty()  # a change a moment later would have the same time
    await asyncio.sleep(0.1)
    await ledger.look([A])
    assert ledger.is_empty()


def seen_by_others(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Give what is in each file, and who else may read it."""
    for path in folder.iterdir():
        yield path.read_bytes(), path.stat().st_mode & 0o077


async def test_names_tell_apart_and_are_secret(ledger: Ledger, tmp_path: Path) -> None:
    names = {
        ledger.name(b"out", b"a@x.org", b"b@y.org"),
        ledger.name(b"out", b"a@x.orgb", b"@y.org"),
        ledger.name(b"out", b"a@x.org"),
        Ledger(tmp_path, bytes(32)).name(b"out", b"a@x.org", b"b@y.org"),
    }
    assert len(names) == 4
    assert {len(name) for name in names} == {32}
    address = b"somebody@example.org"
    await ledger.claim([ledger.name(b"out", address)])
    await ledger.accept([ledger.name(b"out", address)])
    for raw, mode in seen_by_others(tmp_path):
        assert b"somebody" not in raw
        assert mode == 0


async def test_what_was_promised_is_on_the_disk(ledger: Ledger, tmp_path: Path) -> None:
    """I20: with synchronous FULL a commit syncs the log; a copy made now has it."""
    await ledger.claim([A])
    await ledger.accept([A])
    assert ledger._connection is not None
    mode = await asyncio.to_thread(
        lambda: ledger._connection and ledger._connection.execute("PRAGMA synchronous").fetchone()
    )
    assert mode == (2,)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (LEDGER_FILE, f"{LEDGER_FILE}-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    with closing(sqlite3.connect(copy / LEDGER_FILE)) as connection:
        assert connection.execute("SELECT name, state FROM entry").fetchall() == [(A, 1)]


async def test_a_ledger_that_cannot_be_written_says_so_and_recovers(
    ledger: Ledger, tmp_path: Path
) -> None:
    """R15: no space."""
    await ledger.accept([A])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = (tmp_path / f"{LEDGER_FILE}-wal").stat().st_size
    before = ledger._connection
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))
    try:
        with pytest.raises(LedgerError):
            await ledger.claim([number.to_bytes(32, "big") for number in range(1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (await ledger.claim([A, B])).served == {A}
    assert ledger._connection is not before


async def test_a_ledger_that_cannot_be_had_is_tried_again(tmp_path: Path, clocks: Clocks) -> None:
    ledger = make(tmp_path / "absent", clocks)
    for _ in range(2):
        with pytest.raises(LedgerError, match="No such file"):
            await ledger.look([A])
    (tmp_path / "absent").mkdir()
    assert await ledger.claim([A]) == NOTHING_KNOWN
    ledger.close()


async def test_a_damaged_ledger_is_an_error_and_no_crash(tmp_path: Path, clocks: Clocks) -> None:
    (tmp_path / LEDGER_FILE).write_bytes(os.urandom(8192))
    ledger = make(tmp_path, clocks)
    with pytest.raises(LedgerError, match="not a database"):
        await ledger.claim([A])
    ledger.close()


async def test_a_lock_held_for_long_is_an_error_in_seconds(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smime_proxy.stores.ledger.PATIENCE_SECONDS", 0.2)
    await ledger.look([A])
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(LedgerError, match="does not answer"):
            await ledger.claim([A])
        assert time.monotonic() - started < 3
        connection.execute("ROLLBACK")
    monkeypatch.undo()
    # What came about behind the back of who gave it up is nobody's.
    assert await ledger.claim([A]) == NOTHING_KNOWN
    assert (await ledger.claim([A])).busy


async def test_a_claim_that_is_given_up_takes_nothing_from_others(
    ledger: Ledger, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.claim([A, B])
    clocks.uptime += 0.001
    await ledger.accept([B])
    slow = ledger._claim

    def slowly(names: Sequence[bytes], lease: float) -> Known:
        time.sleep(0.3)
        return slow(names, lease)

    monkeypatch.setattr(ledger, "_claim", slowly)
    monkeypatch.setattr("smime_proxy.stores.ledger.PATIENCE_SECONDS", 0.1)
    with pytest.raises(LedgerError):
        await ledger.claim([A, B])
    monkeypatch.undo()
    assert await ledger.look([A, B]) == Known(frozenset({B}), busy=True)


async def test_a_look_that_takes_long_makes_nothing_settled(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I4: a change while it looked may have the time of the one just before."""
    known = ledger._known

    def slow(connection: sqlite3.Connection, names: Sequence[bytes]) -> Known:
        time.sleep(0.1)
        return known(connection, names)

    await ledger.accept([A])
    await ledger.forget([A])
    monkeypatch.setattr(ledger, "_known", slow)
    await ledger.look([B])
    assert not ledger.is_empty()
    await ledger.look([B])
    assert ledger.is_empty()
