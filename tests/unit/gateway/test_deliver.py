"""Delivery: all prepared before any dot, then groups, report and sent copy in this order."""

from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.deliver import deliver
from smime_proxy.gateway.delivery import Group
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.work import Work, make
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import MAX_GROUPS, Encrypt, OnMissingCertificate, Policy
from smime_proxy.reply import Reply
from tests.fakes import (
    AT,
    FakeLedger,
    FakeTransaction,
    World,
    envelope,
    lost,
    mail,
    session,
)
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
from tests.unit.smime.cases import enveloped, message

BOTH = (PARTNER, STRANGER)  # one group each: encrypted and clear
TO_BOTH = mail(ALICE, *BOTH)
COPIES = Policy(sent_copy="maildir:///sent")
THOSE = Policy(encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)


def entries(surroundings: World) -> dict[bytes, bool]:
    assert surroundings.ledger is not None
    return surroundings.ledger.entries


def paths_of(*addresses: str) -> tuple[ForwardPath, ...]:
    return tuple(ForwardPath(parse_mailbox(address)) for address in addresses)


@pytest.mark.parametrize("step", ["open", "mail", "rcpt", "prepare"])
@pytest.mark.parametrize("recipient", BOTH)
async def test_i10_a_fault_before_the_first_dot_sends_nothing(step: str, recipient: str) -> None:
    """I10, R05: with two groups, whatever goes wrong with either."""
    surroundings = world()
    context = surroundings.context()
    sealed = envelope(TO_BOTH, ALICE, *BOTH)
    work = make(context, sealed)
    assert isinstance(work, Work)
    opened = await surroundings.outside.open()
    fault = lost() if step == "open" else UNKNOWN
    named = step if step in {"open", "mail"} else f"{step}:{recipient}"
    surroundings.outside.faults[named] = fault
    outcome = await deliver(context, sealed, work, opened, lambda: False)
    assert outcome.reply == (fault.reply if step == "open" else UNKNOWN)  # type: ignore[union-attr]
    assert (surroundings.outside.sent, leaks(surroundings)) == ([], 0)


async def test_r05_when_the_first_dot_is_refused_no_other_is_sent() -> None:
    """R05."""
    surroundings = world()
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    surroundings.outside.faults[f"commit:{PARTNER}"] = UNKNOWN
    assert await send(surroundings, TO_BOTH, ALICE, *BOTH) == UNKNOWN
    assert got(surroundings) == []


async def test_r03_in_doubt_the_client_is_told_to_send_again() -> None:
    """R03: one group or the first of two."""
    for recipients in ([STRANGER], BOTH):
        surroundings = world()
        surroundings.outside.faults["commit"] = lost()
        reply = await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)
        assert (reply.code, reply.enhanced) == (451, "4.4.2")


async def test_partial_success_that_may_pass_says_how_many_have_it() -> None:
    """I11: and the client's retry goes to the rest only."""
    surroundings = world()
    for fault in (BUSY, lost()):
        surroundings.outside.faults[f"commit:{PARTNER}"] = fault
        reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
        assert reply.code == 451
        assert "1 of 2 recipients" in reply.text
    assert got(surroundings) == [[STRANGER]]
    assert ("partly_sent", {}) in surroundings.measures.counted
    surroundings.outside.faults.clear()
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [PARTNER]]


