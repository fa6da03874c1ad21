"""Everything that is wrapped is known, so that a new master key and a backup miss nothing."""

import pytest
from sqlalchemy import update

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import Vault
from smime_proxy.stores.wrapped import WRAPPED, rewrap

from .rows import contents, fill


def test_every_wrapped_column_of_the_schema_is_listed() -> None:
    listed = {column.table.name for column in WRAPPED}
    held = {t.name for t in schema.metadata.sorted_tables if "wrapped" in t.columns}
    assert listed == held == {"key", "authority", "secret"}


def test_rewrapping_leaves_nothing_under_the_old_key(store: Store) -> None:
    fill(store)
    before, new = contents(store), Vault.from_key(bytes(32))
    with store.engine.begin() as connection:
        number = rewrap(connection, store.vault, new)
    assert number == sum(len(before[name]) for name in ("key", "authority", "secret"))
    with pytest.raises(StoreError, match="does not open"):
        contents(store)
    assert contents(Store(store.path, store.engine, new)) == before


def test_one_key_that_does_not_open_stops_it(store: Store) -> None:
    fill(store)
    with store.engine.begin() as connection:
        connection.execute(update(schema.key).values(wrapped=b"damaged"))
    with store.engine.begin() as connection, pytest.raises(StoreError, match="does not open"):
        rewrap(connection, store.vault, Vault.from_key(bytes(32)))
