"""A store in which every table of the schema has rows, made from the schema itself."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    insert,
    select,
)

from smime_proxy.stores import schema
from smime_proxy.stores.backup_rows import tables
from smime_proxy.stores.connection import Store
from smime_proxy.stores.schema import Moment
from smime_proxy.stores.vault import KEY_VERSION, Vault
from smime_proxy.stores.wrapped import WRAPPED
from tests.pki import NOW

ROWS = 3
_numbers = count(1)


def fill(store: Store) -> None:
    """Put rows into every table; what refers to another table refers to rows of it."""
    with store.engine.begin() as connection:
        for table in tables():
            for number in range(1 if _holds_one(table) else ROWS):
                row = {c.name: _value(connection, c, number) for c in table.columns}
                connection.execute(insert(table), [row])
            _wrap(connection, store.vault, table)


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Give all rows of all tables, with private keys opened."""
    found = {}
    with store.reading() as connection:
        for table in tables():
            order = [column.name for column in table.primary_key.columns]
            rows = connection.execute(select(table).order_by(*order)).mappings()
            found[table.name] = [dict(row) for row in rows]
        for column in WRAPPED:
            names = column.identifiers(connection)
            for row in found[column.table.name]:
                name, version = names[row["id"]], row["key_version"]
                row["wrapped"] = store.vault.unwrap(row["wrapped"], column.purpose, name, version)
    return found


def _holds_one(table: Table) -> bool:
    rules = [rule for column in table.columns for rule in column.constraints]
    return any("id = 1" in str(rule.sqltext) for rule in rules if isinstance(rule, CheckConstraint))


def _value(connection: Connection, column: Column[Any], number: int) -> Any:
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return connection.execute(select(key.column)).scalars().all()[number]
    if column.nullable and number == 0:
        return None
    match column.type:
        case Moment():
            return NOW + timedelta(seconds=number, microseconds=7)
        case Boolean():
            return bool(number % 2)
        case Integer():
            return 1 if column.name == "id" and _holds_one(column.table) else 100 + next(_numbers)
        case LargeBinary():
            return bytes(range(256)) + b"%d" % next(_numbers)
        case _:
            return f"{column.name} {next(_numbers)} äöü\n\x00\u2028"


def _wrap(connection: Connection, vault: Vault, table: Table) -> None:
    for column in WRAPPED:
        if column.table is table:
            for row_id, name in column.identifiers(connection).items():
                wrapped = vault.wrap(b"key of " + name.encode(), column.purpose, name)
                row = table.update().where(table.c.id == row_id)
                connection.execute(row.values(wrapped=wrapped, key_version=KEY_VERSION))


def moments(found: dict[str, list[dict[str, Any]]]) -> list[datetime]:
    """Give all times in the rows."""
    return [v for rows in found.values() for row in rows for v in row.values() if _is_time(v)]


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime)


def certificate_like(table: Table) -> list[str]:
    """Name the columns that look as if they held the id of a certificate."""
    if table is schema.certificate:
        return ["id"]
    wanted = ("certificate_id", "issuer_id")
    return [column.name for column in table.columns if column.name in wanted]
