"""Mode `soft`: final refusals of ours become temporary ones, and nothing else changes."""

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.modes import Mode, softened
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import REPLIES, reply_for
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy
from smime_proxy.reply import EnhancedStatus, Reply, read_reply
from tests.fakes import AT, World, mail, session
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, TEAM, got, send, world
from tests.unit.smime.cases import enveloped, message


def test_only_soft_changes_what_is_said() -> None:
    refusal = reply_for("certificate_missing", "x@example.org: no certificate")
    assert Mode.ENFORCE.given(refusal) is Mode.OBSERVE.given(refusal) is refusal
    soft = Mode.SOFT.given(refusal)
    assert (soft.code, soft.enhanced, soft.text) == (450, "4.7.5", refusal.text)


KEPT = {"bad_parameter", "partly_refused"}  # a broken command; what the upstream refused


@pytest.mark.parametrize("situation", sorted(REPLIES))
def test_every_final_reply_of_the_table_becomes_temporary(situation: str) -> None:
    reply = reply_for(situation)
    soft = softened(reply)
    if situation in KEPT or not reply.is_permanent:
        assert soft is reply
    else:
        assert soft.is_temporary
        assert (soft.code % 100, soft.status, soft.text) == (
            reply.code % 100,
            reply.status,
            reply.text,
        )
        assert soft.enhanced.startswith("4.")


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504, 535, 538, 555])
def test_what_no_mail_hangs_on_stays_final(code: int) -> None:
    reply = Reply(code, EnhancedStatus(5, 1), "no")
    assert softened(reply) is reply


@pytest.mark.parametrize("line", ["5.1.1 user unknown", "no"])
def test_what_the_upstream_says_stays_as_it_is(line: str) -> None:
    reply = read_reply(550, [line])
    assert softened(reply) is reply


def soft(policy: Policy | None = None) -> World:
    surroundings = world(policy)
    surroundings.mode = Mode.SOFT
    return surroundings


async def test_a_copy_that_we_refuse_behind_others_that_were_sent_comes_again() -> None:
    """The upstream takes so much, and the encrypted copy grew; a report would be the end of it."""
    content = mail(ALICE, PARTNER, STRANGER)
    for mode, code in ((Mode.ENFORCE, 250), (Mode.SOFT, 451)):
        surroundings = soft()
        surroundings.mode, surroundings.max_parallel_copies = mode, 1
        surroundings.outside.extensions = Extensions(size=4000)
        reply = await send(surroundings, content, ALICE, PARTNER, STRANGER)
        assert reply.code == code
        reported = [ALICE] in got(surroundings)
        assert reported is (mode is Mode.ENFORCE)
    assert got(surroundings) == [[STRANGER]]
    assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 451
    assert got(surroundings) == [[STRANGER]]
    surroundings.outside.extensions = Extensions()
    assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER], [PARTNER]]
    assert surroundings.ledger is not None
    assert surroundings.ledger.entries == {}


async def test_what_the_upstream_refuses_for_good_is_reported_all_the_same() -> None:
    surroundings = soft()
    unknown = read_reply(550, ["5.1.1 user unknown"])
    surroundings.outside.faults[f"commit:{PARTNER}"] = unknown
    content = mail(ALICE, PARTNER, STRANGER)
    assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 250
    assert got(surroundings) == [[STRANGER], [ALICE]]


async def test_encrypted_mail_to_persons_and_a_team_waits_for_all_of_them() -> None:
    """The team would be told of by a report."""
    surroundings = soft()
    content = message(enveloped())
    reply = await send(surroundings, content, PARTNER, ALICE, TEAM, role=Role.INBOUND)
    assert (reply.code, reply.enhanced) == (550, "5.7.4")
    assert softened(reply).code == 450
    assert surroundings.inside.sent == surroundings.outside.sent == []
    labels = {"rule": "encrypted mail to a team account", "mode": "soft"}
    assert ("refused", labels) in surroundings.measures.counted


async def test_a_sent_copy_that_we_refuse_keeps_the_mail_back() -> None:
    surroundings = soft(Policy(sent_copy="maildir:///x"))
    surroundings.copies.extensions = Extensions(size=100)
    assert (await send(surroundings, mail(ALICE, PARTNER), ALICE, PARTNER)).code == 451
    assert surroundings.outside.sent == []


async def test_by_lmtp_who_is_refused_by_us_comes_again_with_what_was_filed() -> None:
    surroundings = soft(
        Policy(
            encrypt=Encrypt.REQUIRED,
            on_missing_certificate=OnMissingCertificate.REJECT_THOSE,
            sent_copy="maildir:///x",
        )
    )
    for _ in range(2):
        talk = Gateway(surroundings.context()).begin(session(protocol="LMTP"))
        await talk.mail(parse_mailbox(ALICE), ())
        for recipient in (PARTNER, STRANGER):
            await talk.rcpt(ForwardPath(parse_mailbox(recipient)))
        content = mail(ALICE, PARTNER, STRANGER)
        each = await talk.data_each(content, AT, lambda: False)
        assert [softened(reply).code for reply in each] == [250, 450]
    assert len(surroundings.copies.sent) == 1