async def test_r27_what_was_answered_is_forgotten_and_the_same_again_is_new_mail() -> None:
    """R27: another Message-ID, and the very same octets."""
    surroundings = world()
    for content in (TO_BOTH, TO_BOTH.replace(b"<1@", b"<2@"), TO_BOTH):
        assert (await send(surroundings, content, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [PARTNER]] * 3
    assert entries(surroundings) == {}


async def test_r27_twins_sent_while_one_is_half_sent_are_two_messages() -> None:
    surroundings = world()
    surroundings.outside.faults[f"commit:{PARTNER}"] = BUSY
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 451
    surroundings.outside.faults.clear()
    assert (await send(surroundings, TO_BOTH.replace(b"<1@", b"<2@"), ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [STRANGER], [PARTNER]]


async def test_r15_several_copies_need_the_ledger_and_one_does_not() -> None:
    """R15: nothing was sent."""
    surroundings = world()
    surroundings.ledger = FakeLedger(failing={"look", "claim"})
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert (reply.code, reply.enhanced) == (451, "4.3.0")
    assert got(surroundings) == []
    assert (await send(surroundings, mail(ALICE, STRANGER), ALICE, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER]]
    counted = [labels for name, labels in surroundings.measures.counted if "ledger" in name]
    assert counted == [{"operation": "claim"}, {"operation": "look"}]


@pytest.mark.parametrize("failing", ["accept", "forget"])
async def test_r16_a_ledger_that_fails_after_an_acceptance_changes_no_reply(failing: str) -> None:
    """R16, I20."""
    surroundings = world()
    surroundings.ledger = FakeLedger(failing={failing})
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [PARTNER]]
    assert ("ledger_failures", {"operation": failing}) in surroundings.measures.counted


async def test_r18_what_another_attempt_is_sending_waits() -> None:
    """R18: until its process ends; then it is sent, and counted."""
    surroundings = world()
    stopped = surroundings.context()
    other = Entries(stopped, envelope(TO_BOTH, ALICE, *BOTH))
    await other.claim([Group(surroundings.outside, None, paths_of(*BOTH), ())])
    for content, recipients in ((TO_BOTH, BOTH), (TO_BOTH, BOTH[:1]), (TO_BOTH, BOTH[1:])):
        reply = await send(surroundings, content, ALICE, *recipients)
        assert (reply.code, reply.enhanced) == (451, "4.4.2")
        assert "being sent" in reply.text
    assert got(surroundings) == []
    assert surroundings.ledger is not None
    surroundings.ledger.dead = set(surroundings.ledger.entries)
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [PARTNER]]
    assert ("dup_possible", {}) in surroundings.measures.counted


async def test_every_entry_is_durable_before_the_dot_it_is_for() -> None:
    surroundings = world()
    ledger = surroundings.ledger
    assert ledger is not None
    seen = []
    commit = FakeTransaction.commit

    async def noted(transaction: FakeTransaction) -> tuple[Reply, ...]:
        seen.append(sorted(ledger.entries.values()))
        return await commit(transaction)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTransaction, "commit", noted)
        assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert seen == [[False, False], [False, True]]


@pytest.mark.parametrize("step", ["prepare", "commit"])
@pytest.mark.parametrize("fault", [BUSY, UNKNOWN, RuntimeError("x")])
async def test_when_nobody_got_it_nothing_is_remembered(
    step: str, fault: Reply | Exception
) -> None:
    surroundings = world()
    surroundings.outside.faults[step] = fault
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code >= 400
    assert entries(surroundings) == {}


async def test_a_client_that_left_before_it_was_answered_finds_it_done() -> None:
    for recipients in (BOTH, BOTH[:1]):
        surroundings = world(COPIES)
        content = mail(ALICE, *recipients)
        looks = [False, True]  # at first, and when it comes to the answer
        reply = await send(surroundings, content, ALICE, *recipients, gone=looks)
        assert (reply.code, looks) == (250, [])
        before = got(surroundings)
        assert len(before) == len(recipients)
        assert set(entries(surroundings).values()) == {True}
        reply = await send(surroundings, content, ALICE, *recipients)
        assert (reply.code, got(surroundings)) == (250, before)
        assert len(surroundings.copies.sent) == 1
        assert entries(surroundings) == {}
        assert (await send(surroundings, content, ALICE, *recipients)).code == 250
        assert got(surroundings) == before * 2
        assert len(surroundings.copies.sent) == 2


async def test_who_is_refused_while_others_have_it_from_before_is_reported() -> None:
    """R07 after I11: a permanent refusal of the rest, at any step."""
    for step in ("rcpt", "prepare", "commit"):
        surroundings = world()
        surroundings.outside.faults[f"commit:{PARTNER}"] = BUSY
        assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 451
        surroundings.outside.faults = {f"{step}:{PARTNER}": UNKNOWN} if step != "rcpt" else {}
        context = surroundings.context()
        sealed = envelope(TO_BOTH, ALICE, *BOTH)
        work = make(context, sealed)
        assert isinstance(work, Work)
        if step == "rcpt":
            surroundings.outside.faults = {f"rcpt:{PARTNER}": UNKNOWN}
        assert (await deliver(context, sealed, work, None, lambda: False)).reply.code == 250
        assert got(surroundings) == [[STRANGER], [ALICE]]
        assert entries(surroundings) == {}


