"""A message is known again by what it is, and what the ledger cannot do costs no mail."""

import asyncio
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Envelope, ForwardPath
from smime_proxy.gateway.delivery import Group, Kind
from smime_proxy.gateway.ledger import LARGE, Entries, digest, is_unique
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import LedgerError
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy
from tests.fakes import AT, FakeLedger, FakeUpstream, World, envelope, mail, session
from tests.unit.gateway.cases import ALICE, BUSY, PARTNER, STRANGER, got, send, world
from tests.unit.gateway.test_sending import hidden

SENDER, ONE, TWO = "s@example.test", "one@y.org", "two@y.org"
CONTENT = mail(SENDER, ONE, TWO)
BOTH = (PARTNER, STRANGER)
TO_BOTH = mail(ALICE, *BOTH)
THOSE = Policy(encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
RECEIVED = b"Received: from a by b with ESMTP id 1;\r\n\tMon, 01 Jun 2026 12:00:00 +0000\r\n"


@pytest.mark.parametrize(
    "front",
    [
        RECEIVED,
        RECEIVED * 2,
        b"Authentication-Results: mx; spf=pass\r\n" + RECEIVED,
        b"DKIM-Signature: v=1; t=17;\r\n b=abc\r\n",
        b"received : x\r\nReturn-Path: <a@b>\r\n",
        b"ARC-Seal: i=1\r\nReceived-SPF: pass\r\n",
    ],
)
def test_trace_fields_in_front_make_no_other_message(front: bytes) -> None:
    assert digest(front + CONTENT) == digest(CONTENT)


@pytest.mark.parametrize(
    "other",
    [
        CONTENT + b".",
        CONTENT.replace(b"<1@", b"<2@"),
        CONTENT.replace(b"12:00:00", b"12:00:01"),
        CONTENT.replace(b"Hello", b"hello"),
        CONTENT.replace(b"Subject", RECEIVED + b"Subject"),
        b"X-Received: 1\r\n" + CONTENT,
        b"\r\n" + CONTENT,
        b"",
    ],
)
def test_all_else_does(other: bytes) -> None:
    assert digest(other) != digest(CONTENT)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CONTENT, True),
        (b"From: a\r\nDATE : x\r\n\r\n", True),
        (b"message-id: <1>\r\n\r\n", True),
        (b"From: a\r\nDate: x\r\n", True),
        (b"From: a\r\n\r\nDate: x\r\nMessage-ID: <1>\r\n", False),
        (b"Subject: Date: x\r\n Message-ID: <1>\r\nX-Date: x\r\n", False),
        (b"", False),
    ],
)
def test_what_has_neither_identifier_nor_date_can_be_sent_twice(
    content: bytes, expected: object
) -> None:
    assert is_unique(content) is expected


async def test_r27_mail_of_a_program_that_always_sends_the_same_is_never_taken_for_a_retry() -> (
    None
):
    """R27, I1: without Message-ID and Date nothing tells the alert of today from yesterday's."""
    surroundings = world()
    head, _, body = mail(ALICE, STRANGER).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith((b"Date", b"Message-ID"))]
    content = b"\r\n".join([*lines, b"", body])
    left = [False, True]
    assert (await send(surroundings, content, ALICE, STRANGER, gone=left)).code == 250
    assert (await send(surroundings, content, ALICE, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER], [STRANGER]]


@pytest.mark.parametrize("content", [b"", b"\r\n", b"x", b":", b"Received: x", b"Received: x\r\n "])
def test_any_octets_have_a_digest(content: bytes) -> None:
    assert len(digest(content)) == 32


def sealed(world: World, *, content: bytes = CONTENT, sender: str | None = SENDER) -> Envelope:
    return envelope(content, sender, ONE, TWO)


def group(*addresses: str, kind: Kind = Kind.MESSAGE) -> Group:
    paths = tuple(ForwardPath(parse_mailbox(address)) for address in addresses)
    return Group(FakeUpstream(), None, paths, (b"",), kind=kind)


def entries(ledger: FakeLedger | None, **more: object) -> tuple[World, Entries]:
    world = World(ledger=ledger)
    return world, Entries(world.context(), sealed(world, **more))  # type: ignore[arg-type]


async def test_an_attempt_knows_what_one_before_has_written() -> None:
    ledger = FakeLedger()
    _, first = entries(ledger)
    both = group(ONE, TWO)
    await first.claim([both])
    await first.accept(both, both.paths[:1])
    await first.release()
    _, second = entries(ledger)
    await second.look([both])
    assert [str(path.mailbox) for path in second.rest(both).paths] == [TWO]
    await second.forget([both])
    assert ledger.entries == {}


async def test_senders_recipients_listeners_and_reports_have_entries_of_their_own() -> None:
    ledger = FakeLedger()
    for more in ({}, {"sender": None}, {"content": CONTENT + b"x"}):
        _, one = entries(ledger, **more)
        await one.claim([group(ONE, kind=kind) for kind in Kind])
    assert len(ledger.entries) == 9


