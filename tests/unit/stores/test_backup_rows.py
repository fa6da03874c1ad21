"""Rows as lines: every kind of value comes back, what is no backup of a store is refused."""

import json
import zlib
from typing import Any

import pytest

from smime_proxy.stores import schema
from smime_proxy.stores.backup_rows import FETCHED, dump, read, tables
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.schema import SCHEMA_VERSION
from tests.pki import NOW

from .rows import contents, fill

HEAD = {"smime-proxy": "1", "schema": SCHEMA_VERSION}
TABLE = {"table": "account_login", "columns": ["account_id", "login"]}
END = {"end": True}


def packed(*lines: Any) -> list[bytes]:
    return [zlib.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))]


def test_every_table_is_in_it_behind_those_it_refers_to() -> None:
    names = [table.name for table in tables()]
    assert set(names) == set(schema.metadata.tables) - {"state"}
    for table in tables():
        for key in table.foreign_keys:
            assert names.index(key.column.table.name) < names.index(table.name)


def test_all_rows_come_back_as_they_were(store: Store) -> None:
    fill(store)
    found: dict[str, list[Any]] = {table.name: [] for table in tables()}
    with store.reading() as connection:
        for batch in read(list(dump(connection, store.vault, NOW))):
            found[batch.table.name] += batch.rows
    for name, rows in contents(store).items():
        keys = [column.name for column in schema.metadata.tables[name].primary_key]
        assert sorted(found[name], key=lambda row: [row[k] for k in keys]) == rows


def test_many_rows_come_in_batches() -> None:
    rows = [[1, f"login {number}"] for number in range(2 * FETCHED + 1)]
    batches = list(read(packed(HEAD, TABLE, *rows, END)))
    assert [len(batch.rows) for batch in batches] == [FETCHED, FETCHED, 1]
    assert batches[-1].rows == [{"account_id": 1, "login": f"login {2 * FETCHED}"}]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (HEAD,),
        ([],),
        ({"table": "account"},),
        (HEAD, TABLE, [1, "a"]),
        (HEAD, [1, "a"], END),
        (HEAD, TABLE, [1], END),
        (HEAD, TABLE, [1, {"x": 1}], END),
        (HEAD, TABLE, [1, [2]], END),
        (HEAD, TABLE, 7, END),
        (HEAD, {"table": "sqlite_master", "columns": []}, END),
        (HEAD, {"table": "account_login", "columns": ["login"]}, END),
        (HEAD, {"table": "state", "columns": ["id", "revision", "key_check"]}, END),
        (HEAD, END, END),
        (HEAD, END, TABLE),
    ],
)
def test_what_is_no_backup_of_a_store_is_refused(lines: tuple[Any, ...]) -> None:
    with pytest.raises(StoreError, match="something other than rows"):
        list(read(packed(*lines)))


@pytest.mark.parametrize("raw", [b"no zlib", zlib.compress(b"{")[:-1], zlib.compress(b"no json\n")])
def test_what_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(StoreError, match="something other than rows"):
        list(read([raw]))


def test_a_backup_with_other_tables_says_which_version_restores_it() -> None:
    with pytest.raises(StoreError, match=r"by smime-proxy 1 from a store with schema 0002.*0004"):
        list(read(packed(HEAD | {"schema": "0002"}, END)))