async def test_a_report_is_sent_once_though_the_mail_comes_again() -> None:
    surroundings = world(THOSE)
    recipients = (*BOTH, "friend@example.org")
    content = mail(ALICE, *recipients)
    surroundings.outside.faults[f"commit:{ALICE}"] = BUSY
    assert (await send(surroundings, content, ALICE, *recipients)).code == 451
    assert got(surroundings) == [[PARTNER]]
    surroundings.outside.faults.clear()
    assert (await send(surroundings, content, ALICE, *recipients)).code == 250
    assert got(surroundings) == [[PARTNER], [ALICE]]


async def test_a_report_that_must_wait_makes_the_client_send_again() -> None:
    surroundings = world()
    surroundings.outside.faults = {f"commit:{PARTNER}": UNKNOWN, f"commit:{ALICE}": BUSY}
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert (reply.code, "1 of 2" in reply.text) == (451, True)
    del surroundings.outside.faults[f"commit:{ALICE}"]
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[STRANGER], [ALICE]]


async def test_r07_a_group_refused_for_good_is_reported_before_the_client_gets_250() -> None:
    """R07: null sender, automatic, headers only."""
    surroundings = world()
    surroundings.outside.faults[f"commit:{PARTNER}"] = UNKNOWN
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert reply.code == 250
    first, report = surroundings.outside.sent
    assert [str(item) for item in first.recipients] == [STRANGER]
    assert (report.reverse_path, [str(item) for item in report.recipients]) == (None, [ALICE])
    assert b"Auto-Submitted: auto-replied" in report.content
    assert PARTNER.encode() in report.content
    assert b"Status: 5.1.1" in report.content
    assert surroundings.measures.counted.count(("reported", {"mode": "enforce"})) == 1
    assert b"\r\ntext\r\n" not in report.content


async def test_r28_without_a_reverse_path_there_is_no_report() -> None:
    """R28, I12."""
    surroundings = world()
    surroundings.outside.faults[f"commit:{PARTNER}"] = UNKNOWN
    reply = await send(surroundings, TO_BOTH, None, *BOTH)
    assert (reply.code, "1 of 2 recipients" in reply.text) == (554, True)
    assert got(surroundings) == [[STRANGER]]
    for sent in surroundings.outside.sent:
        assert b"multipart/report" not in sent.content


async def test_a_report_that_cannot_be_sent_is_told_in_the_reply() -> None:
    surroundings = world()
    surroundings.outside.faults[f"commit:{PARTNER}"] = UNKNOWN
    surroundings.outside.faults[f"rcpt:{ALICE}"] = UNKNOWN
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert reply.code == 554
    assert "1 of 2 recipients" in reply.text
    assert "user unknown" in reply.text


async def test_r11_those_without_a_certificate_are_named_in_one_report() -> None:
    """R11."""
    surroundings = world(THOSE)
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 250
    assert got(surroundings) == [[PARTNER], [ALICE]]
    report = surroundings.outside.sent[1].content
    assert f"Final-Recipient: rfc822; {STRANGER}".encode() in report
    assert b"5.7.5" in report


async def test_a_report_that_is_refused_keeps_the_mail_back() -> None:
    """I1: nobody is left out silently."""
    surroundings = world(THOSE)
    surroundings.outside.faults[f"rcpt:{ALICE}"] = BUSY
    assert await send(surroundings, TO_BOTH, ALICE, *BOTH) == BUSY
    assert got(surroundings) == []


