"""Delivery for LMTP clients: a reply for each recipient, in RCPT order, whatever the others get."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Role
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
from tests.unit.smime.cases import enveloped, message

BOTH = (PARTNER, STRANGER)  # one group each: encrypted and clear
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


async def test_the_unforeseen_is_451_for_each() -> None:
    surroundings = world(COPIES)
    faults = [f"{step}:{who}" for step in ("prepare", "commit") for who in BOTH]
    for fault in faults:
        surroundings.outside.faults = {fault: RuntimeError("x")}
        replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH)
        assert [reply.enhanced for reply in replies] == ["4.3.0", "4.3.0"]


async def test_a_client_that_left_gets_nothing_sent() -> None:
    """R20."""
    surroundings = world(COPIES)
    replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH, gone=True)
    assert [reply.code for reply in replies] == [451, 451]
    assert (got(surroundings), surroundings.copies.sent) == ([], [])


async def test_the_sent_copy_is_filed_when_nobody_waits_any_more() -> None:
    surroundings = world(COPIES)
    surroundings.outside.faults[f"commit:{STRANGER}"] = BUSY
    await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH)
    assert (len(got(surroundings)), surroundings.copies.sent) == (1, [])
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH)
    assert len(surroundings.copies.sent) == 1
    surroundings.copies.faults = {"prepare": BUSY}
    replies = await send(surroundings, mail(ALICE, *BOTH), ALICE, *BOTH)
    assert [reply.code for reply in replies] == [451, 451]
