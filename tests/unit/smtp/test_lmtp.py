"""Transactions by LMTP with the scriptable sink: whose reply is whose, and what is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.ports import Transaction, Upstream, UpstreamError
from smime_proxy.smtp.lmtp import LmtpUpstream
from smime_proxy.smtp.relay import Relay, Timeouts
from tests.sink import Action, Close, Fault, Hang, Say, Sink, Step, Wait

ALICE = parse_mailbox("alice@example.com")
NAMES = ("a", "b", "c")
ROOMY = Timeouts(10, 10, 10, 10, 10, 10, 10, 10)
UNSURE = "451 4.4.2 The message may have been sent. "
NO_SUCH = Say(b"550 5.1.1 no such user\r\n")


@asynccontextmanager
async def relaying(sink: Sink, timeouts: Timeouts = ROOMY) -> AsyncIterator[LmtpUpstream]:
    relay = Relay("127.0.0.1", sink.port, scheme="lmtp", tls="never")
    upstream = LmtpUpstream(relay, "proxy.example", timeouts)
    yield upstream
    await upstream.close()


async def prepared(upstream: Upstream, names: tuple[str, ...] = NAMES) -> Transaction:
    transaction = await upstream.open()
    assert (await transaction.mail(ALICE, ())).code == 250
    for name in names:
        await transaction.rcpt(ForwardPath(parse_mailbox(f"{name}@example.org")))
    assert await transaction.prepare([b"Subject: x\r\n\r\nx\r\n"]) is None
    return transaction


async def send(upstream: Upstream, names: tuple[str, ...] = NAMES) -> list[str]:
    return [str(reply) for reply in await (await prepared(upstream, names)).commit()]


def has_it(name: str) -> str:
    return f"250 2.0.0 <{name}@example.org> has it"


async def test_each_recipient_has_a_reply_of_his_own() -> None:
    """RFC 2033 4.2; the session is greeted with LHLO and serves the next message too."""
    faults = [Fault(Step.DOT, NO_SUCH, containing=b"b@")]
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink) as upstream:
        assert await send(upstream) == [has_it("a"), "550 5.1.1 no such user", has_it("c")]
        assert await send(upstream, ("a", "c")) == [has_it("a"), has_it("c")]
    assert sink.commands()[0] == b"LHLO proxy.example"
    assert sink.connections == 1
    assert [message.recipients for message in sink.messages] == [
        ("a@example.org", "c@example.org")
    ] * 2


async def test_who_was_refused_by_name_gets_no_reply_after_the_dot() -> None:
    faults = [Fault(Step.RCPT, NO_SUCH, containing=b"b@")]
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink) as upstream:
        assert await send(upstream) == [has_it("a"), has_it("c")]


@pytest.mark.parametrize("action", [Close(), Hang()])
async def test_replies_that_came_stand_when_the_session_is_lost_between_them(
    action: Action,
) -> None:
    faults = [Fault(Step.DOT, action, containing=b"b@")]
    short = replace(ROOMY, dot=0.2)
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink, short) as upstream:
        replies = await send(upstream)
        assert replies[0] == has_it("a")
        assert [reply.startswith(UNSURE) for reply in replies[1:]] == [True, True]
        sink.faults.clear()
        assert len(await send(upstream)) == len(NAMES)
        assert sink.connections == 2


async def test_a_421_is_for_one_recipient_only() -> None:
    busy = Say(b"421 4.3.2 not now\r\n")
    faults = [Fault(Step.DOT, busy, containing=b"a@")]
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink) as upstream:
        assert await send(upstream) == ["451 4.3.2 not now", has_it("b"), has_it("c")]


@pytest.mark.parametrize("raw", [b"354 go on\r\n", b"nonsense\r\n"])
async def test_what_is_no_reply_to_a_dot_ends_the_session(raw: bytes) -> None:
    faults = [Fault(Step.DOT, Say(raw), containing=b"b@")]
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink) as upstream:
        replies = await send(upstream)
        assert not replies[1].startswith("250")
        assert replies[2].startswith(UNSURE)
        assert len(await send(upstream, ("a",))) == 1
        assert sink.connections == 2


async def test_a_session_lost_before_the_dot_has_sent_nothing() -> None:
    async with Sink(lmtp=True) as sink, relaying(sink) as upstream:
        transaction = await prepared(upstream)
        await transaction.abort()
        with pytest.raises(UpstreamError, match="Nothing was sent"):
            await transaction.commit()
        assert sink.messages == []


async def test_a_commit_that_is_cancelled_leaves_no_future_unread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [Fault(Step.DOT, Wait(0.2), containing=b"b@")]
    async with Sink(lmtp=True, faults=faults) as sink, relaying(sink) as upstream:
        committing = asyncio.ensure_future((await prepared(upstream)).commit())
        await asyncio.sleep(0.05)
        committing.cancel()
        await asyncio.wait({committing})
    assert caplog.records == []


async def test_a_server_that_speaks_smtp_only_is_no_lmtp_server() -> None:
    async with Sink() as sink, relaying(sink) as upstream:
        with pytest.raises(UpstreamError, match=r"4\.4\.1"):
            await upstream.open()
    assert b"HELO" not in b" ".join(sink.commands()).split()
