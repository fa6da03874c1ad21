"""The tables are what the migrations make, and times come back as they went in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Act, Store


def test_the_migrations_make_exactly_the_tables_that_are_declared(store: Store) -> None:
    with store.reading() as connection:
        migration = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(migration, schema.metadata) == []


def test_a_time_of_any_zone_comes_back_as_the_same_moment_in_utc(store: Store, act: Act) -> None:
    east = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5)))
    with store.writing(act) as writing:
        row = {"kind": "team", "enabled": True, "created_at": east}
        writing.connection.execute(insert(schema.account).values(row))
        writing.record("test", "")
    with store.reading() as connection:
        known = connection.execute(select(schema.account.c.created_at)).scalar_one()
    assert known == east
    assert known.tzinfo is UTC


def test_there_is_only_one_row_of_state(store: Store) -> None:
    again = insert(schema.state).values(id=2, revision=0, key_check=b"")
    with store.engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(again)


def test_foreign_keys_are_enforced(store: Store) -> None:
    orphan = insert(schema.chain).values(certificate_id=1, position=0, issuer_id=2)
    with store.engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(orphan)
