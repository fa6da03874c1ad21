"""What was told is told once: by one process, over restarts, and again only where it may be."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store, revision
from smime_proxy.stores.notices import FEW, KEPT, LEASE, Notice, claim, released, told
from tests.pki import NOW

KEY = Notice("signing alice@example.com ab", "administrator 30")
OTHER = Notice("signing alice@example.com ab", "administrator 14")


def test_what_one_claims_no_other_gets(store: Store) -> None:
    assert claim(store, [KEY], NOW) == [KEY]
    assert claim(store, [KEY, OTHER], NOW) == [OTHER]


def test_what_was_told_is_never_told_again(store: Store) -> None:
    claim(store, [KEY], NOW)
    told(store, [KEY], NOW)
    assert claim(store, [KEY], NOW + 10 * LEASE) == []


def test_what_could_not_be_told_may_be_claimed_again(store: Store) -> None:
    claim(store, [KEY], NOW)
    released(store, [KEY])
    assert claim(store, [KEY], NOW) == [KEY]


def test_what_a_process_took_with_it_when_it_died_is_claimed_after_a_while(store: Store) -> None:
    claim(store, [KEY], NOW)
    assert claim(store, [KEY], NOW + LEASE) == []
    assert claim(store, [KEY], NOW + LEASE + timedelta(seconds=1)) == [KEY]


def test_what_may_be_said_daily_is(store: Store) -> None:
    day = Notice("anchor  ab", "log", NOW - timedelta(hours=12))
    claim(store, [day], NOW)
    told(store, [day], NOW)
    assert claim(store, [day], NOW + timedelta(hours=5)) == []
    tomorrow = Notice("anchor  ab", "log", NOW + timedelta(hours=12))
    assert claim(store, [tomorrow], NOW + timedelta(hours=13)) == [tomorrow]


@pytest.mark.parametrize("number", [1, FEW + 1])
def test_many_are_claimed_like_few(store: Store, number: int) -> None:
    many = [Notice(f"signing {n}", "log") for n in range(number)]
    assert claim(store, [*many, *many], NOW) == many
    assert claim(store, many, NOW) == []


def test_nothing_is_claimed_of_nothing(store: Store) -> None:
    assert claim(store, [], NOW) == []


def test_notices_are_forgotten_some_day_and_change_no_revision(store: Store) -> None:
    claim(store, [KEY], NOW)
    told(store, [KEY], NOW)
    claim(store, [OTHER], NOW + KEPT + timedelta(days=1))
    with store.reading() as connection:
        said = connection.execute(select(schema.notice.c.said)).scalars().all()
        assert said == [OTHER.said]
        assert revision(connection) == 0
