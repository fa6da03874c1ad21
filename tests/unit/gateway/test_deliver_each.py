"""Delivery for LMTP clients: a reply for each recipient, in RCPT order, whatever the others get."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.deadlines import Deadlines
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy
from smime_proxy.reply import Reply
from tests.fakes import AT, OK, World, lost, mail, session
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
    world,
)
from tests.unit.gateway.test_sending import entries, hidden, settled, slow
from tests.unit.smime.cases import enveloped, message

BOTH = (PARTNER, STRANGER)  # one group each: encrypted and clear
TO_BOTH = mail(ALICE, *BOTH)
COPIES = Policy(sent_copy="maildir:///sent")
THOSE = Policy(encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)


async def send(
    surroundings: World,
    content: bytes,
    sender: str | None,
    *recipients: str,
    role: Role = Role.OUTBOUND,
    gone: bool = False,
) -> list[Reply]:
    """Send one mail by LMTP; every MAIL and RCPT must be accepted."""
    talk = Gateway(surroundings.context()).begin(session(role, protocol="LMTP"))
    assert (await talk.mail(parse_mailbox(sender) if sender else None, ())).code == 250
    for recipient in recipients:
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    replies = await talk.data_each(content, AT, lambda: gone)
    assert leaks(surroundings) == 0
    return list(replies)


async def test_r09_three_groups_have_three_replies_in_the_order_of_the_recipients() -> None:
    """R09."""
    surroundings = world()
    blind, known = parse_mailbox("blind@example.org"), surroundings.directory.partners
    known[blind] = [replace(known[parse_mailbox(PARTNER)][0], bound_to=(blind,))]
    surroundings.outside.faults[f"commit:{PARTNER}"] = UNKNOWN
    surroundings.outside.faults["commit:blind@example.org"] = BUSY
    recipients = (PARTNER, STRANGER, "blind@example.org", STRANGER)
    replies = await send(surroundings, mail(ALICE, PARTNER), ALICE, *recipients)
    assert replies == [UNKNOWN, OK, BUSY, OK]
    assert got(surroundings) == [[STRANGER, STRANGER]]


async def test_a_copy_that_may_have_been_sent_is_counted_and_logged_under_its_transaction() -> None:
    surroundings = world()
    surroundings.outside.faults[f"commit:{PARTNER}"] = lost()
    with capture_logs() as lines:
        replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH)
    assert replies == [lost().reply, OK]
    assert surroundings.measures.counted.count(("dup_possible", {})) == 1
    (doubt,) = [line for line in lines if line["event"] == "dup_possible"]
    assert doubt["id"] in {line["id"] for line in lines if line["event"] == "delivery"}


@pytest.mark.parametrize("step", ["open", "mail", "rcpt", "prepare", "commit"])
async def test_what_one_group_is_refused_is_no_concern_of_the_other(step: str) -> None:
    surroundings = world()
    talk = Gateway(surroundings.context()).begin(session(protocol="LMTP"))
    await talk.mail(parse_mailbox(ALICE), ())
    for recipient in BOTH:
        await talk.rcpt(ForwardPath(parse_mailbox(recipient)))
    if step in {"open", "mail"}:
        surroundings.outside.faults[step] = lost() if step == "open" else BUSY
        expected = [lost().reply if step == "open" else BUSY] * 2
    else:
        surroundings.outside.faults[f"{step}:{PARTNER}"] = UNKNOWN
        expected = [UNKNOWN, OK]
    assert list(await talk.data_each(mail(ALICE, *BOTH), AT, lambda: False)) == expected
    assert leaks(surroundings) == 0


async def test_one_group_uses_the_transaction_the_client_opened() -> None:
    surroundings = World()
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{BOB}"] = UNKNOWN
    replies = await send(surroundings, mail("x@y.org", BOB), "x@y.org", TEAM, BOB)
    assert (replies, surroundings.outside.opened) == ([OK, UNKNOWN], 1)


async def test_teams_are_refused_by_themselves_and_nothing_is_reported() -> None:
    """R09; also of a sender no report may go to."""
    for sender in (STRANGER, None):
        surroundings = world()
        replies = await send(
            surroundings, message(enveloped()), sender, ALICE, TEAM, BOB, role=Role.INBOUND
        )
        assert [(reply.code, reply.enhanced) for reply in replies] == [
            (250, "2.0.0"),
            (550, "5.7.4"),
            (250, "2.0.0"),
        ]
        assert TEAM in replies[1].text
        assert surroundings.outside.sent == []
        delivered = {str(one) for sent in surroundings.inside.sent for one in sent.recipients}
        assert delivered == {ALICE, BOB}
        counted = [name for name, _ in surroundings.measures.counted]
        assert "refused" in counted
        assert "reported" not in counted


async def test_those_without_a_certificate_hear_of_it_alone() -> None:
    surroundings = world(THOSE)
    replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, STRANGER, PARTNER)
    assert [(reply.code, reply.enhanced) for reply in replies] == [(550, "5.7.5"), (250, "2.0.0")]
    assert got(surroundings) == [[PARTNER]]


async def test_mail_that_is_refused_as_a_whole_is_refused_for_each() -> None:
    surroundings = world(replace(THOSE, on_missing_certificate=OnMissingCertificate.REJECT_ALL))
    replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, STRANGER, PARTNER)
    assert [reply.enhanced for reply in replies] == ["5.7.5", "5.7.5"]
    assert got(surroundings) == []


@pytest.mark.parametrize("step", ["prepare", "commit"])
@pytest.mark.parametrize("who", BOTH)
async def test_the_unforeseen_is_451_for_each(step: str, who: str) -> None:
    """I11: who has it already gets it once."""
    surroundings = world(COPIES)
    surroundings.outside.faults = {f"{step}:{who}": RuntimeError("x")}
    replies = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert [reply.enhanced for reply in replies] == ["4.3.0", "4.3.0"]
    surroundings.outside.faults.clear()
    replies = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert [reply.code for reply in replies] == [250, 250]
    assert sorted(got(surroundings)) == [[PARTNER], [STRANGER]]
    assert (len(surroundings.copies.sent), entries(surroundings)) == (1, [])


async def test_a_client_that_left_gets_nothing_sent() -> None:
    """R20."""
    surroundings = world(COPIES)
    replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH, gone=True)
    assert [reply.code for reply in replies] == [451, 451]
    assert (got(surroundings), surroundings.copies.sent) == ([], [])


@pytest.mark.parametrize("end", [OK, UNKNOWN])
async def test_the_sent_copy_is_filed_once_with_the_first_who_has_the_message(end: Reply) -> None:
    """However the retry for the others ends."""
    surroundings = world(COPIES)
    surroundings.outside.faults[f"commit:{PARTNER}"] = BUSY
    await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert (got(surroundings), len(surroundings.copies.sent)) == ([[STRANGER]], 1)
    await send(surroundings, TO_BOTH, ALICE, PARTNER)
    surroundings.outside.faults[f"commit:{PARTNER}"] = end
    assert await send(surroundings, TO_BOTH, ALICE, PARTNER) == [end]
    assert (len(surroundings.copies.sent), entries(surroundings)) == (1, [])


async def test_no_copy_is_filed_of_mail_nobody_has_or_that_it_keeps_back() -> None:
    surroundings = world(COPIES)
    surroundings.outside.faults["commit"] = BUSY
    assert await send(surroundings, TO_BOTH, ALICE, *BOTH) == [BUSY, BUSY]
    surroundings.outside.faults.clear()
    surroundings.copies.faults = {"prepare": BUSY}
    replies = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert [reply.code for reply in replies] == [451, 451]
    assert (got(surroundings), surroundings.copies.sent) == ([], [])
    surroundings.copies.faults = {"prepare": RuntimeError("x")}
    replies = await send(surroundings, mail(ALICE, PARTNER), ALICE, PARTNER)
    assert [reply.enhanced for reply in replies] == ["4.3.0"]


async def test_r22_a_group_without_an_answer_is_its_own_and_is_remembered() -> None:
    """R22, I11: it holds up nobody, and what the upstream says at last is told to the retry."""
    surroundings, event = slow(f"commit:{PARTNER}")
    replies = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert [reply.code for reply in replies] == [451, 250]
    assert "may have been sent" in replies[0].text
    assert got(surroundings) == [[STRANGER]]
    (retry,) = await send(surroundings, TO_BOTH, ALICE, PARTNER)
    assert (retry.code, "being sent" in retry.text) == (451, True)
    event.set()
    await settled(surroundings)
    assert [reply.code for reply in await send(surroundings, TO_BOTH, ALICE, PARTNER)] == [250]
    assert got(surroundings) == [[STRANGER], [PARTNER]]
    assert entries(surroundings) == []


async def test_no_dot_is_sent_when_there_is_no_time_for_an_answer() -> None:
    """The commit gate, for one group of two and for the only one."""
    for recipients in (BOTH, BOTH[:1]):
        surroundings, _ = slow(f"prepare:{PARTNER}")
        replies = await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)
        assert [reply.code for reply in replies] == [451, 250][: len(recipients)]
        assert "nothing was sent" in replies[0].text
        assert got(surroundings) == [[STRANGER]][: len(recipients) - 1]
    surroundings, _ = slow("prepare", COPIES)
    surroundings.outside.held, surroundings.copies.held = {}, surroundings.outside.held
    replies = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert ([reply.code for reply in replies], got(surroundings)) == ([451, 451], [])


async def test_a_client_that_left_before_it_was_answered_finds_it_done() -> None:
    surroundings = world(COPIES)
    looks = [False, True]
    talk = Gateway(surroundings.context()).begin(session(protocol="LMTP"))
    await talk.mail(parse_mailbox(ALICE), ())
    for recipient in BOTH:
        await talk.rcpt(ForwardPath(parse_mailbox(recipient)))
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    replies = await talk.data_each(TO_BOTH, AT, lambda: looks.pop(0))
    assert (list(replies), looks) == ([OK, UNKNOWN], [])
    replies = tuple(await send(surroundings, TO_BOTH, ALICE, *BOTH))
    assert [reply.code for reply in replies] == [250, 550]
    assert (got(surroundings), len(surroundings.copies.sent)) == ([[PARTNER]], 1)
    assert entries(surroundings) == []
    assert [reply.code for reply in await send(surroundings, TO_BOTH, ALICE, PARTNER)] == [250]
    assert got(surroundings) == [[PARTNER], [PARTNER]]


async def test_an_attempt_ended_by_force_goes_on_with_the_dots_that_were_sent() -> None:
    """I18, I4: and who has it already is written down."""
    surroundings, event = slow(f"commit:{PARTNER}")
    surroundings.deadlines = Deadlines(gate=10, answer=20)
    task = asyncio.create_task(send(surroundings, TO_BOTH, ALICE, *BOTH))
    await asyncio.sleep(0.1)
    assert got(surroundings) == [[STRANGER]]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert leaks(surroundings) == 0
    event.set()
    await settled(surroundings)
    assert entries(surroundings) == [True, True]
    assert [one.code for one in await send(surroundings, TO_BOTH, ALICE, *BOTH)] == [250, 250]
    assert got(surroundings) == [[STRANGER], [PARTNER]]


async def test_more_copies_than_may_be_held_at_once_go_in_waves() -> None:
    surroundings = world()
    surroundings.max_parallel_copies = 3
    everybody = hidden(surroundings, 7)
    surroundings.outside.faults[f"commit:{everybody[1]}"] = BUSY
    replies = await send(surroundings, mail(ALICE, PARTNER), ALICE, *everybody)
    assert [reply.code for reply in replies] == [250, 450, *[250] * 5]
    assert surroundings.outside.most == 3
    assert sorted(got(surroundings)) == sorted([one] for one in everybody if one != everybody[1])
    assert entries(surroundings) == []


async def test_without_a_recipient_left_nobody_is_told_anything() -> None:
    talk = Gateway(world().context()).begin(session(protocol="LMTP"))
    assert await talk.data_each(TO_BOTH, AT, lambda: False) == ()
