"""Mode `observe`: whatever is decided, and whatever goes wrong with it, mail leaves as it came."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.deadlines import Deadlines
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.observing import Observed, observe
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.work import Refused, Work
from smime_proxy.policy.plan import SignThenEncrypt
from smime_proxy.policy.rules import (
    Encrypt,
    ListenerRule,
    OnMissingCertificate,
    Policy,
    Rules,
)
from smime_proxy.reply import EnhancedStatus, Reply
from tests.corpus import is_passed
from tests.fakes import AT, FakeMemory, World, envelope, mail, session
from tests.unit.gateway import cases
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, TEAM, got, send
from tests.unit.smime.cases import clear, message

REQUIRED = Policy(encrypt=Encrypt.REQUIRED)
UNKNOWN = Reply(550, EnhancedStatus(1, 1), "user unknown", is_foreign=True)


def observing(policy: Policy | None = None) -> World:
    surroundings = cases.world(policy)
    surroundings.mode = Mode.OBSERVE
    surroundings.memory = FakeMemory()
    return surroundings


def counts(surroundings: World, *names: str) -> list[tuple[str, Mapping[str, str]]]:
    return [one for one in surroundings.measures.counted if one[0] in names]


async def test_mail_leaves_as_it_came_and_what_would_have_left_is_counted() -> None:
    surroundings = observing(Policy(sent_copy="maildir:///x"))
    content = mail(ALICE, PARTNER, STRANGER, subject="[sign] Hello", more="Bcc: x@y.org\r\n")
    with capture_logs() as lines:
        assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 250
    (sent,) = surroundings.outside.sent
    assert is_passed(content, sent.content)
    assert got(surroundings) == [[PARTNER, STRANGER]]
    labels = {"outcome": "accepted", "mode": "observe"}
    assert counts(surroundings, "deliveries", "sent_copies") == [
        ("deliveries", {"treatment": "sign", **labels}),
        ("deliveries", {"treatment": "sign+encrypt", **labels}),
    ]
    assert [(line["to"], line["action"], line["mode"]) for line in lines] == [
        ([STRANGER], "sign", "observe"),
        ([PARTNER], "sign+encrypt", "observe"),
    ]
    assert surroundings.copies.opened == 0


async def test_a_refusal_is_only_counted_and_the_mail_has_a_line_of_its_own() -> None:
    surroundings = observing(REQUIRED)
    content = mail(ALICE, STRANGER)
    with capture_logs() as lines:
        assert (await send(surroundings, content, ALICE, STRANGER)).code == 250
    assert is_passed(content, surroundings.outside.sent[0].content)
    assert counts(surroundings, "refused", "deliveries") == [
        ("refused", {"rule": "encrypt", "mode": "observe"})
    ]
    refused, delivery = lines
    assert refused["reply"].startswith("550 5.7.5")
    assert (delivery["action"], delivery["rule"]) == ("relay", "observe")
    assert delivery["reply"] == "250 2.0.0 accepted"


async def test_who_would_be_told_by_a_report_of_is_served_and_nothing_is_reported() -> None:
    those = replace(REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)
    surroundings = observing(those)
    content = mail(ALICE, PARTNER, STRANGER)
    with capture_logs() as lines:
        assert (await send(surroundings, content, ALICE, PARTNER, STRANGER)).code == 250
    assert got(surroundings) == [[PARTNER, STRANGER]]
    assert counts(surroundings, "reported") == [("reported", {"mode": "observe"})]
    assert [(line["event"], line["to"]) for line in lines] == [
        ("delivery", [PARTNER]),
        ("reported", [STRANGER]),
        ("delivery", [STRANGER]),
    ]


async def test_the_upstreams_refusal_is_the_clients_answer() -> None:
    surroundings = observing()
    surroundings.outside.faults["commit"] = UNKNOWN
    assert await send(surroundings, mail(ALICE, STRANGER), ALICE, STRANGER) == UNKNOWN
    labels = {"treatment": "sign", "outcome": "refused", "mode": "observe"}
    assert counts(surroundings, "deliveries") == [("deliveries", labels)]


async def test_nothing_is_opened_learnt_or_remembered() -> None:
    surroundings = observing()
    signed = message(clear(), PARTNER)
    forged = b"X-SMIME-Badge: green\r\nAuthentication-Results: proxy.example.test; smime=pass\r\n"
    content = forged + signed
    reply = await send(surroundings, content, PARTNER, ALICE, role=Role.INBOUND)
    assert reply.code == 250
    assert is_passed(content, surroundings.inside.sent[0].content)
    assert len(counts(surroundings, "verdicts")) == 1
    assert (surroundings.seen, surroundings.found) == ([], [])
    assert surroundings.memory is not None
    assert surroundings.memory.known == set()


async def test_one_group_needs_no_ledger_even_of_many_recipients() -> None:
    surroundings = observing()
    assert surroundings.ledger is not None
    content = mail(ALICE, PARTNER, STRANGER)
    await send(surroundings, content, ALICE, PARTNER, STRANGER, "bob@example.test")
    assert (surroundings.outside.opened, surroundings.ledger.done) == (1, [])


async def test_by_lmtp_each_recipient_hears_what_the_upstream_said_of_him() -> None:
    surroundings = observing(REQUIRED)
    surroundings.outside.lmtp = True
    surroundings.outside.faults[f"commit:{STRANGER}"] = UNKNOWN
    talk = Gateway(surroundings.context()).begin(session(protocol="LMTP"))
    await talk.mail(parse_mailbox(ALICE), ())
    for recipient in (STRANGER, PARTNER, "other@example.org"):
        await talk.rcpt(ForwardPath(parse_mailbox(recipient)))
    each = await talk.data_each(mail(ALICE, STRANGER, PARTNER), AT, lambda: False)
    assert [reply.code for reply in each] == [550, 250, 250]
    assert len(surroundings.outside.sent) == 1


async def test_the_clients_wish_for_reports_counts_where_nothing_is_opened() -> None:
    surroundings = observing()
    surroundings.inside.extensions = replace(surroundings.inside.extensions, dsn=True)
    talk = Gateway(surroundings.context()).begin(session(Role.INBOUND))
    await talk.mail(parse_mailbox(PARTNER), ("RET=FULL",))
    await talk.rcpt(ForwardPath(parse_mailbox(ALICE)))
    await talk.data(mail(PARTNER, ALICE), AT, lambda: False)
    assert "RET=FULL" in surroundings.inside.sent[0].parameters


def broken(surroundings: World) -> None:
    def fail(_mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        raise RuntimeError("nobody foresaw it")

    surroundings.directory.partner_certificates = fail  # type: ignore[method-assign, assignment]


def unavailable(surroundings: World) -> None:
    surroundings.directory.unavailable.add(parse_mailbox(ALICE))


def unreadable(surroundings: World) -> None:
    assert surroundings.memory is not None
    surroundings.memory.broken = "no store"


@pytest.mark.parametrize(
    ("fault", "counted", "enforced"),
    [
        (broken, ("undecided", {"reason": "failed"}), "451 4.3.0"),
        (unavailable, ("refused", {"rule": "key unavailable", "mode": "observe"}), "451 4.7.5"),
        (unreadable, ("refused", {"rule": "memory unreadable", "mode": "observe"}), "451 4.3.0"),
    ],
)
async def test_what_fails_costs_no_mail_here_and_lets_none_through_anywhere_else(
    fault: Callable[[World], None], counted: tuple[str, Mapping[str, str]], enforced: str
) -> None:
    content = mail(ALICE, PARTNER, more="In-Reply-To: <x@y.org>\r\n")
    for mode in Mode:
        surroundings = observing(REQUIRED)
        surroundings.mode = mode
        fault(surroundings)
        with capture_logs() as lines:
            reply = await send(surroundings, content, ALICE, PARTNER)
        if mode is not Mode.OBSERVE:
            assert str(reply).startswith(enforced)
            assert surroundings.outside.sent == []
            continue
        assert reply.code == 250
        assert is_passed(content, surroundings.outside.sent[0].content)
        assert counts(surroundings, "undecided", "refused", "internal_errors")[0][0] == counted[0]
        assert [line for line in lines if line["event"] == "delivery"]


async def test_what_takes_too_long_is_not_waited_for() -> None:
    surroundings, go_on = observing(), threading.Event()
    surroundings.deadlines = Deadlines(0.2, 0.4)

    def slow(_mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        go_on.wait(30)
        return ()

    surroundings.directory.partner_certificates = slow  # type: ignore[method-assign, assignment]
    content, begun = mail(ALICE, PARTNER), time.monotonic()
    with capture_logs() as lines:
        assert (await send(surroundings, content, ALICE, PARTNER)).code == 250
    assert time.monotonic() - begun < 10
    go_on.set()
    assert is_passed(content, surroundings.outside.sent[0].content)
    assert counts(surroundings, "undecided") == [("undecided", {"reason": "late"})]
    assert [line["log_level"] for line in lines if line["event"] == "not decided"] == ["error"]


async def test_mail_that_goes_round_is_refused_even_if_it_cannot_be_read() -> None:
    deep = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(60)
    )
    loop = b"Received: from a by b; Mon, 1 Jun 2026 12:00:00 +0000\r\n" * 60
    for content, code in ((loop + deep, 554), (deep, 250), (loop + mail(ALICE, PARTNER), 554)):
        surroundings = observing()
        assert (await send(surroundings, content, ALICE, PARTNER)).code == code
        assert len(surroundings.outside.sent) == (code == 250)


async def test_who_may_send_at_all_is_no_matter_of_smime() -> None:
    surroundings = observing()
    required = ListenerRule(require_header={"X-Org": ("example.com",)})
    surroundings.rules = Rules(listeners={"out": required})
    context = surroundings.context()
    for field, passes in (("example.com", True), ("other.example", False)):
        content = mail(ALICE, PARTNER, more=f"X-Org: {field}\r\n")
        found = await observe(context, envelope(content, ALICE, PARTNER))
        assert isinstance(found, Observed) is passes
    doubled = mail(ALICE, PARTNER, more="X-Org: example.com\r\n" + "A: b\r\n" * 50_000)
    found = await observe(context, envelope(doubled, ALICE, PARTNER))
    assert isinstance(found, Refused)
    assert found.reply.code == 554
    known = envelope(mail(ALICE, PARTNER), ALICE, PARTNER, login=ALICE)
    assert isinstance(await observe(context, known), Observed)


async def test_what_would_have_been_done_is_what_would_have_been_sent() -> None:
    found = await observe(observing().context(), envelope(mail(ALICE, PARTNER), ALICE, PARTNER))
    assert isinstance(found, Observed)
    assert isinstance(found.instead, Work)
    (content,) = found.instead.contents
    assert isinstance(content.delivery.treatment, SignThenEncrypt)
    assert b"enveloped-data" in content.message


async def test_a_from_that_is_not_granted_and_a_team_are_only_observed() -> None:
    context = observing().context()
    foreign = envelope(mail(ALICE, STRANGER), ALICE, STRANGER, login="mallory")
    asks = envelope(mail(TEAM, PARTNER, subject="[encrypt] x"), TEAM, PARTNER)
    for message_, code in ((foreign, "5.7.1"), (asks, "5.7.4")):
        found = await observe(context, message_)
        assert isinstance(found, Observed)
        assert isinstance(found.instead, Refused)
        assert found.instead.reply.enhanced == code
