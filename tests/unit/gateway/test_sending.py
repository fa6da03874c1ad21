"""Dots in waves and in time: what is late is settled behind the client, and nothing goes twice."""

import asyncio
import gc
import time
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Envelope
from smime_proxy.gateway.deadlines import Deadlines
from smime_proxy.gateway.delivery import Group
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.work import Work
from smime_proxy.policy.rules import Policy
from smime_proxy.reply import Reply
from tests.fakes import FakeLedger, World, lost, mail
from tests.unit.gateway.cases import (
    ALICE,
    BOB,
    BUSY,
    PARTNER,
    STRANGER,
    TEAM,
    UNKNOWN,
    got,
    leaks,
    send,
    world,
)

BOTH = (PARTNER, STRANGER)
TO_BOTH, TO_ONE = mail(ALICE, *BOTH), mail(ALICE, STRANGER)
SHORT = Deadlines(gate=0.5, answer=0.9)  # seconds; the work itself takes some on a busy machine
NOT_NOW = (451, "4.4.2")


def entries(surroundings: World) -> list[bool]:
    assert surroundings.ledger is not None
    return sorted(surroundings.ledger.entries.values())


def slow(step: str, policy: Policy | None = None) -> tuple[World, asyncio.Event]:
    """Make a world whose upstream answers a step when the event comes."""
    surroundings, event = world(policy), asyncio.Event()
    surroundings.deadlines = SHORT
    surroundings.outside.held[step] = event
    return surroundings, event


async def settled(surroundings: World) -> None:
    """Wait until all that was late is written down."""
    chore = asyncio.create_task(surroundings.late.watch())
    await asyncio.sleep(0)
    chore.cancel()
    await asyncio.wait({chore})


def code(reply: Reply) -> tuple[int, str]:
    return reply.code, reply.enhanced


async def test_r22_an_upstream_that_does_not_answer_the_dot_is_not_waited_for_too_long() -> None:
    """R22, I11: its late 250 is remembered, and the client's retry is told of it."""
    surroundings, event = slow("commit")
    started = time.monotonic()
    reply = await send(surroundings, TO_ONE, ALICE, STRANGER)
    assert 0.8 < time.monotonic() - started < 5
    assert code(reply) == NOT_NOW
    assert "may have been sent" in reply.text
    assert entries(surroundings) == [False]
    retry = await send(surroundings, TO_ONE, ALICE, STRANGER)
    assert (code(retry), "being sent" in retry.text) == (NOT_NOW, True)
    event.set()
    await settled(surroundings)
    assert entries(surroundings) == [True]
    assert (await send(surroundings, TO_ONE, ALICE, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER]]
    assert entries(surroundings) == []


def held() -> int:
    """Count what holds the content of a message now."""
    gc.collect()
    return sum(
        isinstance(one, Work)
        or (isinstance(one, Group | Envelope) and bool(one.content))
        or (isinstance(one, Entries) and bool(one._content))
        for one in gc.get_objects()
    )


@pytest.mark.parametrize("raw", [TO_ONE, TO_BOTH], ids=["one", "several"])
@pytest.mark.parametrize("remembered", [True, False])
async def test_nothing_of_the_content_is_held_while_a_late_answer_is_awaited(
    raw: bytes, *, remembered: bool
) -> None:
    """I15: the memory counted for it was given back with the reply to the client."""
    surroundings, event = slow("commit")
    if not remembered:
        surroundings.ledger = None
    before = held()
    recipients = BOTH if raw is TO_BOTH else (STRANGER,)
    assert code(await send(surroundings, raw, ALICE, *recipients)) == NOT_NOW
    assert held() == before
    event.set()
    await settled(surroundings)
    assert len(got(surroundings)) == 1


async def test_the_copy_of_mail_that_was_answered_late_is_filed_with_the_retry() -> None:
    surroundings, event = slow("commit", Policy(sent_copy="maildir:///sent"))
    raw = mail(ALICE, PARTNER)
    assert code(await send(surroundings, raw, ALICE, PARTNER)) == NOT_NOW
    event.set()
    await settled(surroundings)
    assert surroundings.copies.sent == []
    assert (await send(surroundings, raw, ALICE, PARTNER)).code == 250
    assert (got(surroundings), len(surroundings.copies.sent)) == ([[PARTNER]], 1)


