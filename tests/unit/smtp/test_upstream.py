"""Whole transactions with the scriptable sink."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.ports import Extensions, Transaction, Upstream, UpstreamError
from smime_proxy.reply import Reply
from smime_proxy.smtp.errors import ContentError, SmtpError
from smime_proxy.smtp.pool import PoolLimits
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.upstream import SmtpUpstream
from tests.sink import (
    Action,
    Close,
    Endless,
    Fault,
    Hang,
    Message,
    Reset,
    Say,
    Sink,
    Step,
    Trickle,
    Wait,
    listening,
)

ALICE = parse_mailbox("alice@example.com")
BOB = ForwardPath(parse_mailbox("bob@example.org"))
CAROL = ForwardPath(parse_mailbox("carol@example.org"))
CONTENT = [b"Subject: x\r\n\r\n", b".dot\r\n", b"..\r\n.\r\nend\r\n"]
ROOMY = Timeouts(10, 10, 10, 10, 10, 10, 10, 10)
SHORT = Timeouts(10, 10, command=0.3, mail=0.3, rcpt=0.3, data=0.3, block=0.3, dot=0.3)


@asynccontextmanager
async def relaying(sink: Sink, timeouts: Timeouts = ROOMY) -> AsyncIterator[SmtpUpstream]:
    upstream = SmtpUpstream(
        Relay("127.0.0.1", sink.port, tls="never"), "proxy.example", timeouts, PoolLimits()
    )
    yield upstream
    await upstream.close()


def test_it_is_an_upstream_of_the_gateway() -> None:
    upstream: Upstream = SmtpUpstream(Relay("mx", 25, tls="never"), "proxy.example")
    assert isinstance(upstream, SmtpUpstream)


async def envelope(upstream: Upstream, *paths: ForwardPath) -> Transaction:
    transaction = await upstream.open()
    assert (await transaction.mail(ALICE, ["BODY=8BITMIME"])).code == 250
    for path in paths or (BOB,):
        assert (await transaction.rcpt(path)).code == 250
    return transaction


async def send(upstream: Upstream, content: Sequence[bytes] = CONTENT) -> Reply:
    transaction = await envelope(upstream)
    refusal = await transaction.prepare(content)
    assert refusal is None
    return (await transaction.commit())[0]


async def settled(sink: Sink, connections: int) -> None:
    """Wait until the sink has so many connections open."""
    for _ in range(500):
        if sink.open == connections:
            return
        await asyncio.sleep(0.01)
    assert sink.open == connections


async def test_a_message_arrives_with_its_envelope_octet_for_octet() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        assert transaction.extensions == Extensions(
            eightbitmime=True, smtputf8=True, dsn=True, size=104857600
        )
        await transaction.mail(ALICE, ["BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"])
        await transaction.rcpt(ForwardPath(BOB.mailbox, ("NOTIFY=NEVER", "ORCPT=rfc822;B@x")))
        await transaction.rcpt(CAROL)
        assert await transaction.prepare(CONTENT) is None
        assert sink.messages == []
        assert str((await transaction.commit())[0]) == "250 2.0.0 Accepted as 1"
    wire = b"Subject: x\r\n\r\n..dot\r\n...\r\n..\r\nend\r\n"
    assert sink.messages == [
        Message(
            connection=1,
            reverse_path="alice@example.com",
            parameters=("BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"),
            recipients=("bob@example.org", "carol@example.org"),
            recipient_parameters=(("NOTIFY=NEVER", "ORCPT=rfc822;B@x"), ()),
            content=b"".join(CONTENT),
            wire=wire,
            tls=False,
            login="",
        )
    ]


async def test_the_null_reverse_path_is_served() -> None:
    """M11."""
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        assert (await transaction.mail(None, ())).code == 250
        assert sink.commands()[-1] == b"MAIL FROM:<>"


@pytest.mark.parametrize(
    "text",
    ['"a b"@example.org', "o'x+y=z@Example.ORG", "b\u00fccher@\u00e4.example", "a@[127.0.0.1]"],
)
async def test_addresses_leave_as_they_were_written(text: str) -> None:
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        mailbox = parse_mailbox(text)
        assert (await transaction.mail(mailbox, ["SMTPUTF8"])).code == 250
        assert (await transaction.rcpt(ForwardPath(mailbox))).code == 250
        assert sink.commands()[-2:] == [
            f"MAIL FROM:<{text}> SMTPUTF8".encode(),
            f"RCPT TO:<{text}>".encode(),
        ]


async def test_an_address_beyond_ascii_is_refused_where_the_upstream_takes_none() -> None:
    """M13, E44: nothing is sent, the session stays in step."""
    umlaut = parse_mailbox("b\u00fccher@example.org")
    async with Sink(extensions=["8BITMIME"]) as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        assert "5.6.7" in str(await transaction.mail(umlaut, ()))
        assert (await transaction.mail(ALICE, ())).code == 250
        assert "5.6.7" in str(await transaction.rcpt(ForwardPath(umlaut)))
        assert (await transaction.rcpt(BOB)).code == 250
        assert len(sink.commands()) == 3


@pytest.mark.parametrize("bad", ["a\r\nRSET", "a\nb", "a\x00", "a\x7f", "a\udc80"])
async def test_no_command_can_be_put_into_another(bad: str) -> None:
    mailbox = Mailbox(f"{bad}@example.org", "x@example.org")
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        assert (await transaction.mail(mailbox, ())).code == 501
        assert (await transaction.mail(ALICE, [bad])).code == 501
        assert (await transaction.mail(ALICE, ["A B"])).code == 501
        assert (await transaction.mail(ALICE, [""])).code == 501
        assert (await transaction.mail(ALICE, ())).code == 250
        assert (await transaction.rcpt(ForwardPath(mailbox))).code == 501
        assert (await transaction.rcpt(ForwardPath(BOB.mailbox, (bad,)))).code == 501
        assert len(sink.commands()) == 2


@pytest.mark.parametrize("hostname", ["", "a b", "a\r\nMAIL", "\u00fc.example"])
def test_a_name_that_cannot_be_said_in_ehlo_is_refused(hostname: str) -> None:
    with pytest.raises(SmtpError):
        SmtpUpstream(Relay("mx", 25, tls="never"), hostname)


async def test_refusals_reach_the_caller_as_they_are() -> None:
    """R01, R02, I9: code, status and every line of text; the session goes on."""
    async with listening() as sink, relaying(sink) as upstream:
        said = b"550-5.1.1 no such\r\n550 5.1.1 user\r\n"
        sink.faults[:] = [Fault(Step.RCPT, Say(said), nth=2)]
        transaction = await envelope(upstream)
        reply = await transaction.rcpt(CAROL)
        assert reply.encode() == said
        assert (await transaction.rcpt(ForwardPath(ALICE))).code == 250
        sink.faults[:] = [Fault(Step.DOT, Say(b"451 4.7.1 greylisted\r\n"))]
        assert await transaction.prepare(CONTENT) is None
        assert str((await transaction.commit())[0]) == "451 4.7.1 greylisted"
        sink.faults.clear()
        assert (await send(upstream)).code == 250
        assert sink.connections == 1
        assert [message.recipients for message in sink.messages] == [("bob@example.org",)]


async def test_data_refused_is_given_as_the_refusal() -> None:
    async with (
        listening(Fault(Step.DATA, Say(b"452 4.3.1 full\r\n"))) as sink,
        relaying(sink) as upstream,
    ):
        transaction = await envelope(upstream)
        assert str(await transaction.prepare(CONTENT)) == "452 4.3.1 full"
        await transaction.abort()
        sink.faults.clear()
        assert (await send(upstream)).code == 250
        assert sink.connections == 1


async def test_sessions_are_used_again_without_more_words() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        for _ in range(3):
            await send(upstream)
        assert sink.connections == 1
        verbs = [line.split()[0] for line in sink.commands()]
        assert verbs == [b"EHLO", *[b"MAIL", b"RCPT", b"DATA"] * 3]


async def test_transactions_at_once_have_a_session_each() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        replies = await asyncio.gather(*(send(upstream) for _ in range(20)))
        assert {reply.code for reply in replies} == {250}
        assert len(sink.messages) == 20
        assert {message.content for message in sink.messages} == {b"".join(CONTENT)}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Step.MAIL, Close(), nth=2, connection=1),
        Fault(Step.MAIL, Reset(), nth=2, connection=1),
        Fault(Step.MAIL, Say(b"421 4.4.2 idle\r\n", close=True), nth=2, connection=1),
        Fault(Step.MAIL, Say(b"421 4.7.0 enough\r\n"), nth=2, connection=1),
    ],
    ids=lambda fault: repr(fault.action),
)
async def test_a_session_closed_while_idle_is_replaced_before_mail_is_answered(
    fault: Fault,
) -> None:
    async with listening(fault) as sink, relaying(sink) as upstream:
        await send(upstream)
        with capture_logs() as logs:
            await send(upstream)
        assert logs == []
        assert sink.connections == 2
        assert len(sink.messages) == 2


async def test_a_fresh_session_that_closes_at_mail_is_not_tried_again() -> None:
    async with listening(Fault(Step.MAIL, Close())) as sink, relaying(sink) as upstream:
        transaction = await upstream.open()
        with pytest.raises(UpstreamError, match=r"^451 4\.4\.2 Nothing was sent"):
            await transaction.mail(ALICE, ())
        assert sink.connections == 1


async def test_a_replacement_that_offers_less_is_not_used_for_this_mail() -> None:
    """The parameters were chosen for the session that has gone."""
    async with (
        listening(Fault(Step.MAIL, Close(), nth=2, connection=1)) as sink,
        relaying(sink) as upstream,
    ):
        await send(upstream)
        sink.extensions = ["PIPELINING"]
        transaction = await upstream.open()
        with pytest.raises(UpstreamError, match=r"^451 4\.4\.2 "):
            await transaction.mail(ALICE, ["BODY=8BITMIME"])


async def test_a_421_closes_the_session_and_is_given_as_451() -> None:
    for step in (Step.RCPT, Step.DATA, Step.DOT):
        async with (
            listening(Fault(step, Say(b"421 4.3.2 stopping now\r\n"))) as sink,
            relaying(sink) as upstream,
        ):
            transaction = await upstream.open()
            await transaction.mail(ALICE, ())
            reply: Reply | None = await transaction.rcpt(BOB)
            if step is not Step.RCPT:
                reply = await transaction.prepare(CONTENT)
            if step is Step.DOT:
                (reply,) = await transaction.commit()
            assert str(reply) == "451 4.3.2 stopping now"
            await transaction.abort()
            await settled(sink, 0)


async def test_an_abort_before_data_resets_and_keeps_the_session() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        for _ in range(3):
            await (await envelope(upstream)).abort()
        await send(upstream)
        assert sink.connections == 1
        verbs = [line.split()[0] for line in sink.commands()]
        assert verbs == [b"EHLO", *[b"MAIL", b"RCPT", b"RSET"] * 3, b"MAIL", b"RCPT", b"DATA"]


async def test_without_pipelining_mail_waits_for_the_answer_to_rset() -> None:
    async with Sink(extensions=["8BITMIME"]) as sink, relaying(sink) as upstream:
        await (await envelope(upstream)).abort()
        await send(upstream)
        assert sink.connections == 1


@pytest.mark.parametrize("action", [Say(b"500 5.5.1 no\r\n"), Close(), Say(b"what\r\n")])
@pytest.mark.parametrize("extensions", [("PIPELINING", "8BITMIME"), ("8BITMIME",)])
async def test_a_session_that_does_not_reset_is_replaced(
    action: Action, extensions: Sequence[str]
) -> None:
    sink = Sink(extensions=extensions, faults=[Fault(Step.RSET, action)])
    async with sink, relaying(sink) as upstream:
        await (await envelope(upstream)).abort()
        await send(upstream)
        assert sink.connections == 2
        assert len(sink.messages) == 1


async def test_an_abort_of_an_unused_transaction_says_nothing() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        await (await upstream.open()).abort()
        await send(upstream)
        assert sink.connections == 1
        assert b"RSET" not in sink.commands()


async def test_an_abort_after_data_closes_without_the_dot() -> None:
    """R05, I10: nothing was sent."""
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await envelope(upstream)
        await transaction.prepare(CONTENT)
        await asyncio.sleep(0.05)
        assert not transaction.is_lost
        await transaction.abort()
        assert transaction.is_lost
        await settled(sink, 0)
        assert sink.messages == []
        assert len(sink.events("lost")) == 1
        with pytest.raises(UpstreamError):
            await transaction.commit()


async def test_a_prepared_message_is_with_the_upstream_but_for_the_dot() -> None:
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await envelope(upstream)
        await transaction.prepare([b"x" * 70 + b"\r\n"] * 100_000)
        await asyncio.sleep(0.2)
        await transaction.abort()
        await settled(sink, 0)
        assert len(sink.events("lost")[0].raw) == 7_200_000


async def test_a_finished_transaction_touches_the_session_no_more() -> None:
    """Another transaction has it by now."""
    async with listening() as sink, relaying(sink) as upstream:
        first = await envelope(upstream)
        await first.prepare(CONTENT)
        await first.commit()
        second = await envelope(upstream)
        await first.abort()
        for late in (first.commit(), first.rcpt(BOB), first.prepare(CONTENT)):
            with pytest.raises(UpstreamError):
                await late
        assert await second.prepare(CONTENT) is None
        assert (await second.commit())[0].code == 250
        assert sink.connections == 1


async def test_large_content_arrives_whole() -> None:
    content = [b"a: b\r\n\r\n", (b"." + b"x" * 60 + b"\r\n") * 100_000, b"end"]
    async with listening() as sink, relaying(sink) as upstream:
        assert (await send(upstream, content)).code == 250
        assert sink.messages[0].content == b"".join(content) + b"\r\n"


async def test_a_bare_line_end_is_never_sent_on() -> None:
    """M9, E09: raised, and the upstream keeps nothing."""
    async with listening() as sink, relaying(sink) as upstream:
        transaction = await envelope(upstream)
        with pytest.raises(ContentError):
            await transaction.prepare([b"x" * 1_000_000 + b"\r\n", b"\n.\r\nMAIL FROM:<>\r\n"])
        await transaction.abort()
        await settled(sink, 0)
        assert sink.messages == []
        assert b"MAIL FROM:<>" not in b"".join(entry.raw for entry in sink.journal)


async def test_a_positive_reply_to_data_is_not_taken_for_acceptance() -> None:
    async with (
        listening(Fault(Step.DATA, Say(b"250 2.0.0 done\r\n"))) as sink,
        relaying(sink) as upstream,
    ):
        transaction = await envelope(upstream)
        with pytest.raises(UpstreamError, match=r"^451 4\.4\.2 "):
            await transaction.prepare(CONTENT)


@pytest.mark.parametrize("keep", [False, True])
async def test_no_reply_to_the_dot_may_have_been_sent(keep: bool) -> None:
    """R03, M14."""
    async with (
        listening(Fault(Step.DOT, Close(), keep=keep)) as sink,
        relaying(sink) as upstream,
    ):
        transaction = await envelope(upstream)
        await transaction.prepare(CONTENT)
        with capture_logs() as logs, pytest.raises(UpstreamError) as caught:
            await transaction.commit()
        assert str(caught.value.reply).startswith("451 4.4.2 The message may have been sent")
        assert [line["event"] for line in logs] == ["upstream_unconfirmed"]
        assert len(sink.messages) == keep


async def test_a_session_lost_before_the_dot_has_sent_nothing() -> None:
    async with (
        listening(Fault(Step.BODY, Close())) as sink,
        relaying(sink) as upstream,
    ):
        transaction = await envelope(upstream)
        await transaction.prepare(CONTENT)
        await settled(sink, 0)
        await asyncio.sleep(0.05)
        with pytest.raises(UpstreamError, match=r"^451 4\.4\.2 Nothing was sent"):
            await transaction.commit()


async def test_a_commit_that_is_cancelled_gives_the_session_up() -> None:
    async with (
        listening(Fault(Step.DOT, Wait(0.2), nth=1)) as sink,
        relaying(sink) as upstream,
    ):
        transaction = await envelope(upstream)
        await transaction.prepare(CONTENT)
        committing = asyncio.ensure_future(transaction.commit())
        await asyncio.sleep(0.05)
        committing.cancel()
        await asyncio.wait({committing})
        await settled(sink, 0)
        sink.faults.clear()
        await send(upstream)
        assert sink.connections == 2


async def test_recipients_asked_at_once_are_pipelined() -> None:
    """RFC 2920."""
    paths = [ForwardPath(parse_mailbox(f"r{n}@example.org")) for n in range(50)]
    async with listening() as sink, relaying(sink) as upstream:
        sink.faults[:] = [Fault(Step.RCPT, Say(b"550 5.1.1 no\r\n"), containing=b"r7@")]
        transaction = await upstream.open()
        await transaction.mail(ALICE, ())
        replies = await asyncio.gather(*(transaction.rcpt(path) for path in paths))
        assert [n for n, reply in enumerate(replies) if not reply.is_positive] == [7]
        await transaction.prepare(CONTENT)
        await transaction.commit()
        assert len(sink.messages[0].recipients) == 49


STEPS = [Step.MAIL, Step.RCPT, Step.DATA, Step.BODY, Step.DOT]
ACTIONS: list[Action] = [
    Say(b"451 4.3.0 not now\r\n"),
    Say(b"550 5.7.1 not ever\r\n"),
    Say(b"421 4.3.2 closing\r\n", close=True),
    Say(b"garbage\r\n"),
    Say(b"25"),
    Say(b"250 one\r\n250 two\r\n"),
    Say(b"250-one\r\n550 two\r\n"),
    Say(b"334 and?\r\n"),
    Close(),
    Reset(),
    Hang(),
    Trickle(b"2" * 200, 0.02),
    Endless(),
]


async def attempt(upstream: Upstream) -> Reply:
    """Do what a gateway does with one message: stop at the first answer that is no yes."""
    transaction = await upstream.open()
    try:
        for coming in (transaction.mail(ALICE, ()), transaction.rcpt(BOB)):
            reply = await coming
            if not reply.is_positive:
                return reply
        refusal = await transaction.prepare(CONTENT)
        return (await transaction.commit())[0] if refusal is None else refusal
    except UpstreamError as error:
        return error.reply
    finally:
        await transaction.abort()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: repr(action)[:30])
async def test_every_fault_ends_in_one_clear_answer_and_nothing_sent(
    step: Step, action: Action
) -> None:
    """R22, R23, I1, I3, I10, I15: no hang, no 250 for mail the sink has not, then it works."""
    async with listening(Fault(step, action)) as sink, relaying(sink, SHORT) as upstream:
        reply = await asyncio.wait_for(attempt(upstream), 20)
        assert not reply.is_positive
        assert reply.code // 100 in (4, 5)
        if step is not Step.BODY:  # where the dot may be on its way already: a sink that speaks
            assert sink.messages == []  # out of turn and then accepts gets the mail twice
        before = len(sink.messages)
        sink.faults.clear()
        assert (await asyncio.wait_for(attempt(upstream), 20)).code == 250
        assert len(sink.messages) == before + 1
        await upstream.close()
