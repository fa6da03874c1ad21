"""What ends is shown, warned of once a day, and told by mail once at each number of days."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.admin import expiry_watch
from smime_proxy.admin.expiry import Expiry, Use
from smime_proxy.admin.expiry_watch import MAX_EACH, ExpiryWatch, Notified, _measured, due_day
from smime_proxy.policy.rules import Rules
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.errors import unreachable
from smime_proxy.stores import accounts, anchors, keys
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.open import open_store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.fakes import FakeUpstream
from tests.pki import NOW
from tests.unit.stores.made import ALICE, account, bundle

DAY = timedelta(days=1)
DAYS = (30, 14, 7, 1)
ADMINISTRATOR = parse_mailbox("postmaster@example.com")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make a store with alice, whose key ends in 20 days, and an anchor that lasts."""
    store = open_store("sqlite", tmp_path / "state", None, migrate=False).store
    act, root = Act("admin", NOW), pki.root()
    anchors.add(store, act, [root.certificate], Scope())
    accounts.add(store, act, account("alice@example.com"))
    give(store, pki.person(root, "alice@example.com", not_after=NOW + 20 * DAY))
    return store


def give(store: Store, identity: pki.Identity) -> None:
    keys.import_key(store, Act("admin", NOW), ALICE, bundle(identity))


def watch(store: Store, upstream: FakeUpstream | None = None, **more: Any) -> ExpiryWatch:
    def read() -> Snapshot:
        with store.reading() as connection:
            return Snapshot.load(connection, store.vault)

    told = Notified(**{"administrator": ADMINISTRATOR, "days": DAYS, "upstream": upstream, **more})
    return ExpiryWatch(store, read, Rules(), "mail.example.com", told)


def sent(upstream: FakeUpstream) -> list[tuple[str, str]]:
    """Give recipient and subject of each mail."""
    found = []
    for one in upstream.sent:
        assert one.reverse_path is None
        subject = one.content.partition(b"\r\nSubject: ")[2].partition(b"\r\n")[0].decode()
        (recipient,) = one.recipients
        found.append((str(recipient), subject))
    return found


async def test_the_earliest_end_of_each_use_is_measured(store: Store) -> None:
    looking = watch(store)
    assert looking.gauges() == {}
    await looking.look(NOW)
    ends = (NOW + 20 * DAY).timestamp()
    anchor = pki.root().certificate.not_after.timestamp()
    shown = looking.gauges()
    uses = {"signing": ends, "encryption": ends, "anchor": anchor}
    assert {use: shown[f"expiry_seconds\t{use}"] for use in uses} == uses
    each = {full.split("\t")[1]: end for full, end in shown.items() if full.startswith("certif")}
    assert each == uses
    assert len(shown) == 2 * len(uses)


def test_only_so_many_certificates_are_measured_each_by_itself() -> None:
    ends = [NOW + number * timedelta(hours=1) for number in range(3 * MAX_EACH)]
    certificate = pki.root().certificate
    found = [
        Expiry(Use.ANCHOR, end, replace(certificate, fingerprint=f"{number:016}"))
        for number, end in enumerate(ends)
    ]
    shown = _measured(found)
    assert len(shown) == MAX_EACH + 1
    assert shown["certificate_expiry_seconds\tanchor\t0000000000000000"] == NOW.timestamp()
    assert shown["expiry_seconds\tanchor"] == NOW.timestamp()


async def warned(store: Store, at: datetime) -> list[str]:
    with capture_logs() as lines:
        await watch(store).look(at)
    return [f"{one['use']} {one['days']}" for one in lines if one["event"] == "expires"]


async def test_there_is_one_warning_a_day_whoever_looks(store: Store) -> None:
    assert await warned(store, NOW - 11 * DAY) == []
    assert await warned(store, NOW) == ["encryption 20", "signing 20"]
    assert await warned(store, NOW + timedelta(hours=11)) == []
    assert await warned(store, NOW + timedelta(hours=13)) == ["encryption 19", "signing 19"]
    assert await warned(store, NOW + 30 * DAY) == ["encryption -10", "signing -10"]
    assert await warned(store, NOW + 51 * DAY) == []


