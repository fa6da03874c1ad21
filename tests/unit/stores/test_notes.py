"""Notes are written behind the mail: gathered, tried again, bounded, and never raising."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from smime_proxy.cms.capabilities import encode_capabilities
from smime_proxy.policy.harvest import Caution
from smime_proxy.policy.rules import Harvest
from smime_proxy.stores import anchors, partners, pending
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.notes import CapabilityNotes, KeyNotes
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import PARTNER
from tests.unit.stores.test_capabilities import CBC, GCM, LATER, counted, known, seen
from tests.unit.stores.test_pending import ROOT, key, waiting


async def until_written(store: Store, number: int) -> None:
    for _ in range(500):
        if len(known(store)) == number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was written")


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_what_was_noted_is_written_soon_and_once(store: Store) -> None:
    made = CapabilityNotes(store)
    task = asyncio.create_task(made.write_always(0.01))
    before = counted(store)
    for number in range(3):
        made.note(seen(CBC, who=f"p{number}@y.org"))
    assert known(store) == {}
    await until_written(store, 3)
    await ended(task)
    assert counted(store) == before + 1


async def test_of_one_sender_the_latest_word_counts(store: Store) -> None:
    made = CapabilityNotes(store)
    for one in (seen(CBC), seen(GCM, LATER), seen(CBC, NOW + timedelta(minutes=1))):
        made.note(one)
    task = asyncio.create_task(made.write_always(0.01))
    await until_written(store, 1)
    await ended(task)
    assert known(store) == {PARTNER.key: encode_capabilities(GCM)}


async def test_what_waits_at_the_end_is_written(store: Store) -> None:
    made = CapabilityNotes(store)
    task = asyncio.create_task(made.write_always(60))
    await asyncio.sleep(0)
    made.note(seen(CBC))
    await ended(task)
    assert set(known(store)) == {PARTNER.key}


async def test_a_store_that_cannot_be_written_is_told_of_once_and_tried_again(
    store: Store,
) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE capabilities RENAME TO away"))
    made = CapabilityNotes(store)
    made.note(seen(CBC))
    with capture_logs() as lines:
        task = asyncio.create_task(made.write_always(0.01))
        await asyncio.sleep(0.2)
        made.note(seen(CBC, who="second@y.org"))
        with store.engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO capabilities"))
        await until_written(store, 2)
        await ended(task)
    events = [line["event"] for line in lines]
    assert events.count("capabilities not written") == 1
    assert "example.org" not in repr(lines)


async def test_a_newer_word_is_not_overwritten_by_the_batch_that_failed(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE capabilities RENAME TO away"))
    made = CapabilityNotes(store)
    made.note(seen(GCM, LATER))
    task = asyncio.create_task(made.write_always(0.01))
    await asyncio.sleep(0.1)
    made.note(seen(CBC))
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO capabilities"))
    await until_written(store, 1)
    await ended(task)
    assert known(store) == {PARTNER.key: encode_capabilities(GCM)}


def test_no_more_wait_than_there_is_room_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CapabilityNotes, "most", 2)
    made = CapabilityNotes(store)
    for number in range(4):
        made.note(seen(CBC, who=f"p{number}@y.org"))
    made.note(seen(GCM, LATER, "p0@y.org"))
    waiting = {one.mailbox.key: one.capabilities for one in made._take()}
    assert waiting == {"p0@y.org": GCM, "p1@y.org": CBC}


def key_notes(store: Store, harvest: Harvest = Harvest.ASK) -> tuple[KeyNotes, list[str]]:
    counted_: list[str] = []
    return KeyNotes(store, harvest, counted_.append, lambda: NOW), counted_


async def until_counted(counts: list[str], number: int) -> None:
    for _ in range(500):
        if len(counts) == number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(counts)


async def test_keys_are_written_soon_counted_and_told_of(store: Store, act: Act) -> None:
    anchors.add(store, act, (ROOT.certificate,))
    made, counts = key_notes(store, Harvest.TRUSTED)
    alone = key("eve@y.org", identity=pki.person(None, "eve@y.org", kind="p256"), anchor="")
    first = key()
    with capture_logs() as lines:
        task = asyncio.create_task(made.write_always(0.01))
        for found in (first, first, alone):
            made.note(found)
        await until_counted(counts, 2)
        await ended(task)
    assert counts == ["accepted", "pending"]
    assert [one.certificate for one in partners.listing(store)] == [first.certificate]
    told = [(line["event"], line["log_level"], line.get("warning", "")) for line in lines]
    assert ("key_accepted", "info", "") in told
    assert ("key_pending", "warning", "untrusted") in told


async def test_keys_that_came_several_times_are_one_that_is_counted(store: Store) -> None:
    made, counts = key_notes(store)
    first = key()
    for _ in range(3):
        made.note(first)
    made.note(replace(first, at=NOW + timedelta(hours=1), message_id="<later@y.org>"))
    task = asyncio.create_task(made.write_always(0.01))
    await until_counted(counts, 1)
    await ended(task)
    (kept,) = waiting(store)
    assert (kept.count, kept.message_id) == (4, "<1@y.org>")
    assert kept.last_seen == NOW + timedelta(hours=1)


async def test_keys_wait_while_the_store_cannot_be_written(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE pending RENAME TO away"))
    made, counts = key_notes(store)
    made.note(key())
    with capture_logs() as lines:
        task = asyncio.create_task(made.write_always(0.01))
        await asyncio.sleep(0.2)
        with store.engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO pending"))
        await until_counted(counts, 1)
        await ended(task)
    assert [line["event"] for line in lines].count("keys not written") == 1


async def test_what_waited_too_long_is_tidied_up_even_when_no_mail_comes(store: Store) -> None:
    old = key(at=NOW - pending.EXPIRY * 2)
    with store.noticing() as noticing:
        noticing.written = pending.put(noticing.connection, old, Caution.NONE)
    made, counts = key_notes(store)
    task = asyncio.create_task(made.write_always(0.01))
    await until_counted(counts, 1)
    assert counts == ["expired"]
    assert not made._is_due()
    await ended(task)


def test_no_more_keys_wait_than_there_is_room_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyNotes, "most", 2)
    made, counts = key_notes(store)
    some = [key(f"p{number}@y.org") for number in range(4)]
    for found in (*some, some[0]):
        made.note(found)
    assert [one.count for one in made._take()] == [2, 1]
    assert counts == ["dropped"] * 2


async def test_keys_that_wait_at_the_end_are_written(store: Store) -> None:
    keys, counts = key_notes(store)
    task = asyncio.create_task(keys.write_always())
    await asyncio.sleep(0)
    keys.note(key())
    await ended(task)
    assert (len(waiting(store)), counts) == (1, [])  # nobody asks for the counts any more