async def test_a_report_that_fails_at_its_dot_is_tried_again_with_the_mail() -> None:
    surroundings = world()
    context = surroundings.context()
    encrypted = envelope(message(enveloped()), STRANGER, ALICE, TEAM, role=Role.INBOUND)
    surroundings.outside.faults["commit"] = BUSY
    for expected in (451, 250):
        work = make(context, encrypted)
        assert isinstance(work, Work)
        assert [str(item.recipient) for item in work.plan.refused] == [TEAM]
        outcome = await deliver(context, encrypted, work, None, lambda: False)
        assert outcome.reply.code == expected
        surroundings.outside.faults.clear()
    assert [[str(item) for item in sent.recipients] for sent in surroundings.outside.sent] == [
        [STRANGER]
    ]
    # E70: within the hour the team gets the mail as it came instead of a second report.
    again = make(context, encrypted)
    assert isinstance(again, Work)
    assert again.plan.refused == ()


async def test_r20_a_client_that_left_before_the_dots_gets_nothing_sent() -> None:
    """R20."""
    surroundings = world(COPIES)
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH, gone=True)
    assert (reply.code, reply.enhanced) == (451, "4.4.2")
    assert (got(surroundings), surroundings.copies.sent) == ([], [])


async def test_more_groups_than_a_message_may_have_are_refused() -> None:
    surroundings = world()
    hidden = [f"h{number}@example.org" for number in range(MAX_GROUPS)]
    for address in (PARTNER, *hidden):
        mailbox = parse_mailbox(PARTNER)
        found = replace(
            surroundings.directory.partners[mailbox][0], bound_to=(parse_mailbox(address),)
        )
        surroundings.directory.partners.setdefault(parse_mailbox(address), []).append(found)
    content = mail(ALICE, PARTNER)
    reply = await send(surroundings, content, ALICE, PARTNER, *hidden)
    assert (reply.code, reply.enhanced) == (550, "5.5.3")
    assert f"more than {MAX_GROUPS} copies" in reply.text
    assert got(surroundings) == []
    assert (await send(surroundings, content, ALICE, PARTNER, *hidden[1:])).code == 250
    assert len(got(surroundings)) == MAX_GROUPS


async def test_the_sent_copy_is_filed_last_unencrypted_private_and_marked() -> None:
    surroundings = world(COPIES)
    content = mail(ALICE, PARTNER, body="canary\r\n", more=f"Bcc: {BOB}\r\n")
    assert (await send(surroundings, content, ALICE, PARTNER)).code == 250
    (copy,), (sent,) = surroundings.copies.sent, surroundings.outside.sent
    assert copy.order > sent.order
    assert [str(item) for item in copy.recipients] == [ALICE]
    assert b"canary" in copy.content
    assert b"canary" not in sent.content
    header = parse(copy.content).header
    assert header.first("sensitivity") == "Private"
    assert header.first("x-smime-copy") == "sent"
    assert not header.find("bcc")


async def test_a_copy_refused_for_now_is_451_and_nothing_is_sent() -> None:
    surroundings = world(COPIES)
    for step in ("rcpt", "prepare"):
        surroundings.copies.faults = {step: replace(BUSY, code=452)}
        reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
        assert (reply.code, reply.enhanced) == (451, "4.2.1")
    surroundings.copies.faults = {"open": lost()}
    assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code == 451
    assert (got(surroundings), surroundings.copies.sent) == ([], [])


@pytest.mark.parametrize(
    "faults",
    [
        {"rcpt": UNKNOWN},
        {"prepare": UNKNOWN},
        {"commit": UNKNOWN},
        {"commit": BUSY},
        {"commit": lost()},
        {"commit": RuntimeError("disk on fire")},
    ],
)
async def test_a_copy_refused_for_good_or_failing_late_leaves_the_mail_sent(
    faults: dict[str, object],
) -> None:
    surroundings = world(COPIES)
    surroundings.copies.faults = faults  # type: ignore[assignment]
    assert (await send(surroundings, mail(ALICE, PARTNER), ALICE, PARTNER)).code == 250
    assert len(got(surroundings)) == 1
    names = {name for name, _ in surroundings.measures.counted}
    assert names & {"sent_copies", "internal_errors"}


async def test_an_unforeseen_fault_of_the_copy_before_the_dot_leaks_no_transaction() -> None:
    surroundings = world(COPIES)
    surroundings.copies.faults = {"prepare": RuntimeError("no")}
    reply = await send(surroundings, TO_BOTH, ALICE, *BOTH)
    assert (reply.code, reply.enhanced) == (451, "4.3.0")
    assert got(surroundings) == []


