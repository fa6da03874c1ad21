"""The rows of the store as lines of JSON, and back: what a backup holds.

RFC 8259; docs/backup.md has the format, which other programs read too.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from smime_proxy import __version__
from smime_proxy.stores import schema
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import KEY_VERSION, Vault
from smime_proxy.stores.wrapped import WRAPPED

FETCHED = 1000  # rows in memory at a time
MAX_LINE = 256 * 1024**2  # octets; the largest row known holds a revocation list of some MB
LOCAL = frozenset({"state"})  # of this store alone: how often it changed, which master key it has
_MALFORMED = "the backup holds something other than rows of a store"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table; private keys in them are not wrapped."""

    table: Table
    rows: Sequence[Row]


def tables() -> list[Table]:
    """Give every table that a backup holds, each behind those it refers to."""
    return [table for table in schema.metadata.sorted_tables if table.name not in LOCAL]


def dump(connection: Connection, vault: Vault, at: datetime) -> Iterator[bytes]:
    """Give all rows as one consistent view of the transaction has them, compressed.

    Raises `StoreError` when a private key does not open with the vault.
    """
    packer = zlib.compressobj()
    for line in _lines(connection, vault, at):
        yield packer.compress(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    yield packer.flush()


def read(text: Iterable[bytes]) -> Iterator[Rows]:
    """Give the rows again in batches, in the order of the tables.

    Raises `StoreError` for what is no whole backup of a store with the tables of this version.
    """
    lines = _split(_unpack(text))
    _check(next(lines, None))
    table: Table | None = None
    columns: list[str] = []
    known = {one.name: one for one in tables()}
    batch: list[Row] = []
    ended = False
    for line in lines:
        if ended:
            raise StoreError(_MALFORMED)
        if isinstance(line, list) and table is not None and len(line) == len(columns):
            batch.append({name: _value(v) for name, v in zip(columns, line, strict=True)})
            if len(batch) < FETCHED:
                continue
        if table is not None and batch:
            yield Rows(table, batch)
            batch = []
        if isinstance(line, dict):
            ended = bool(line.get("end"))
            table, columns = (None, []) if ended else _table(line, known)
        elif not isinstance(line, list) or table is None or len(line) != len(columns):
            raise StoreError(_MALFORMED)
    if not ended:
        raise StoreError(_MALFORMED)


def _lines(connection: Connection, vault: Vault, at: datetime) -> Iterator[Any]:
    made = at.astimezone(UTC).isoformat()
    yield {"smime-proxy": __version__, "schema": schema.SCHEMA_VERSION, "made": made}
    for table in tables():
        yield {"table": table.name, "columns": [column.name for column in table.columns]}
        opened = _opener(connection, vault, table)
        found = connection.execute(select(table).execution_options(yield_per=FETCHED))
        for row in found.mappings():
            yield [_said(value) for value in opened(row).values()]
    yield {"end": True}


def _opener(connection: Connection, vault: Vault, table: Table) -> Any:
    """Make what opens the private key in a row of this table, if it has one."""
    column = next((one for one in WRAPPED if one.table is table), None)
    if column is None:
        return lambda row: row
    identifiers = column.identifiers(connection)

    def opened(row: Row) -> Row:
        name, version = identifiers[row["id"]], row["key_version"]
        plain = vault.unwrap(row["wrapped"], column.purpose, name, version)
        return dict(row) | {"wrapped": plain, "key_version": KEY_VERSION}

    return opened


def _said(value: Any) -> Any:
    match value:
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case datetime():
            return {"time": value.isoformat()}
        case _:
            return value


def _value(said: Any) -> Any:
    match said:
        case {"base64": str(text)}:
            return base64.b64decode(text)
        case {"time": str(text)}:
            return datetime.fromisoformat(text)
        case dict() | list():
            raise StoreError(_MALFORMED)
        case _:
            return said


def _check(first: Any) -> None:
    if not isinstance(first, dict) or "schema" not in first:
        raise StoreError(_MALFORMED)
    if first["schema"] != schema.SCHEMA_VERSION:
        raise StoreError(
            f"the backup was made by smime-proxy {first.get('smime-proxy')} from a store with"
            f" schema {first['schema']}, this is {__version__} with schema"
            f" {schema.SCHEMA_VERSION}: restore it with that version, which this one then migrates"
        )


def _table(line: dict[str, Any], known: Mapping[str, Table]) -> tuple[Table, list[str]]:
    table, columns = known.get(str(line.get("table"))), line.get("columns")
    if table is None or columns != [column.name for column in table.columns]:
        raise StoreError(_MALFORMED)
    return table, columns


def _unpack(text: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    try:
        for piece in text:
            rest = piece
            while rest:  # a piece that was a row repeated may stand for gigabytes
                yield unpacker.decompress(rest, 2**20)
                rest = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error:
        raise StoreError(_MALFORMED) from None
    if not unpacker.eof:
        raise StoreError(_MALFORMED)


def _split(text: Iterable[bytes]) -> Iterator[Any]:
    held = bytearray()
    for octets in text:
        held += octets
        if b"\n" not in octets:
            if len(held) > MAX_LINE:
                raise StoreError(_MALFORMED)
            continue
        *lines, rest = bytes(held).split(b"\n")
        held = bytearray(rest)
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                raise StoreError(_MALFORMED) from None
    if held:
        raise StoreError(_MALFORMED)
