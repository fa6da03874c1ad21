"""Notes are written behind the mail: gathered, tried again, bounded, and never raising."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.cms.capabilities import encode_capabilities
from smime_proxy.stores import notes
from smime_proxy.stores.connection import Store
from smime_proxy.stores.notes import CapabilityNotes
from tests.pki import NOW
from tests.unit.stores.made import PARTNER
from tests.unit.stores.test_capabilities import CBC, GCM, LATER, counted, known, seen


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
    monkeypatch.setattr(notes, "MAX_WAITING", 2)
    made = CapabilityNotes(store)
    for number in range(4):
        made.note(seen(CBC, who=f"p{number}@y.org"))
    made.note(seen(GCM, LATER, "p0@y.org"))
    waiting = made._take()
    assert set(waiting) == {"p0@y.org", "p1@y.org"}
    assert waiting[parse_mailbox("p0@y.org").key].capabilities == GCM