async def test_a_successor_ends_the_warnings(store: Store) -> None:
    give(store, pki.person(pki.root(), "alice@example.com", not_before=NOW + DAY))
    assert await warned(store, NOW) == []


async def test_the_administrator_gets_one_mail_at_each_number_of_days(store: Store) -> None:
    upstream = FakeUpstream()
    for days in range(-15, 55):
        at = NOW + days * DAY + timedelta(hours=1)
        await watch(store, upstream).look(at)  # a new process each day
    subject = "[smime-proxy] 2 keys or certificates end"
    assert sent(upstream) == [(str(ADMINISTRATOR), subject)] * 5
    assert b"signs its mail expires" in upstream.sent[-2].content
    assert b"signs its mail expired" in upstream.sent[-1].content


async def test_an_account_is_told_of_its_own_only_when_set(store: Store) -> None:
    upstream = FakeUpstream()
    await watch(store, upstream, administrator=None).look(NOW)
    assert sent(upstream) == []
    await watch(store, upstream, administrator=None, accounts=True).look(NOW)
    subject = "Your e-mail certificate expires on 2026-06-21"
    assert sent(upstream) == [("alice@example.com", subject)]


async def test_two_processes_that_look_at_once_send_one_mail(store: Store) -> None:
    upstream = FakeUpstream()
    await asyncio.gather(*(watch(store, upstream).look(NOW) for _ in range(4)))
    assert len(sent(upstream)) == 1


async def test_what_could_not_be_sent_is_sent_the_next_time(store: Store) -> None:
    with capture_logs() as lines:
        await watch(store, FakeUpstream(faults={"open": unreachable()})).look(NOW)
    assert "expiry notice not sent" in [one["event"] for one in lines]
    upstream = FakeUpstream()
    await watch(store, upstream).look(NOW + timedelta(hours=1))
    assert len(sent(upstream)) == 1


async def test_what_was_refused_for_good_is_not_sent_every_hour(store: Store) -> None:
    refusal = Reply(550, EnhancedStatus(1, 1), "no such user")
    upstream = FakeUpstream(faults={"rcpt": refusal})
    with capture_logs() as lines:
        await watch(store, upstream).look(NOW)
    assert "expiry notice refused" in [one["event"] for one in lines]
    upstream.faults.clear()
    await watch(store, upstream).look(NOW + timedelta(hours=1))
    assert sent(upstream) == []


async def test_it_looks_again_when_the_store_has_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_SECONDS", "CHANGED_SECONDS"):
        monkeypatch.setattr(expiry_watch, name, 0.01)
    looking = watch(store)
    task = asyncio.ensure_future(looking.watch())
    try:
        async with asyncio.timeout(10):
            while not looking.gauges():  # noqa: ASYNC110 - it tells nobody that it has looked
                await asyncio.sleep(0.01)
            give(store, pki.person(pki.root(), "alice@example.com", not_before=NOW))
            ends = pki.NOT_AFTER.timestamp()
            while looking.gauges().get("expiry_seconds\tsigning") != ends:  # noqa: ASYNC110 - same
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_store_that_cannot_be_read_does_not_end_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry_watch, "FIRST_SECONDS", 0.0)
    looking = watch(store)
    (store.path).write_bytes(b"damaged" * 1000)
    with capture_logs() as lines:
        looking._snapshot = lambda: None  # type: ignore[assignment,return-value]  # only compared
        task = asyncio.ensure_future(looking.watch())
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
    assert [one["event"] for one in lines] == ["expiry not looked at"]


@pytest.mark.parametrize(
    ("left", "day"),
    [(31, -1), (30, 30), (20, 30), (14, 14), (8, 14), (7, 7), (1, 1), (0, 0), (-1, 0)],
)
def test_the_number_of_days_is_the_least_that_was_reached(left: int, day: int) -> None:
    expiry = Expiry(Use.ANCHOR, NOW + left * DAY, pki.root().certificate)
    assert due_day(expiry, DAYS, NOW) == day
