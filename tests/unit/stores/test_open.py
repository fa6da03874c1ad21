"""A store is made once, migrated with a copy, and never opened with the wrong master key."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import Opened, Schema, open_store
from smime_proxy.stores.schema import SCHEMA_VERSION
from smime_proxy.stores.vault import make_master_key

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def opened(state_dir: Path, key: Path | None = None, *, migrate: bool = False) -> Opened:
    return open_store("sqlite", state_dir, key, migrate=migrate)


def set_version(state_dir: Path, version: str) -> None:
    with closing(sqlite3.connect(state_dir / "store.sqlite")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
        connection.commit()


def test_an_empty_store_gets_a_master_key_and_one_warning_line(state_dir: Path) -> None:
    warning = opened(state_dir).notice
    assert str(state_dir / "master.key") in warning
    assert "another backup" in warning
    assert "\n" not in warning


def test_opening_again_warns_no_more_and_keeps_the_key(state_dir: Path) -> None:
    opened(state_dir)
    key = (state_dir / "master.key").read_bytes()
    assert opened(state_dir).notice == ""
    assert (state_dir / "master.key").read_bytes() == key


def test_everything_in_the_state_directory_is_the_owners_only(state_dir: Path) -> None:
    store = opened(state_dir).store
    with store.reading():
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in state_dir.iterdir()}
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert {"store.sqlite", "store.sqlite-wal", "master.key"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_the_master_key_may_lie_elsewhere(state_dir: Path, tmp_path: Path) -> None:
    key = tmp_path / "elsewhere" / "key"
    assert str(key) in opened(state_dir, key).notice
    assert not (state_dir / "master.key").exists()
    opened(state_dir, key)


def test_a_master_key_that_is_there_is_used_without_a_warning(
    state_dir: Path, tmp_path: Path
) -> None:
    vault = make_master_key(tmp_path / "key")
    fresh = opened(state_dir, tmp_path / "key")
    assert fresh.notice == ""
    assert vault.opens(fresh.store.vault.key_check())


def test_a_store_without_keys_notices_the_wrong_master_key(state_dir: Path) -> None:
    opened(state_dir)
    (state_dir / "master.key").unlink()
    make_master_key(state_dir / "master.key")
    with pytest.raises(StoreError, match="do not open with the master key"):
        opened(state_dir)


def test_no_second_master_key_is_made_for_a_store(state_dir: Path) -> None:
    opened(state_dir)
    (state_dir / "master.key").unlink()
    with pytest.raises(StoreError, match="is missing"):
        opened(state_dir, migrate=True)
    assert not (state_dir / "master.key").exists()


@pytest.mark.parametrize("url", ["postgresql://user@host/database", "mysql://x", ""])
def test_other_databases_are_refused(state_dir: Path, url: str) -> None:
    with pytest.raises(StoreError, match="PostgreSQL is not supported in this version"):
        open_store(url, state_dir, None, migrate=True)
    assert not state_dir.exists()


def test_a_newer_schema_is_refused_naming_both_versions(state_dir: Path) -> None:
    opened(state_dir)
    set_version(state_dir, "0099")
    with pytest.raises(StoreError, match=rf"schema 0099, .* up to {SCHEMA_VERSION}"):
        opened(state_dir, migrate=True)


def add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE audit ADD COLUMN later TEXT"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))


def add_column_and_fail(connection: Connection) -> None:
    add_column(connection)
    raise StoreError("the migration failed")


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(audit)")]


def test_an_older_store_is_copied_beside_itself_and_migrated(state_dir: Path) -> None:
    opened(state_dir)
    newer = Schema("0099", add_column)
    fresh = open_store("sqlite", state_dir, None, migrate=True, wanted=newer)
    copy = state_dir / f"store.sqlite.schema-{SCHEMA_VERSION}"
    assert fresh.notice == (
        f"migrated the store from schema {SCHEMA_VERSION} to 0099; as it was: {copy}"
    )
    assert "later" in columns(state_dir / "store.sqlite")
    assert "later" not in columns(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_migration_that_fails_changes_nothing(state_dir: Path) -> None:
    opened(state_dir)
    failing = Schema("0099", add_column_and_fail)
    with pytest.raises(StoreError, match="the migration failed"):
        open_store("sqlite", state_dir, None, migrate=True, wanted=failing)
    assert "later" not in columns(state_dir / "store.sqlite")
    opened(state_dir)


def test_an_older_store_is_left_to_serve_by_the_other_commands(state_dir: Path) -> None:
    opened(state_dir)
    with pytest.raises(
        StoreError, match=rf"schema {SCHEMA_VERSION}, .* needs 0099: `smime-proxy serve`"
    ):
        open_store("sqlite", state_dir, None, migrate=False, wanted=Schema("0099", add_column))
    assert not (state_dir / f"store.sqlite.schema-{SCHEMA_VERSION}").exists()


def test_a_store_that_does_not_open_is_not_migrated(state_dir: Path) -> None:
    opened(state_dir)
    (state_dir / "master.key").unlink()
    with pytest.raises(StoreError, match="is missing"):
        open_store("sqlite", state_dir, None, migrate=True, wanted=Schema("0099", add_column))
    assert "later" not in columns(state_dir / "store.sqlite")


def test_a_file_that_is_no_database_is_refused(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "store.sqlite").write_bytes(b"something else\n" * 400)
    with pytest.raises(StoreError, match="not an SQLite database"):
        opened(state_dir)
    assert not (state_dir / "master.key").exists()


def test_the_database_of_another_program_is_refused(state_dir: Path) -> None:
    state_dir.mkdir()
    with closing(sqlite3.connect(state_dir / "store.sqlite")) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match="another program"):
        opened(state_dir)
    assert not (state_dir / "master.key").exists()


def test_a_damaged_store_is_one_line(state_dir: Path) -> None:
    opened(state_dir)
    path = state_dir / "store.sqlite"
    raw = path.read_bytes()
    path.write_bytes(raw[:100] + bytes(len(raw) - 100))
    with pytest.raises(StoreError, match=r"damaged|not an SQLite"):
        opened(state_dir)


@pytest.mark.parametrize("obstacle", ["directory", "file"])
def test_a_path_that_cannot_be_used_is_one_line(tmp_path: Path, obstacle: str) -> None:
    state_dir = tmp_path / "state"
    if obstacle == "directory":
        (state_dir / "store.sqlite").mkdir(parents=True)
    else:
        state_dir.write_text("")
    with pytest.raises(StoreError, match="cannot be"):
        opened(state_dir)


@needs_permissions
def test_a_directory_one_may_not_enter_is_one_line(state_dir: Path) -> None:
    opened(state_dir)
    state_dir.chmod(0)
    with pytest.raises(StoreError, match="Permission denied"):
        opened(state_dir)
    state_dir.chmod(0o700)


OPEN = """
import sys
from pathlib import Path
from smime_proxy.stores.open import open_store
print(open_store("sqlite", Path(sys.argv[1]), None, migrate=True).notice)
print("alembic" in sys.modules)
"""


def run_open(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(state_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_open_an_empty_store_at_once_make_one_master_key(state_dir: Path) -> None:
    results = [process.communicate() for process in [run_open(state_dir) for _ in range(2)]]
    assert [errors for _, errors in results] == ["", ""]
    assert sum("warning" in out for out, _ in results) == 1
    opened(state_dir)


def test_a_current_store_is_opened_without_alembic(state_dir: Path) -> None:
    opened(state_dir)
    out, errors = run_open(state_dir).communicate()
    assert (out.split(), errors) == (["False"], "")
