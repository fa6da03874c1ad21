"""Backup of the whole store into one encrypted file, and back, under whatever master key.

No RFC; docs/backup.md has the format.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Column, Connection, Table, delete, insert, select, text

from smime_proxy.stores import schema
from smime_proxy.stores.backup_rows import Rows, dump, read, tables
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import copy_store
from smime_proxy.stores.sealed import SCRYPT_N, seal, unseal
from smime_proxy.stores.vault import KEY_VERSION, Vault
from smime_proxy.stores.wrapped import WRAPPED, WrappedColumn

# What comes by itself makes a store no less empty.
_BY_ITSELF = frozenset({"audit", "notice"})


def backup(
    store: Store, out: BinaryIO, password: bytes, at: datetime, *, n: int = SCRYPT_N
) -> None:
    """Write everything in the store, as it is at one moment, others may go on changing it.

    `n` is the cost of guessing the password. Raises `StoreError` when the store cannot be read or a
    private key does not open.
    """
    _refuse_empty(password)
    with store.reading() as connection:
        seal(dump(connection, store.vault_now(connection), at), out, password, n=n)


def restore(
    store: Store, act: Act, source: BinaryIO, password: bytes, *, replace: bool = False
) -> Path | None:
    """Fill the store with what a backup holds; private keys are wrapped with its own master key.

    A store that holds something is refused, or with `replace` copied beside itself first: gives
    the copy. All or nothing: raises `StoreError` for a backup that is not whole, and then nothing
    was changed. `source` is read twice.
    """
    check(source, password)  # before anything is touched
    copy = None
    with store.writing(act) as writing:
        connection = writing.connection
        if not _is_empty(connection):
            if not replace:
                raise StoreError(
                    f"the store {store.path} is not empty: --replace copies it beside itself and"
                    " puts the backup in its place"
                )
            name = f"{store.path.name}.before-restore-{act.at:%Y%m%dT%H%M%S}"
            copy = store.path.with_name(name)
            copy_store(store.path, copy)
        # Processes that go on know certificates by their ids, which stay theirs.
        offset = _last_certificate(connection)
        for table in reversed(tables()):
            connection.execute(delete(table))
        fingerprints: dict[int, str] = {}
        for batch in read(unseal(source, password)):
            _insert(connection, writing.vault, batch, offset, fingerprints)
        writing.record("restore", "")
    return copy


def check(source: BinaryIO, password: bytes) -> None:
    """Read a backup to its end and go back to its start, which needs no store.

    Raises `StoreError` for a wrong password, and for what is no whole backup.
    """
    _refuse_empty(password)
    start = source.tell()
    for _ in read(unseal(source, password)):
        pass
    source.seek(start)


def certificate_columns(table: Table) -> list[str]:
    """Name the columns that hold the id of a certificate, whichever table they refer to."""
    return [column.name for column in table.columns if _is_certificate(column)]


def _is_certificate(column: Column[Any]) -> bool:
    if column is schema.certificate.c.id:
        return True
    return any(_is_certificate(key.column) for key in column.foreign_keys)


def _insert(
    connection: Connection,
    vault: Vault,
    batch: Rows,
    offset: int,
    fingerprints: dict[int, str],
) -> None:
    shifted = certificate_columns(batch.table)
    rows = [
        {**row, **{name: row[name] + offset for name in shifted if row[name] is not None}}
        for row in batch.rows
    ]
    wrapped = next((one for one in WRAPPED if one.table is batch.table), None)
    if batch.table is schema.certificate:
        fingerprints.update((row["id"], row["fingerprint"]) for row in rows)
    if wrapped is not None:
        rows = [_wrapped(vault, wrapped, row, fingerprints) for row in rows]
    connection.execute(insert(batch.table), rows)


def _wrapped(
    vault: Vault, column: WrappedColumn, row: Mapping[str, Any], fingerprints: Mapping[int, str]
) -> dict[str, Any]:
    by_certificate = column.identifier.table is schema.certificate
    identifier = fingerprints[row["certificate_id"]] if by_certificate else row["id"]
    wrapped = vault.wrap(row["wrapped"], column.purpose, identifier)
    return {**row, "wrapped": wrapped, "key_version": KEY_VERSION}


def _is_empty(connection: Connection) -> bool:
    held = (table for table in tables() if table.name not in _BY_ITSELF)
    return not any(connection.execute(select(table).limit(1)).first() for table in held)


def _last_certificate(connection: Connection) -> int:
    """Give the largest id a certificate ever had (sqlite.org/autoinc.html)."""
    last = text("SELECT seq FROM sqlite_sequence WHERE name = 'certificate'")
    return int(connection.execute(last).scalar() or 0)


def _refuse_empty(password: bytes) -> None:
    if not password:
        raise StoreError("a backup needs a password: it holds all private keys")
