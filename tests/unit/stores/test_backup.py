"""A backup holds every row of every table, and a restore is all or nothing."""

import io
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from smime_proxy.certs.selection import choose_signing
from smime_proxy.stores import accounts, keys, partners, schema
from smime_proxy.stores.backup import backup, certificate_columns, restore
from smime_proxy.stores.backup_rows import tables
from smime_proxy.stores.connection import Act, Store, revision
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import open_store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.house.source import ROOT
from tests.pki import NOW

from .made import ALICE, account, bundle
from .rows import ROWS, certificate_like, contents, fill, moments

PASSWORD = b"correct horse"
FAST = 2


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Make an empty store on another machine, with another master key."""
    return open_store("sqlite", tmp_path / "other", None, migrate=False).store


def made(store: Store) -> bytes:
    out = io.BytesIO()
    backup(store, out, PASSWORD, NOW, n=FAST)
    return out.getvalue()


def put(
    store: Store, act: Act, raw: bytes, password: bytes = PASSWORD, **more: bool
) -> Path | None:
    return restore(store, act, io.BytesIO(raw), password, **more)


def test_the_test_store_has_rows_in_every_table(store: Store) -> None:
    fill(store)
    found = contents(store)
    assert set(found) == set(schema.metadata.tables) - {"state"}
    assert [name for name, rows in found.items() if not rows] == []
    assert len(moments(found)) > ROWS


def test_every_row_of_every_table_comes_back_under_another_master_key(
    store: Store, other: Store, act: Act
) -> None:
    fill(store)
    assert put(other, act, made(store)) is None
    before, after = contents(store), contents(other)
    assert after["audit"].pop()["verb"] == "restore"
    assert after == before
    with store.reading() as mine, other.reading() as its:
        rows = [connection.execute(select(schema.key)).all() for connection in (mine, its)]
    assert {row.wrapped for row in rows[0]}.isdisjoint(row.wrapped for row in rows[1])


def test_no_private_key_lies_in_the_file(store: Store) -> None:
    fill(store)
    assert b"key of" not in made(store)


def test_restored_keys_sign_and_decrypt(store: Store, other: Store, act: Act) -> None:
    someone = pki.person(None, "alice@example.com", kind="rsa")
    told = replace(account("alice@example.com"), refusal_text="Bitte für später.")
    accounts.add(store, act, told)
    keys.import_key(store, act, ALICE, bundle(someone))
    put(other, act, made(store))
    with other.reading() as connection:
        snapshot = Snapshot.load(connection, other.vault)
    alice = snapshot.account(ALICE)
    assert alice is not None
    entry = choose_signing(snapshot.keys(alice), ALICE, NOW).chosen
    assert entry is not None
    assert snapshot.signer(alice, entry, NOW).certificate == someone.der
    assert len(snapshot.decryption_keys(alice)) == 1
    assert accounts.find(other, ALICE).account.refusal_text == "Bitte für später."


def test_a_store_that_is_not_empty_is_refused(store: Store, other: Store, act: Act) -> None:
    accounts.add(other, act, account("bob@example.com"))
    before = contents(other)
    with pytest.raises(StoreError, match="is not empty: --replace"):
        put(other, act, made(store))
    assert contents(other) == before


def test_with_replace_it_is_copied_beside_first(store: Store, other: Store, act: Act) -> None:
    fill(store)
    accounts.add(other, act, account("bob@example.com"))
    before = contents(other)
    copy = put(other, act, made(store), replace=True)
    assert copy is not None
    assert copy.name == "store.sqlite.before-restore-20260601T120000"
    assert copy.stat().st_mode & 0o777 == 0o600
    kept = copy.parent.parent / "kept"
    kept.mkdir()
    (kept / "store.sqlite").write_bytes(copy.read_bytes())
    (kept / "master.key").write_bytes((copy.parent / "master.key").read_bytes())
    opened = open_store("sqlite", kept, None, migrate=False).store
    assert contents(opened) == before
    assert len(contents(other)["account"]) == ROWS


def test_a_wrong_password_and_a_damaged_file_change_nothing(
    store: Store, other: Store, act: Act
) -> None:
    fill(store)
    accounts.add(other, act, account("bob@example.com"))
    raw, before = made(store), contents(other)
    damaged = bytearray(raw)
    damaged[len(raw) // 2] ^= 1
    for bad, password in ((raw, b"wrong"), (bytes(damaged), PASSWORD), (raw[:-9], PASSWORD)):
        with pytest.raises(StoreError):
            put(other, act, bad, password, replace=True)
    assert contents(other) == before
    assert [path.name for path in other.path.parent.glob("*before*")] == []


def test_a_restore_that_fails_half_way_changes_nothing(
    store: Store, other: Store, act: Act
) -> None:
    """Rows that contradict each other: here a login of an account that is not there."""
    fill(store)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("INSERT INTO account_login (account_id, login) VALUES (999, 'nobody')")
        connection.commit()
    with pytest.raises(StoreError, match="refuses the change"):
        put(other, act, made(store))
    assert not any(contents(other).values())


def test_an_empty_password_is_refused(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="needs a password"):
        backup(store, io.BytesIO(), b"", NOW)
    with pytest.raises(StoreError, match="needs a password"):
        put(store, act, made(store), b"")


def test_a_key_that_does_not_open_is_not_left_out_silently(store: Store) -> None:
    fill(store)
    with store.engine.begin() as connection:
        connection.execute(update(schema.key).values(wrapped=b"damaged"))
    with pytest.raises(StoreError, match="does not open"):
        made(store)


def test_a_process_that_goes_on_sees_the_restored_certificates(
    store: Store, other: Store, act: Act
) -> None:
    """It knows certificates by their ids, so no id may come to mean another one."""
    for target, address in ((store, "a@example.org"), (other, "b@example.org")):
        someone = pki.person(None, address, kind="p256")
        partners.import_certificate(target, act, [someone.certificate], pinned=True)
    with other.reading() as connection:
        before = Snapshot.load(connection, other.vault)
    (mailbox,) = before.partner_mailboxes()
    assert before.partner_certificates(mailbox)
    put(other, act, made(store), replace=True)
    with other.reading() as connection:
        assert revision(connection) > before.revision
        after = Snapshot.load(connection, other.vault, before)
    (restored,) = after.partner_mailboxes()
    (known,) = after.partner_certificates(restored)
    assert known.certificate.carries(restored)


def test_every_column_that_holds_the_id_of_a_certificate_is_known() -> None:
    for table in tables():
        assert set(certificate_like(table)) <= set(certificate_columns(table)), table.name
    assert certificate_columns(schema.partner_address) == ["certificate_id"]
    assert certificate_columns(schema.account) == []


def test_a_backup_is_one_moment_while_others_write(store: Store, other: Store, act: Act) -> None:
    """Each transaction adds an account with its address: no backup has one without the other."""
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            accounts.add(store, act, account(f"someone{number}@example.com"))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            put(other, act, made(store), replace=True)
            found = contents(other)
            assert len(found["account"]) == len(found["account_address"]) == len(found["audit"]) - 1
    finally:
        done.set()
        writer.join()


def test_the_documented_program_opens_a_backup(store: Store, tmp_path: Path) -> None:
    fill(store)
    raw = made(store)
    text = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name, content in (("open.py", program.encode()), ("backup", raw), ("password", PASSWORD)):
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "open.py", "backup", "password"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[-1] == '{"end":true}'
    assert sum(line.startswith("[") for line in lines) == sum(map(len, contents(store).values()))
