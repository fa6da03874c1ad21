"""What one process decrypted all know when it settled, and the one that did at once."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from smime_proxy.gateway.ports import MemoryUnreadable
from smime_proxy.smime.decrypted_mark import MarkKeys
from smime_proxy.stores.connection import Store
from smime_proxy.stores.decrypted import KEPT, make_keys, remember
from smime_proxy.stores.decrypted_memory import SETTLE_SECONDS, DecryptedMemory, DecryptedNotes
from smime_proxy.stores.open import copy_store
from tests.pki import NOW
from tests.unit.stores.test_decrypted import days
from tests.unit.stores.test_notes import ended

ID = b"1@x.org"


def made(store: Store) -> DecryptedMemory:
    return DecryptedMemory(store, make_keys(store), DecryptedNotes(store))


async def until(known: DecryptedMemory, *identifiers: bytes) -> None:
    for _ in range(500):
        if known.knows(identifiers):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody told")


async def test_one_process_knows_at_once_and_the_others_soon(store: Store) -> None:
    here, there = made(store), made(store)
    writing = asyncio.create_task(here.write_always(0.05))
    here.remember([ID], NOW)
    assert here.knows([b"0@x", ID])
    assert not there.knows([ID])
    await until(there, ID)
    assert not there.knows([b"2@x.org"])
    assert here.knows([ID])
    await ended(writing)
    assert there.keys == here.keys


async def test_when_it_settled_every_process_knows_without_waiting(store: Store) -> None:
    here, there = made(store), made(store)
    writing = asyncio.create_task(here.write_always(3600))
    await asyncio.sleep(0)
    for number in range(3):
        identifiers = [b"%d@x" % number, b"%d@y" % number]
        here.remember(identifiers, NOW)
        await here.settle(identifiers)
        assert all(there.knows([one]) for one in identifiers)
    await here.settle([ID])  # nobody has to write it
    await ended(writing)


async def test_nobody_waits_for_what_is_not_or_cannot_be_written(store: Store) -> None:
    here = made(store)
    here.remember([ID], NOW)
    await here.settle([ID])  # nobody writes
    await DecryptedMemory(store, here.keys).settle([ID])
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE decrypted RENAME TO away"))
    writing = asyncio.create_task(here.write_always(3600))
    await asyncio.sleep(0)
    here.remember([b"2@x.org"], NOW)
    async with asyncio.timeout(SETTLE_SECONDS / 2):
        await here.settle([b"2@x.org"])  # it failed
        await here.settle([b"2@x.org"])  # and is known to fail
    await ended(writing)


async def test_it_is_known_without_a_gap_while_it_is_written(store: Store) -> None:
    """Between leaving those that wait and being in the store."""
    here = made(store)
    writing = asyncio.create_task(here.write_always(0.001))
    for number in range(30):
        identifier = b"%d@x" % number
        here.remember([identifier], NOW)
        for _ in range(20):
            assert here.knows([identifier])
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        assert here.knows([identifier])
    await ended(writing)


async def test_what_waits_at_the_end_is_written(store: Store) -> None:
    here = made(store)
    writing = asyncio.create_task(here.write_always())
    await asyncio.sleep(0)
    here.remember([ID], NOW)
    await ended(writing)
    for _ in range(100):
        if days(store):
            break
        await asyncio.sleep(0.01)
    assert len(days(store)) == 1


async def test_nothing_but_digests_and_days_is_written(store: Store) -> None:
    here = made(store)
    writing = asyncio.create_task(here.write_always(0.01))
    here.remember([b"canary@secret.example"], NOW)
    await until(made(store), b"canary@secret.example")
    await ended(writing)
    files = [path.read_bytes() for path in store.path.parent.glob("store.sqlite*")]
    assert not any(b"canary" in raw or b"secret.example" in raw for raw in files)
    (digest,) = days(store)
    assert digest == here.keys.digests([b"canary@secret.example"])[0]


async def test_what_is_too_old_is_forgotten_though_no_mail_comes(store: Store) -> None:
    remember(store, {bytes(16): NOW - 3 * KEPT})
    writing = asyncio.create_task(made(store).write_always(0.01))
    for _ in range(500):
        if not days(store):
            break
        await asyncio.sleep(0.01)
    assert days(store) == {}
    await ended(writing)


async def test_it_waits_while_the_store_cannot_be_written(store: Store) -> None:
    here = made(store)
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE decrypted RENAME TO away"))
    with capture_logs() as lines:
        writing = asyncio.create_task(here.write_always(0.01))
        here.remember([ID], NOW)
        await asyncio.sleep(0.1)
        assert here.knows([ID])
        with store.engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO decrypted"))
        await until(made(store), ID)
        await ended(writing)
    assert [one["event"] for one in lines].count("decrypted mail not written") == 1


def test_no_more_wait_than_there_is_room_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DecryptedNotes, "most", 2)
    here = made(store)
    with capture_logs() as lines:
        here.remember([b"1@x", b"2@x", b"3@x", b"4@x"], NOW)
    assert [here.knows([b"%d@x" % number]) for number in (1, 2, 3)] == [True, True, False]
    assert [one["event"] for one in lines] == ["decrypted mail forgotten"]


def test_a_memory_that_cannot_be_read_says_so_and_is_read_again(store: Store) -> None:
    here = made(store)
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE decrypted RENAME TO away"))
    with pytest.raises(MemoryUnreadable, match="cannot be used"):
        here.knows([ID])
    assert not here.knows([])
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO decrypted"))
    assert not here.knows([ID])


def test_a_store_put_back_from_a_backup_is_read_after_an_error(store: Store) -> None:
    here, copy = made(store), store.path.with_name("copy.sqlite")
    assert not here.knows([ID])
    remember(store, dict.fromkeys(here.keys.digests([ID]), NOW))
    copy_store(store.path, copy)
    with store.engine.begin() as connection:
        connection.execute(text("DROP TABLE decrypted"))
    with pytest.raises(MemoryUnreadable):
        here.knows([ID])
    for path in store.path.parent.glob("store.sqlite-*"):
        path.unlink()
    copy.replace(store.path)
    assert here.knows([ID])


def test_a_connection_that_is_lost_is_made_anew(store: Store) -> None:
    here = made(store)
    assert not here.knows([ID])
    assert here._connection is not None
    here._connection.close()
    with pytest.raises(MemoryUnreadable):
        here.knows([ID])
    assert not here.knows([ID])


def test_a_memory_that_only_reads_takes_no_note(store: Store) -> None:
    keys = make_keys(store)
    asking = DecryptedMemory(store, keys)
    asking.remember([ID], NOW)
    assert not asking.knows([ID])
    remember(store, dict.fromkeys(keys.digests([ID]), NOW))
    assert asking.knows([ID])
    assert not DecryptedMemory(store, MarkKeys.derive(bytes(32))).knows([ID])
    asking.close()
    assert asking.knows([ID])


def test_threads_ask_at_the_same_time_and_writers_hold_up_nobody(store: Store) -> None:
    here = made(store)
    remember(store, dict.fromkeys(here.keys.digests([ID]), NOW))
    found: list[bool] = []
    with store.noticing():  # the write lock is held meanwhile
        begun = time.monotonic()
        threads = [
            threading.Thread(target=lambda: found.extend(here.knows([ID]) for _ in range(20)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - begun < 5  # SQLite would wait ten seconds for a lock
    assert found == [True] * 80
