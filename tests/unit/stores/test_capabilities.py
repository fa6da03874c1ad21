"""The last word of each partner about what he can read, and what is not written anew."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from smime_proxy.address import parse_mailbox
from smime_proxy.cms.capabilities import Capabilities, encode_capabilities
from smime_proxy.gateway.ports import SeenCapabilities
from smime_proxy.stores import capabilities, schema
from smime_proxy.stores.capabilities import FRESHEN, load, remember
from smime_proxy.stores.connection import Act, Store, revision
from tests.pki import NOW
from tests.unit.stores.made import PARTNER, audited

CBC, GCM = (Capabilities(((f"2.16.840.1.101.3.4.1.{last}", b""),)) for last in (42, 46))
LATER = NOW + timedelta(hours=1)


def seen(
    what: Capabilities, at: datetime = NOW, who: str = "partner@example.org"
) -> SeenCapabilities:
    return SeenCapabilities(parse_mailbox(who), what, at)


def known(store: Store) -> dict[str, bytes]:
    with store.reading() as connection:
        return load(connection)


def counted(store: Store) -> int:
    with store.reading() as connection:
        return revision(connection)


def seen_at(store: Store) -> datetime:
    with store.reading() as connection:
        found: datetime = connection.execute(select(schema.capabilities.c.seen_at)).scalar_one()
    return found


def test_the_first_word_is_kept_and_counted_and_nobodys_act(store: Store) -> None:
    before = counted(store)
    assert remember(store, [seen(CBC), seen(GCM, who="Other@Example.net")]) == 2
    assert known(store) == {
        PARTNER.key: encode_capabilities(CBC),
        "other@example.net": encode_capabilities(GCM),
    }
    assert seen_at_of(store) == {PARTNER.key: NOW, "other@example.net": NOW}
    assert counted(store) == before + 1
    assert audited(store) == []


def seen_at_of(store: Store) -> dict[str, datetime]:
    with store.reading() as connection:
        rows = connection.execute(select(schema.capabilities))
        return {row.key: row.seen_at for row in rows}


def test_a_later_word_replaces_the_one_before(store: Store) -> None:
    remember(store, [seen(CBC)])
    before = counted(store)
    assert remember(store, [seen(GCM, LATER)]) == 1
    assert known(store) == {PARTNER.key: encode_capabilities(GCM)}
    assert (seen_at(store), counted(store)) == (LATER, before + 1)


@pytest.mark.parametrize("earlier", [timedelta(0), timedelta(days=30)])
def test_an_old_mail_sent_again_changes_nothing(store: Store, earlier: timedelta) -> None:
    remember(store, [seen(GCM)])
    before = counted(store)
    assert remember(store, [seen(CBC, NOW - earlier)]) == 0
    assert known(store) == {PARTNER.key: encode_capabilities(GCM)}
    assert (seen_at(store), counted(store)) == (NOW, before)


def test_the_same_said_again_does_not_make_anybody_read_the_store_again(store: Store) -> None:
    remember(store, [seen(CBC)])
    before = counted(store)
    assert remember(store, [seen(CBC, LATER)]) == 0
    assert seen_at(store) == NOW  # not even written
    much_later = NOW + FRESHEN
    assert remember(store, [seen(CBC, much_later)]) == 0
    assert (seen_at(store), counted(store)) == (much_later, before)
    # What came in between is no longer news.
    assert remember(store, [seen(GCM, LATER)]) == 0


def test_the_oldest_are_forgotten_when_there_are_too_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "MAX_REMEMBERED", 2)
    many = [seen(CBC, NOW + timedelta(days=day), f"p{9 - day}@y.org") for day in (3, 1, 4, 2)]
    assert remember(store, many[:2]) == 2
    assert set(known(store)) == {"p6@y.org", "p8@y.org"}
    assert remember(store, many[2:]) == 2
    assert set(known(store)) == {"p6@y.org", "p5@y.org"}


def test_what_is_forgotten_is_audited_and_may_be_said_again(store: Store, act: Act) -> None:
    remember(store, [seen(CBC), seen(GCM, who="other@y.org")])
    before = counted(store)
    assert capabilities.forget(store, act, PARTNER)
    assert set(known(store)) == {"other@y.org"}
    assert audited(store) == [f"cert forget: {PARTNER.text}"]
    assert counted(store) == before + 1
    assert not capabilities.forget(store, act, PARTNER)
    assert counted(store) == before + 1
    assert remember(store, [seen(CBC)]) == 1
