"""Every column that holds something wrapped with the master key, and the name each was wrapped by.

NIST SP 800-38D: the name is authenticated, so a key opens only as what it is (see `vault`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, select, update

from smime_proxy.stores import schema
from smime_proxy.stores.vault import AUTHORITY_KEY, KEY_VERSION, MARK_KEY, PRIVATE_KEY, Vault


@dataclass(frozen=True, slots=True)
class WrappedColumn:
    """Where something wrapped is: `wrapped` and `key_version` of a table with the key `id`."""

    table: Table
    purpose: str
    identifier: Column[str]

    def rows(self) -> Select[Any]:
        """Select id, identifier, wrapped and key_version of each row."""
        columns = (self.table.c.id, self.identifier, self.table.c.wrapped, self.table.c.key_version)
        found = select(*columns)
        if self.identifier.table is schema.certificate:
            known = schema.certificate
            return found.join_from(self.table, known, known.c.id == self.table.c.certificate_id)
        return found

    def identifiers(self, connection: Connection) -> dict[Any, str]:
        """Give the identifier of each row by its id."""
        return {row[0]: row[1] for row in connection.execute(self.rows())}


WRAPPED = (
    WrappedColumn(schema.key, PRIVATE_KEY, schema.key.c.id),
    WrappedColumn(schema.secret, MARK_KEY, schema.secret.c.id),
    WrappedColumn(schema.authority, AUTHORITY_KEY, schema.certificate.c.fingerprint),
)


def rewrap(connection: Connection, old: Vault, new: Vault) -> int:
    """Wrap everything with another master key, in the caller's transaction; gives how many.

    Raises `StoreError` when something does not open with the old one.
    """
    number = 0
    for column in WRAPPED:
        for row_id, wrapped in list(_rewrapped(connection, column, old, new)):
            values = {"wrapped": wrapped, "key_version": KEY_VERSION}
            row = update(column.table).where(column.table.c.id == row_id)
            connection.execute(row.values(**values))
            number += 1
    return number


def _rewrapped(
    connection: Connection, column: WrappedColumn, old: Vault, new: Vault
) -> Iterator[tuple[Any, bytes]]:
    for row_id, identifier, wrapped, version in connection.execute(column.rows()):
        plain = old.unwrap(wrapped, column.purpose, identifier, version)
        yield row_id, new.wrap(plain, column.purpose, identifier)
