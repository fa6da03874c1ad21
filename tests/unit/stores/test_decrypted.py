"""Decrypted mail is remembered as keyed digests, for 400 days and not without bound."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Act, Store, revision
from smime_proxy.stores.decrypted import KEPT, knows, make_keys, read_keys, remember, tidy
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import open_store
from smime_proxy.stores.rotation import rotate
from tests.pki import NOW

DAY = timedelta(days=1)
ONE, TWO, THREE = (bytes([number]) * 16 for number in (1, 2, 3))


def known(store: Store, *digests: bytes) -> bool:
    with store.reading() as connection:
        return knows(connection, digests)


def days(store: Store) -> dict[bytes, int]:
    with store.reading() as connection:
        return {row.digest: row.day for row in connection.execute(select(schema.decrypted))}


def test_the_keys_are_made_once_and_stay(store: Store) -> None:
    assert read_keys(store) is None
    made = make_keys(store)
    assert make_keys(store) == made == read_keys(store)
    assert made.mark != made.memory
    with store.reading() as connection:
        assert revision(connection) == 0  # nobody reads the store again for it


def test_the_secret_is_wrapped_and_outlives_the_master_key(store: Store, act: Act) -> None:
    """Or all that is remembered would be forgotten with the next master key."""
    made = make_keys(store)
    assert rotate(store, act, store.path.with_name("master.key")).number == 1
    assert make_keys(store) == made  # of a process that runs on
    reopened = open_store("sqlite", store.path.parent, None, migrate=False).store
    assert read_keys(reopened) == made
    with store.engine.begin() as connection:
        connection.execute(update(schema.secret).values(wrapped=b"damaged"))
    with pytest.raises(StoreError, match="does not open"):
        read_keys(reopened)


def test_another_store_has_other_keys(store: Store, tmp_path: Path) -> None:
    other = open_store("sqlite", tmp_path / "other", None, migrate=False).store
    assert make_keys(store) != make_keys(other)


def test_what_was_written_is_known_and_nothing_else(store: Store) -> None:
    assert not known(store, ONE)
    assert remember(store, {ONE: NOW, TWO: NOW}) == 2
    assert known(store, ONE)
    assert known(store, THREE, TWO)
    assert not known(store, THREE)
    with store.reading() as connection:
        assert revision(connection) == 0


def test_what_is_seen_again_is_kept_longer_and_never_shorter(store: Store) -> None:
    remember(store, {ONE: NOW})
    assert remember(store, {ONE: NOW + 3 * DAY}) == 0
    assert remember(store, {ONE: NOW - 3 * DAY}) == 0
    assert days(store)[ONE] == (NOW + 3 * DAY - datetime.fromisoformat("1970-01-01T00Z")).days


def test_after_four_hundred_days_it_is_forgotten(store: Store) -> None:
    remember(store, {ONE: NOW, TWO: NOW + DAY})
    assert tidy(store, NOW + KEPT) == 0
    assert tidy(store, NOW + KEPT + DAY) == 1
    assert set(days(store)) == {TWO}


def test_of_too_many_the_oldest_go(store: Store) -> None:
    remember(store, {ONE: NOW, TWO: NOW - DAY, THREE: NOW + DAY})
    assert tidy(store, NOW, most=2) == 1
    assert set(days(store)) == {ONE, THREE}


def test_many_digests_are_asked_for_at_once_by_the_index(store: Store) -> None:
    remember(store, {ONE: NOW})
    assert known(store, *(bytes([number]) * 16 for number in range(101)))
    question = "EXPLAIN QUERY PLAN SELECT day FROM decrypted WHERE digest IN (x'00', x'01')"
    with store.reading() as connection:
        plan = " ".join(str(row) for row in connection.execute(text(question)))
    assert "SEARCH decrypted USING PRIMARY KEY" in plan


def test_a_store_that_cannot_be_read_says_so(store: Store) -> None:
    away = replace(store, path=store.path.with_name("away.sqlite"))
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE decrypted RENAME TO away"))
    with pytest.raises(StoreError, match=r"away\.sqlite"):
        remember(away, {ONE: NOW})