@pytest.mark.parametrize("fault", [BUSY, UNKNOWN, lost()])
async def test_a_late_refusal_makes_the_retry_a_new_attempt(fault: Reply | Exception) -> None:
    surroundings, event = slow("commit")
    surroundings.outside.faults["commit"] = fault
    assert code(await send(surroundings, TO_ONE, ALICE, STRANGER)) == NOT_NOW
    event.set()
    await settled(surroundings)
    assert entries(surroundings) == []
    surroundings.outside.faults.clear()
    assert (await send(surroundings, TO_ONE, ALICE, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER]]
    assert (("dup_possible", {}) in surroundings.measures.counted) is isinstance(fault, Exception)


async def test_what_comes_in_time_after_all_is_the_reply_and_leaves_no_entry() -> None:
    surroundings, event = slow("commit")
    asyncio.get_running_loop().call_later(0.05, event.set)
    assert (await send(surroundings, TO_ONE, ALICE, STRANGER)).code == 250
    assert entries(surroundings) == []
    assert surroundings.ledger is not None
    assert surroundings.ledger.done == []  # no database on the way


async def test_after_a_dot_without_answer_no_other_is_sent() -> None:
    for held, before in ((STRANGER, []), (PARTNER, [[STRANGER]])):
        surroundings, event = slow(f"commit:{held}")
        reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
        assert (code(reply), got(surroundings)) == (NOT_NOW, before)
        assert f"{len(before)} of 2" in reply.text
        event.set()
        await settled(surroundings)
        assert entries(surroundings) == [True] * (1 + len(before))
        assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
        assert got(surroundings) == [[STRANGER], [PARTNER]]
        assert entries(surroundings) == []


async def test_a_ledger_that_fails_then_costs_a_duplicate_and_is_counted() -> None:
    """I20."""
    surroundings, event = slow("commit")
    surroundings.ledger = FakeLedger(failing={"claim", "accept"})
    assert code(await send(surroundings, TO_ONE, ALICE, STRANGER)) == NOT_NOW
    event.set()
    await settled(surroundings)
    counted = {labels.get("operation") for name, labels in surroundings.measures.counted}
    assert {"claim", "accept"} <= counted


async def test_a_client_that_leaves_while_the_upstream_is_silent_is_written_down() -> None:
    surroundings, event = slow("commit")
    surroundings.deadlines = Deadlines(gate=10, answer=20)
    looks = [False, True]
    task = asyncio.create_task(send(surroundings, TO_ONE, ALICE, STRANGER, gone=looks))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if entries(surroundings):
            break
    assert entries(surroundings) == [False]
    looks.append(True)
    event.set()
    assert (await task).code == 250
    assert entries(surroundings) == [True]
    assert (await send(surroundings, TO_ONE, ALICE, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER]]


async def test_an_attempt_ended_by_force_goes_on_with_the_dot_that_was_sent() -> None:
    """I18, I4."""
    surroundings, event = slow("commit")
    surroundings.deadlines = Deadlines(gate=10, answer=20)
    for recipients, content in (((STRANGER,), TO_ONE), (BOTH, TO_BOTH)):
        before = len(got(surroundings))
        event.clear()
        task = asyncio.create_task(send(surroundings, content, ALICE, *recipients))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert leaks(surroundings) == 0
        event.set()
        await settled(surroundings)
        assert entries(surroundings) == [True]
        assert (await send(surroundings, content, ALICE, *recipients)).code == 250
        assert len(got(surroundings)) == before + len(recipients)


@pytest.mark.parametrize("recipients", [BOTH, BOTH[1:]])
async def test_no_first_dot_is_sent_when_there_is_no_time_for_an_answer(
    recipients: tuple[str, ...],
) -> None:
    """The commit gate."""
    surroundings, event = slow(f"prepare:{recipients[-1]}")
    reply = await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)
    assert code(reply) == NOT_NOW
    assert "nothing was sent" in reply.text
    event.set()
    assert (got(surroundings), entries(surroundings)) == ([], [])
    event.clear()
    asyncio.get_running_loop().call_later(0.7, event.set)  # too late, the client waits still
    reply = await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)
    assert (code(reply), got(surroundings)) == (NOT_NOW, [])
    assert (await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)).code == 250


async def test_i10_a_session_lost_while_others_were_prepared_stops_the_first_dot() -> None:
    surroundings = world()
    surroundings.outside.faults["session"] = lost()
    assert code(await send(surroundings, TO_BOTH, ALICE, *BOTH)) == NOT_NOW
    assert (got(surroundings), entries(surroundings)) == ([], [])


def hidden(surroundings: World, number: int) -> list[str]:
    """Make recipients that each get a copy of their own."""
    addresses = [f"h{n}@example.org" for n in range(number)]
    known = surroundings.directory.partners[parse_mailbox(PARTNER)][0]
    for address in addresses:
        mailbox = parse_mailbox(address)
        surroundings.directory.partners[mailbox] = [replace(known, bound_to=(mailbox,))]
    return addresses