async def test_what_somebody_else_settles_is_not_released() -> None:
    ledger = FakeLedger()
    _, one = entries(ledger)
    left, other = group(ONE), group(TWO)
    await one.claim([left, other])
    one.leave(left)
    await one.release()
    (name,) = ledger.entries
    assert ONE.encode() in name


async def test_only_a_claim_fails_with_the_ledger() -> None:
    """I20."""
    ledger = FakeLedger(failing={"look", "claim", "accept", "forget"})
    world, one = entries(ledger)
    both = group(ONE, TWO)
    assert not (await one.look([both])).served
    with pytest.raises(LedgerError):
        await one.claim([both])
    await one.accept(both, both.paths)
    await one.forget([both])
    counted = [labels["operation"] for name, labels in world.measures.counted]
    assert counted == ["look", "claim", "accept", "forget"]


async def test_without_a_ledger_nothing_is_known() -> None:
    _, one = entries(None)
    both = group(ONE, TWO)
    assert not (await one.claim([both])).served
    await one.accept(both, both.paths)
    await one.release()
    await one.forget([both])
    assert one.rest(both) == both


async def test_an_entry_of_a_process_that_ended_may_mean_a_duplicate() -> None:
    ledger = FakeLedger()
    _, first = entries(ledger)
    await first.claim([group(ONE)])
    ledger.dead = set(ledger.entries)
    world, second = entries(ledger)
    await second.claim([group(ONE)])
    assert ("dup_possible", {}) in world.measures.counted


async def test_an_empty_ledger_costs_one_copy_nothing() -> None:
    ledger = FakeLedger()
    _, one = entries(ledger)
    await one.look([group(ONE)])
    await one.forget([group(ONE)])
    await one.release()
    assert ledger.done == []


async def test_large_mail_is_digested_in_a_thread_to_the_same() -> None:
    large = CONTENT + b"x" * LARGE
    ledger = FakeLedger()
    _, one = entries(ledger, content=large)
    await one.claim([group(ONE)])
    (name,) = ledger.entries
    assert name.endswith(digest(large))


async def test_a_report_of_some_is_no_report_of_others() -> None:
    """I1: an MTA sends many recipients in several transactions; each of them has its own report."""
    surroundings = world(THOSE)
    left = [False, True]  # what was sent is remembered
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH, gone=left)).code == 250
    assert (await send(surroundings, TO_BOTH, ALICE, "friend@example.org", PARTNER)).code == 250
    assert got(surroundings) == [[PARTNER], [ALICE], [ALICE]]
    assert b"friend@example.org" in surroundings.outside.sent[-1].content
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250  # this one was told
    assert len(got(surroundings)) == 4  # but of the partner nothing is known any more


async def test_who_is_refused_since_an_attempt_before_is_reported_too() -> None:
    """I1: the report of that attempt does not name him."""
    surroundings = world(THOSE)
    known = surroundings.directory.partners
    surroundings.outside.faults[f"commit:{PARTNER}"] = BUSY
    other = parse_mailbox("other@example.org")
    known[other] = [replace(known[parse_mailbox(PARTNER)][0], bound_to=(other,))]
    recipients = (str(other), PARTNER, STRANGER)
    content = mail(ALICE, str(other))
    assert (await send(surroundings, content, ALICE, *recipients)).code == 451
    assert got(surroundings) == [[str(other)], [ALICE]]
    del known[parse_mailbox(PARTNER)]
    surroundings.outside.faults.clear()
    assert (await send(surroundings, content, ALICE, *recipients)).code == 250
    assert got(surroundings) == [[str(other)], [ALICE], [ALICE]]
    assert f"Final-Recipient: rfc822; {PARTNER}".encode() in surroundings.outside.sent[-1].content


async def test_transactions_of_one_mail_with_other_recipients_do_not_wait_for_each_other() -> None:
    """An MTA sends many recipients in several of them at once; the sent copy is none of theirs."""
    surroundings = world(Policy(sent_copy="maildir:///sent"))
    names = hidden(surroundings, 4)
    content = mail(ALICE, PARTNER)
    event = surroundings.outside.held[f"commit:{names[0]}"] = asyncio.Event()
    first = asyncio.create_task(send(surroundings, content, ALICE, *names[:2]))
    await asyncio.sleep(0.1)
    assert surroundings.ledger is not None
    assert list(surroundings.ledger.entries.values()) == [False, False]
    talk = Gateway(surroundings.context()).begin(session())
    await talk.mail(parse_mailbox(ALICE), ())
    for name in names[2:]:
        await talk.rcpt(ForwardPath(parse_mailbox(name)))
    assert (await talk.data(content, AT, lambda: False)).code == 250
    event.set()
    assert (await first).code == 250
    assert sorted(got(surroundings)) == [[name] for name in names]
    assert surroundings.ledger.entries == {}
