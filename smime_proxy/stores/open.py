"""Opens a store: makes an empty one, migrates an old one, refuses a wrong one in one line.

No RFC. Nothing here runs for each message.
"""

import importlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from smime_proxy import __version__
from smime_proxy.stores import master_key, schema
from smime_proxy.stores.connection import BUSY_SECONDS, Store, make_engine, one_line, writer
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import (
    Cipher,
    TokenKeys,
    Vault,
    make_master_key,
    read_master_key,
)
from smime_proxy.stores.volatile import in_memory

STORE_FILE = "store.sqlite"
MASTER_KEY_FILE = "master.key"

_VERSION_TABLE = "alembic_version"  # Alembic's name
_VERSION = text("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store, and the one line to show when it was made or migrated, else ``""``."""

    store: Store
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """The version of the tables this program works with, and how to get there."""

    version: str
    upgrade: Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Token:
    """What a token has for a store: private keys, and the master key in place of a file."""

    keys: TokenKeys | None = None
    master_key: Cipher | None = None


NO_TOKEN = Token()


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where the master key is: on the token if there is one, else in a file."""

    file: Path
    token: Token

    def __str__(self) -> str:
        return str(self.file) if self.token.master_key is None else "on the token"

    def read(self) -> Vault:
        """Give the vault of the master key (raises as `read_master_key`)."""
        if self.token.master_key is None:
            return replace(read_master_key(self.file), tokens=self.token.keys)
        return Vault(self.token.master_key, self.token.keys)

    def opening(self, key_check: bytes) -> Vault:
        """Give the vault `key_check` opens with, also while one master key follows another.

        Raises `StoreError` as `read_master_key`, and when there is none.
        """
        if self.token.master_key is None:
            vault = replace(master_key.find(self.file, key_check), tokens=self.token.keys)
        else:
            vault = Vault(self.token.master_key, self.token.keys)
        if not vault.opens(key_check):
            raise StoreError(f"the keys in the store do not open with the master key {self}")
        return vault


def _upgrade(connection: Connection) -> None:
    # By name: `serve` imports Alembic only on the day it needs it.
    importlib.import_module("smime_proxy.stores.migrate").upgrade(connection)


CURRENT = Schema(schema.SCHEMA_VERSION, _upgrade)


def open_store(
    url: str,
    state_dir: Path,
    master_key_file: Path | None,
    *,
    migrate: bool,
    wanted: Schema = CURRENT,
    token: Token = NO_TOKEN,
) -> Opened:
    """Open the store in `state_dir`; an empty one gets its tables and its master key.

    With `migrate` an older one is copied beside itself and brought up to date, else it is
    refused. `master_key_file` is by default `master.key` in `state_dir`; a master key on the token
    is used instead. Raises `StoreError` for another url, for files that cannot be used, a newer
    schema, and a master key that is missing or not the one this store was made with.
    """
    if url != "sqlite":
        raise StoreError(
            "store.url: only 'sqlite' is known; PostgreSQL is not supported in this version"
        )
    path = state_dir / STORE_FILE
    keys = _Keys(master_key_file or state_dir / MASTER_KEY_FILE, token)
    _make_file(path)
    engine = make_engine(path)
    with one_line(path):
        with engine.begin() as connection:
            version = _version(connection, path)
        notice = ""
        if version != wanted.version:
            _set_wal(path)
            with writer(engine).begin() as connection:
                notice = _bring_up(connection, path, keys, wanted, migrate=migrate)
        vault, check = _matching_vault(engine, path, keys)
    return Opened(Store(path, engine, vault, key_check=check, rekeyed=keys.opening), notice)


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # SQLite gives its other files the permissions of the first.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise StoreError(
                f"the store {path} cannot be made: no directory can be there"
            ) from None
    except OSError as error:
        raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error


def _set_wal(path: Path) -> None:
    """Let readers go on while one process writes; the file remembers it."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _version(connection: Connection, path: Path) -> str:
    """Give the version of the tables, ``""`` for an empty store."""
    names = inspect(connection).get_table_names()
    if _VERSION_TABLE in names:
        version: str = connection.execute(_VERSION).scalar_one()
        return version
    if names:
        raise StoreError(f"{path} is a database of another program")
    return ""


def _bring_up(
    connection: Connection, path: Path, keys: _Keys, wanted: Schema, *, migrate: bool
) -> str:
    """Make or migrate the tables under the write lock; gives the line to show."""
    version = _version(connection, path)  # again: another process may have been first
    if version > wanted.version:
        raise StoreError(
            f"the store {path} has schema {version}, smime-proxy {__version__} knows schemas up to"
            f" {wanted.version}: install the newer version again"
        )
    if version == wanted.version:
        return ""
    if not version:
        return _make(connection, keys, wanted)
    if not migrate:
        raise StoreError(
            f"the store {path} has schema {version}, smime-proxy {__version__} needs"
            f" {wanted.version}: `smime-proxy serve` migrates it"
        )
    keys.opening(_key_check(connection))  # nothing is changed in a store that cannot open
    copy = path.with_name(f"{path.name}.schema-{version}")
    copy_store(path, copy)
    wanted.upgrade(connection)
    return f"migrated the store from schema {version} to {wanted.version}; as it was: {copy}"


def _make(connection: Connection, keys: _Keys, wanted: Schema) -> str:
    wanted.upgrade(connection)
    key_file = keys.file
    is_new = keys.token.master_key is None and not key_file.exists()
    vault = make_master_key(key_file) if is_new else keys.read()
    connection.execute(insert(schema.state).values(id=1, revision=0, key_check=vault.key_check()))
    if not is_new:
        return ""
    if in_memory(key_file):
        return (
            f"warning: made the master key {key_file}; it lies in memory, and with a restart it is"
            " gone with the store. Keys of declared accounts are not under it; for others use a"
            " disk, and keep the key in another backup"
        )
    return (
        f"warning: made the master key {key_file}: without it the private keys in the store are"
        " lost; keep a copy in another backup than that of the store"
    )


def copy_store(path: Path, copy: Path) -> None:
    """Copy a store as it is now, while others may read it; replaces an older copy."""
    unfinished = copy.with_name(f".{copy.name}")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the store {path} cannot be copied to {copy}: {error}") from error


def _matching_vault(engine: Engine, path: Path, keys: _Keys) -> tuple[Vault, bytes]:
    """Find the vault of the store, and what it opens with it; another look when both change."""
    for last in (False, True):
        with engine.begin() as connection:
            check = _key_check(connection)
        try:
            return keys.opening(check), check
        except StoreError as error:
            with engine.begin() as connection:
                changed = _key_check(connection) != check
            if last or not changed:
                raise StoreError(
                    str(error).replace("the store do", f"the store {path} do")
                ) from error
    raise AssertionError("the last look gives or raises")


def _key_check(connection: Connection) -> bytes:
    check: bytes = connection.execute(select(schema.state.c.key_check)).scalar_one()
    return check
