"""A change by any process arrives in the snapshot; a store that fails leaves the old one."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest
from sqlalchemy import text

from smime_proxy.stores import accounts
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.watch import SnapshotSource
from tests.unit.stores.made import ALICE, BOB, account

NOTICED_SECONDS = 30  # two are promised to people; machines that run tests are slower

ADD_BOB = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from smime_proxy.address import parse_mailbox
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts
from smime_proxy.stores.connection import Act
from smime_proxy.stores.open import open_store
store = open_store("sqlite", Path(sys.argv[1]), None, migrate=False).store
accounts.add(store, Act("other", datetime.now(UTC)), Account(parse_mailbox("bob@example.com")))
"""


@pytest.fixture
def source(store: Store) -> Iterator[SnapshotSource]:
    ticks = count()
    made = SnapshotSource(store, lambda: next(ticks))
    yield made
    made.close()


def break_store(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE account RENAME TO broken"))
        connection.execute(text("UPDATE state SET revision = revision + 1"))


def mend_store(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE broken RENAME TO account"))


def test_the_first_snapshot_is_there_at_once(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    assert SnapshotSource(store).current.account(ALICE) is not None


def test_without_a_change_the_snapshot_stays_the_same(source: SnapshotSource) -> None:
    before = source.current
    assert not source.refresh()
    assert source.current is before


def test_a_change_swaps_the_snapshot_and_leaves_the_old_one_alone(
    store: Store, act: Act, source: SnapshotSource
) -> None:
    before = source.current
    for person in (ALICE, BOB):
        accounts.add(store, act, account(person.text))
        assert source.refresh()
        assert source.current.account(person) is not None
    assert before.account(ALICE) is None


def test_a_reload_that_fails_keeps_the_old_snapshot_and_its_age_grows(
    store: Store, act: Act, source: SnapshotSource
) -> None:
    accounts.add(store, act, account("alice@example.com"))
    source.refresh()
    before, age = source.current, source.age
    break_store(store)
    for _ in range(3):
        assert not source.refresh()
        assert source.current is before
        assert source.age > age
        age = source.age
    mend_store(store)
    assert source.refresh()
    assert source.age < age
    assert source.current.account(ALICE) is not None


def test_a_first_snapshot_that_cannot_be_loaded_is_an_error(store: Store) -> None:
    break_store(store)
    with pytest.raises(StoreError, match="cannot be used"):
        SnapshotSource(store)


async def test_changes_of_this_and_of_another_process_are_noticed(
    store: Store, act: Act, source: SnapshotSource
) -> None:
    watching = asyncio.create_task(source.watch())

    async def until_known(address: str) -> None:
        while address not in source.current.accounts_by_address:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)

    await asyncio.to_thread(accounts.add, store, act, account("alice@example.com"))
    await asyncio.wait_for(until_known(ALICE.key), NOTICED_SECONDS)
    command = [sys.executable, "-c", ADD_BOB, str(store.path.parent)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    await asyncio.wait_for(until_known(BOB.key), NOTICED_SECONDS)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert source.current.account(ALICE) is not None