async def test_more_copies_than_may_be_held_at_once_go_in_waves() -> None:
    surroundings = world()
    surroundings.max_parallel_copies = 3
    everybody = hidden(surroundings, 7)
    content = mail(ALICE, PARTNER)
    assert (await send(surroundings, content, ALICE, *everybody)).code == 250
    assert got(surroundings) == [[address] for address in everybody]
    assert surroundings.outside.most == 3
    assert entries(surroundings) == []


@pytest.mark.parametrize("step", ["prepare", "commit"])
@pytest.mark.parametrize("fault", [BUSY, lost(), UNKNOWN])
async def test_a_fault_in_a_later_wave_is_that_groups_own(
    step: str, fault: Reply | Exception
) -> None:
    surroundings = world()
    surroundings.max_parallel_copies = 2
    everybody = hidden(surroundings, 5)
    content = mail(ALICE, PARTNER)
    surroundings.outside.faults[f"{step}:{everybody[2]}"] = fault
    reply = await send(surroundings, content, ALICE, *everybody)
    served = [[address] for number, address in enumerate(everybody) if number != 2]
    if fault == UNKNOWN:
        assert (reply.code, got(surroundings)) == (250, [*served, [ALICE]])
        return
    assert (code(reply), got(surroundings)) == (NOT_NOW, served)
    assert "4 of 5" in reply.text
    surroundings.outside.faults.clear()
    assert (await send(surroundings, content, ALICE, *everybody)).code == 250
    assert got(surroundings) == [*served, [everybody[2]]]


async def test_a_fault_in_the_first_wave_before_its_dots_sends_nothing() -> None:
    """I10."""
    surroundings = world()
    surroundings.max_parallel_copies = 2
    everybody = hidden(surroundings, 3)
    surroundings.outside.faults[f"prepare:{everybody[1]}"] = BUSY
    assert await send(surroundings, mail(ALICE, PARTNER), ALICE, *everybody) == BUSY
    assert (got(surroundings), entries(surroundings)) == ([], [])


async def test_by_lmtp_those_refused_for_good_are_reported_and_the_others_have_it() -> None:
    """RFC 2033 4.2: one transaction, a reply for each."""
    surroundings = World()
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{BOB}"] = UNKNOWN
    reply = await send(surroundings, mail("x@y.org", BOB), "x@y.org", BOB, TEAM)
    assert reply.code == 250
    first, report = surroundings.outside.sent
    assert [str(item) for item in first.recipients] == [TEAM]
    assert [str(item) for item in report.recipients] == ["x@y.org"]
    assert f"Final-Recipient: rfc822; {BOB}\r\n".encode() in report.content
    assert TEAM.encode() not in report.content


async def test_by_lmtp_those_refused_for_now_are_tried_again() -> None:
    surroundings = World()
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{TEAM}"] = UNKNOWN
    surroundings.outside.faults[f"commit:{BOB}"] = BUSY
    reply = await send(surroundings, mail("x@y.org", BOB), "x@y.org", TEAM, BOB, ALICE)
    assert (reply.code, "1 of 3 recipients" in reply.text) == (451, True)
    assert got(surroundings) == [[ALICE]]
    surroundings.outside.faults.clear()
    reply = await send(surroundings, mail("x@y.org", BOB), "x@y.org", TEAM, BOB, ALICE)
    assert reply.code == 250
    assert got(surroundings) == [[ALICE], [TEAM, BOB]]
    assert entries(surroundings) == []


async def test_e74_by_lmtp_each_spelling_of_an_address_has_a_reply_of_its_own() -> None:
    """E74, I1: the last one does not speak for the others."""
    surroundings = World()
    surroundings.outside.lmtp = True
    shouted = BOB.replace("bob", "BOB")
    surroundings.outside.faults[f"commit:{shouted}"] = UNKNOWN
    reply = await send(surroundings, mail("x@y.org", BOB), "x@y.org", shouted, BOB)
    assert reply.code == 250
    assert got(surroundings) == [[BOB], ["x@y.org"]]  # the report


async def test_by_lmtp_a_first_group_that_nobody_got_stops_the_others() -> None:
    """I10: the reply is the one that may pass."""
    surroundings = world()
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    surroundings.outside.faults["commit:other@example.org"] = BUSY
    clear = (STRANGER, "other@example.org")
    reply = await send(surroundings, mail(ALICE, *clear, PARTNER), ALICE, *clear, PARTNER)
    assert (reply, got(surroundings)) == (BUSY, [])