async def test_no_copy_is_filed_of_mail_nobody_got_or_that_comes_again() -> None:
    for step in ("commit", f"commit:{PARTNER}"):
        surroundings = world(COPIES)
        surroundings.outside.faults[step] = BUSY
        assert (await send(surroundings, TO_BOTH, ALICE, *BOTH)).code in {450, 451}
        assert surroundings.copies.sent == []


async def test_e74_recipients_are_named_as_the_client_wrote_them() -> None:
    """E74: two that differ in case only stay two."""
    surroundings = world()
    recipients = ("Someone@example.org", "someone@example.org", PARTNER)
    assert (await send(surroundings, mail(ALICE, *recipients), ALICE, *recipients)).code == 250
    assert got(surroundings) == [["Someone@example.org", "someone@example.org"], [PARTNER]]


async def test_i9_one_group_has_the_upstreams_own_reply() -> None:
    """I9, R02."""
    for fault in (BUSY, UNKNOWN):
        surroundings = World()
        surroundings.outside.faults["commit"] = fault
        assert await send(surroundings, mail("x@y.org", BOB), "x@y.org", BOB) == fault
        assert got(surroundings) == []


async def test_who_wants_to_hear_of_nobodys_failure_gets_250_and_no_report() -> None:
    """RFC 3461 4.1: NOTIFY=NEVER under any conditions."""
    surroundings = World()
    surroundings.outside.lmtp = True
    surroundings.outside.extensions = Extensions(dsn=True)
    surroundings.outside.faults[f"commit:{BOB}"] = UNKNOWN
    talk = Gateway(surroundings.context()).begin(session())
    await talk.mail(parse_mailbox("x@y.org"), ())
    for address in (BOB, TEAM):
        await talk.rcpt(ForwardPath(parse_mailbox(address), ("NOTIFY=NEVER",)))
    assert (await talk.data(mail("x@y.org", BOB), AT, lambda: False)).code == 250
    assert got(surroundings) == [[TEAM]]


async def tls_all_the_way(surroundings: World) -> Reply:
    """Send mail to both with REQUIRETLS."""
    surroundings.outside.extensions = Extensions(requiretls=True)
    talk = Gateway(surroundings.context()).begin(session())
    await talk.mail(parse_mailbox(ALICE), ("REQUIRETLS",))
    for address in BOTH:
        await talk.rcpt(ForwardPath(parse_mailbox(address)))
    reply = await talk.data(TO_BOTH, AT, lambda: False)
    assert leaks(surroundings) == 0
    return reply


async def test_tls_all_the_way_holds_for_the_sent_copy_too() -> None:
    """RFC 8689: a place that cannot promise it gets none, and the mail stays sent."""
    surroundings = world(COPIES)
    assert (await tls_all_the_way(surroundings)).code == 250
    assert surroundings.copies.sent == []
    surroundings.copies.extensions = Extensions(requiretls=True)
    assert (await tls_all_the_way(surroundings)).code == 250
    (copy,) = surroundings.copies.sent
    assert "REQUIRETLS" in copy.parameters


async def test_tls_all_the_way_holds_for_a_report_too() -> None:
    """RFC 8689 5."""
    surroundings = world(THOSE)
    assert (await tls_all_the_way(surroundings)).code == 250
    assert got(surroundings) == [[PARTNER], [ALICE]]
    assert all("REQUIRETLS" in sent.parameters for sent in surroundings.outside.sent)


async def test_what_was_opened_is_encoded_for_a_server_that_takes_7_bit_only() -> None:
    """RFC 6152, E12: the reply says nothing of what was encrypted."""
    surroundings = world()
    surroundings.inside.extensions = Extensions(eightbitmime=False)
    inner = "Content-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n".encode()
    encrypted = message(enveloped(inner))
    assert (await send(surroundings, encrypted, STRANGER, ALICE, role=Role.INBOUND)).code == 250
    (sent,) = surroundings.inside.sent
    assert sent.content.isascii()
    assert b"smime-type=enveloped" not in sent.content
