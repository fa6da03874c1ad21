"""Transactions are counted, audited, whole, one at a time; errors are one line."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, select, text

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Act, Store, make_engine, one_line, revision, writer
from smime_proxy.stores.errors import StoreError
from tests.pki import NOW

TEAM = {"kind": "team", "enabled": True, "created_at": NOW}


def accounts(store: Store) -> int:
    with store.reading() as connection:
        return len(connection.execute(select(schema.account)).all())


def counted(store: Store) -> int:
    with store.reading() as connection:
        return revision(connection)


def add_team(connection: Connection) -> None:
    connection.execute(insert(schema.account).values(TEAM))


def test_a_recorded_change_is_counted_and_audited(store: Store, act: Act) -> None:
    before = counted(store)
    with store.writing(act) as writing:
        add_team(writing.connection)
        writing.record("account add", "team@example.com")
    with store.reading() as connection:
        audit = connection.execute(select(schema.audit)).one()
    assert counted(store) == before + 1
    assert accounts(store) == 1
    assert audit.at == NOW
    assert (audit.who, audit.verb, audit.what) == ("admin", "account add", "team@example.com")


def test_without_a_record_nothing_is_changed_or_counted(store: Store, act: Act) -> None:
    before = counted(store)
    with store.writing(act) as writing:
        add_team(writing.connection)
    assert (counted(store), accounts(store)) == (before, 0)


def test_what_raises_is_undone_with_its_record(store: Store, act: Act) -> None:
    before = counted(store)

    def fail() -> None:
        with store.writing(act) as writing:
            add_team(writing.connection)
            writing.record("account add", "team@example.com")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (counted(store), accounts(store)) == (before, 0)


def test_a_second_writer_waits_and_then_sees_what_the_first_did(store: Store, act: Act) -> None:
    seen: list[int] = []

    def second() -> None:
        with store.writing(act) as writing:
            seen.append(len(writing.connection.execute(select(schema.account)).all()))

    waiting = threading.Thread(target=second)
    with store.writing(act) as writing:
        waiting.start()
        waiting.join(0.2)
        assert seen == []
        add_team(writing.connection)
        writing.record("account add", "")
    waiting.join(10)
    assert seen == [1]


def test_many_writers_lose_no_change(store: Store, act: Act) -> None:
    before = counted(store)

    def write() -> None:
        for _ in range(5):
            with store.writing(act) as writing:
                add_team(writing.connection)
                writing.record("account add", "")

    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert (counted(store), accounts(store)) == (before + 20, 20)


def test_a_reader_keeps_its_view_while_another_writes(store: Store, act: Act) -> None:
    with store.reading() as connection:
        before = revision(connection)
        with store.writing(act) as writing:
            writing.record("test", "")
        assert revision(connection) == before
    assert counted(store) == before + 1


def test_a_store_is_durable_and_lets_readers_go_on(store: Store) -> None:
    with store.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_refused_change_is_one_line(store: Store, act: Act) -> None:
    orphan = insert(schema.account_login).values(account_id=5, login="a")

    def refused() -> None:
        with store.writing(act) as writing:
            writing.connection.execute(orphan)

    with pytest.raises(StoreError, match="refuses the change: FOREIGN KEY"):
        refused()


def test_a_locked_store_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    holder, other = make_engine(path), make_engine(path)
    event.listen(other, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout = 1"))

    def wait() -> None:
        with one_line(path), writer(other).begin():
            pass

    with writer(holder).begin(), pytest.raises(StoreError, match="another process holds it"):
        wait()
    wait()


@pytest.mark.parametrize("octets", [b"this is not a database" * 100, bytes(range(256)) * 20])
def test_a_file_that_is_no_database_is_one_line(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(octets)

    def read() -> None:
        with one_line(path), make_engine(path).begin() as connection:
            connection.execute(text("SELECT * FROM sqlite_master"))

    with pytest.raises(StoreError, match="not an SQLite database"):
        read()


def test_a_full_disk_is_one_line(store: Store, act: Act) -> None:
    def fill() -> None:
        with store.writing(act) as writing:
            writing.connection.execute(text("PRAGMA max_page_count = 1"))
            for _ in range(100):
                writing.record("test", "x" * 10_000)

    before = counted(store)
    with pytest.raises(StoreError, match="the disk is full"):
        fill()
    assert counted(store) == before


def test_what_is_noticed_is_not_audited_and_counted_only_when_it_says_so(store: Store) -> None:
    before = counted(store)
    for written, is_counted, kept in ((False, False, 0), (True, False, 1), (False, True, 2)):
        with store.noticing() as noticing:
            add_team(noticing.connection)
            noticing.written, noticing.counted = written, is_counted
        assert accounts(store) == kept
    assert counted(store) == before + 1
    with store.reading() as connection:
        assert connection.execute(select(schema.audit)).all() == []


def test_what_raises_while_noticing_is_undone(store: Store) -> None:
    def fail() -> None:
        with store.noticing() as noticing:
            add_team(noticing.connection)
            noticing.counted = True
            raise ValueError("interrupted")

    with pytest.raises(ValueError, match="interrupted"):
        fail()
    assert accounts(store) == 0
