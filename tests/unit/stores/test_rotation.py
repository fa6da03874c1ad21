"""A new master key: all is wrapped anew or nothing, and whenever it stops the store opens."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from smime_proxy.certs.authority import Issuer
from smime_proxy.stores import accounts, authority, keys, master_key
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keyring import Opened
from smime_proxy.stores.open import open_store
from smime_proxy.stores.rotation import rotate
from smime_proxy.stores.snapshot import Snapshot
from smime_proxy.stores.vault import make_master_key, read_key
from smime_proxy.stores.watch import SnapshotSource
from tests import pki
from tests.pki import NOW

from .made import ALICE, account, bundle
from .rows import contents, fill

KILLED = 9
# Ends the process at the nth time it touches a file of the master key, or after the commit.
PROGRAM = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import event
from smime_proxy.stores.connection import Act
from smime_proxy.stores.keyring import Opened
from smime_proxy.stores.open import open_store
from smime_proxy.stores.rotation import rotate

state, stop = Path(sys.argv[1]), int(sys.argv[2])
seen = 0

def look(name, arguments):
    global seen
    touches = name in {"open", "os.rename", "os.link", "os.remove"}
    if touches and "master.key" in str(arguments[0]):
        step()

def step():
    global seen
    if seen == stop:
        os._exit(9)
    seen += 1

store = open_store("sqlite", state, None, migrate=False).store
event.listen(store.engine, "commit", lambda _: step())
sys.addaudithook(look)
rotate(store, Act("admin", datetime(2026, 6, 1, tzinfo=UTC)), state / "master.key")
"""


def reopened(store: Store) -> Store:
    return open_store("sqlite", store.path.parent, None, migrate=False).store


def key_file(store: Store) -> Path:
    return store.path.with_name("master.key")


def test_everything_opens_with_the_new_key_and_with_it_only(store: Store, act: Act) -> None:
    fill(store)
    before, old = contents(store), key_file(store).read_bytes()
    done = rotate(store, act, key_file(store))
    assert done.number == sum(len(before[name]) for name in ("key", "authority", "secret"))
    assert key_file(store).read_bytes() != old
    assert key_file(store).stat().st_mode & 0o777 == 0o600
    assert done.kept.read_bytes() == old
    assert list(master_key.successors(key_file(store))) == []
    after = contents(reopened(store))
    assert after["audit"].pop()["verb"] == "store rotate-master-key"
    assert after == before
    with pytest.raises(StoreError, match="does not open"):
        contents(store)


def test_the_new_key_can_be_given(store: Store, act: Act, tmp_path: Path) -> None:
    fill(store)
    make_master_key(tmp_path / "given")
    given = read_key(tmp_path / "given")
    rotate(store, act, key_file(store), given)
    assert key_file(store).read_bytes() == (tmp_path / "given").read_bytes()
    contents(reopened(store))
    with pytest.raises(StoreError, match="has already"):
        rotate(reopened(store), act, key_file(store), given)


def test_one_key_that_does_not_open_changes_nothing(store: Store, act: Act) -> None:
    fill(store)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE key SET wrapped = x'00' WHERE rowid = 1")
    old = key_file(store).read_bytes()
    with pytest.raises(StoreError, match="does not open"):
        rotate(store, act, key_file(store))
    assert key_file(store).read_bytes() == old
    reopened(store)


def test_a_place_that_cannot_be_written_changes_nothing(
    store: Store, act: Act, tmp_path: Path
) -> None:
    fill(store)
    before = contents(store)
    mounted = tmp_path / "mounted"
    mounted.symlink_to("/proc/self")
    (tmp_path / "elsewhere.key").write_bytes(key_file(store).read_bytes())
    with pytest.raises(StoreError, match="cannot be"):
        rotate(store, act, mounted / "master.key")
    assert contents(reopened(store)) == before


def test_stopped_at_any_moment_the_store_opens_and_all_keys_with_it(store: Store, act: Act) -> None:
    fill(store)
    before = contents(store)
    before.pop("audit")
    files = {path: path.read_bytes() for path in store.path.parent.iterdir()}
    steps = 0
    while True:
        for path in store.path.parent.iterdir():
            path.unlink()
        for path, raw in files.items():
            path.write_bytes(raw)
        command = [sys.executable, "-c", PROGRAM, str(store.path.parent), str(steps)]
        done = subprocess.run(command, check=False)
        opened = reopened(store)
        after = contents(opened)
        after.pop("audit")
        assert after == before, f"killed at step {steps}"
        # What was left behind does not stop the next one.
        rotate(opened, act, key_file(store))
        assert list(master_key.successors(key_file(store))) == []
        contents(reopened(store))
        if done.returncode != KILLED:
            assert done.returncode == 0
            break
        steps += 1
    assert steps >= 5  # reading, writing, committing, linking, renaming


def test_a_service_goes_on_and_takes_the_new_key(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    keys.import_key(store, act, ALICE, bundle(pki.person(None, "alice@example.com", kind="p256")))
    source = SnapshotSource(reopened(store))
    before = source.current
    rotate(store, act, key_file(store))
    alice = before.account(ALICE)
    assert alice is not None
    signer = before.signer(alice, before.keys(alice)[0], NOW)  # with what it has
    assert source.refresh()
    fresh = replace(source.current, keyring=replace(source.current.keyring, opened=Opened()))
    assert fresh.signer(alice, fresh.keys(alice)[0], NOW).certificate == signer.certificate
    assert not source.refresh()


def test_who_opened_the_store_before_wraps_with_the_new_key(store: Store, act: Act) -> None:
    early = reopened(store)
    rotate(store, act, key_file(store))
    accounts.add(early, act, account("alice@example.com"))
    keys.import_key(early, act, ALICE, bundle(pki.person(None, "alice@example.com", kind="p256")))
    root = pki.root("Own", label="authority").certificate
    authority.init(early, act, Issuer(root, pki.rsa_key("authority")))
    opened = reopened(store)
    assert authority.find(opened) is not None
    with opened.reading() as connection:
        snapshot = Snapshot.load(connection, opened.vault)
    alice = snapshot.account(ALICE)
    assert alice is not None
    snapshot.open_key(alice, snapshot.keys(alice)[0])


def test_two_at_once_follow_each_other(store: Store, act: Act) -> None:
    fill(store)
    before = contents(store)
    before.pop("audit")
    program = PROGRAM.replace("seen == stop", "False")
    command = [sys.executable, "-c", program, str(store.path.parent), "0"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    ended = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    after = contents(reopened(store))
    after.pop("audit")
    assert after == before
