"""What is said to upstreams of where a message came from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from smime_proxy.envelope import REMOTE, Origin
from smime_proxy.gateway.ports import Upstream, UpstreamError
from smime_proxy.smtp.hand_on import (
    ehlo_name,
    ends_of,
    tell_of_lack,
    tell_of_refusal,
    xclient_line,
    xforward_lines,
)
from smime_proxy.smtp.pool import PoolLimits
from smime_proxy.smtp.proxy_protocol import Ends, block_for
from smime_proxy.smtp.relay import ClientInfo, Relay
from smime_proxy.smtp.upstream import SmtpUpstream
from smime_proxy.smtp.xclient import ATTRIBUTES as XCLIENT
from smime_proxy.smtp.xforward import ATTRIBUTES as XFORWARD
from smime_proxy.smtp.xforward import read_xforward
from tests.sink import Action, Close, Fault, Say, Sink, Step
from tests.unit.smtp.test_upstream import ALICE, BOB, CONTENT, ROOMY, settled

ORIGIN = Origin(
    "2001:db8::9", 4711, "c.example", "ESMTPS", "c+d", "a1", REMOTE, "alice", "192.0.2.1", 25
)


def test_xforward_says_what_is_offered() -> None:
    assert xforward_lines(ORIGIN, {"ADDR", "HELO", "SOURCE", "OTHER"}) == (
        b"XFORWARD ADDR=IPV6:2001:db8::9 HELO=c+2Bd SOURCE=REMOTE\r\n",
    )
    assert xforward_lines(ORIGIN, XFORWARD) == (
        (
            b"XFORWARD NAME=c.example ADDR=IPV6:2001:db8::9 PORT=4711 PROTO=ESMTPS HELO=c+2Bd "
            b"IDENT=a1 SOURCE=REMOTE\r\n"
        ),
    )


def test_xforward_says_what_is_not_known() -> None:
    """Else the upstream would fill in what it knows of us."""
    assert xforward_lines(Origin(), {"NAME", "ADDR", "PORT", "SOURCE"}) == (
        (
            b"XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] "
            b"SOURCE=[UNAVAILABLE]\r\n"
        ),
    )


def test_mail_of_our_own_and_upstreams_that_offer_nothing_get_no_xforward() -> None:
    assert xforward_lines(None, XFORWARD) == ()
    assert xforward_lines(ORIGIN, ()) == ()


def test_xforward_keeps_within_the_length_of_a_command() -> None:
    long = replace(ORIGIN, name="n" * 250, helo="h" * 250, identifier="ü" * 80)
    lines = xforward_lines(long, XFORWARD)
    assert all(len(line) <= 512 for line in lines)
    read = None
    for line in lines:
        read = read_xforward(line.strip().removeprefix(b"XFORWARD "), read)
    assert read is not None
    assert (read.name, read.helo) == ("n" * 250, "h" * 250)
    assert read.identifier == ""  # 480 octets in xtext are more than a value may have


def test_xclient_is_one_command() -> None:
    assert xclient_line(ORIGIN, XCLIENT, with_login=True) == (
        b"XCLIENT ADDR=IPV6:2001:db8::9 PORT=4711 NAME=c.example LOGIN=alice DESTADDR=192.0.2.1 "
        b"DESTPORT=25 PROTO=ESMTP HELO=c+2Bd"
    )
    assert b"LOGIN=[UNAVAILABLE]" in xclient_line(ORIGIN, XCLIENT, with_login=False)
    assert b"PROTO=SMTP" in xclient_line(replace(ORIGIN, protocol="SMTP"), XCLIENT, with_login=True)


def test_xclient_never_leaves_our_own_name_or_address_in_place() -> None:
    assert xclient_line(Origin(), {"ADDR", "NAME", "PORT"}, with_login=True) == (
        b"XCLIENT ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] NAME=[UNAVAILABLE]"
    )


def test_xclient_leaves_out_what_does_not_fit() -> None:
    long = replace(ORIGIN, name="n" * 250, helo="h" * 250, login="l" * 150)
    line = xclient_line(long, XCLIENT, with_login=True)
    assert len(line) <= 510
    assert b"LOGIN=l" in line
    assert b"HELO" not in line


def test_without_an_offer_there_is_no_xclient() -> None:
    assert xclient_line(ORIGIN, (), with_login=True) == b""


@pytest.mark.parametrize(
    ("helo", "name"), [("c.example", "c.example"), ("[192.0.2.1]", "[192.0.2.1]"), ("a?b", "us")]
)
def test_a_client_is_introduced_by_its_own_name(helo: str, name: str) -> None:
    assert ehlo_name(Origin(helo=helo), "us") == name
    assert ehlo_name(Origin(), "us") == "us"


def test_a_header_has_ends_where_the_client_is_known() -> None:
    assert ends_of(ORIGIN) == Ends("2001:db8::9", 4711, "192.0.2.1", 25)
    assert ends_of(replace(ORIGIN, address="")) is None
    assert ends_of(None) is None


def test_what_is_lacking_is_logged_once() -> None:
    with capture_logs() as logs:
        for _ in range(3):
            tell_of_lack("smtp://once.example:25", "XFORWARD")
            tell_of_refusal("smtp://once.example:25", "550 5.7.0 no")
    assert [one["event"] for one in logs] == ["client_info_not_offered", "xforward_refused"]


XFORWARDING = ("PIPELINING", "SIZE 104857600", "XFORWARD NAME ADDR IDENT SOURCE")
XCLIENTING = ("PIPELINING", "XCLIENT NAME ADDR LOGIN")
ANNA = Origin("203.0.113.9", 4711, identifier="a1", source="LOCAL", helo="anna.example")
BERT = Origin("203.0.113.7", 4712, identifier="b2", source="REMOTE", helo="bert.example")


@asynccontextmanager
async def telling(sink: Sink, way: ClientInfo) -> AsyncIterator[SmtpUpstream]:
    relay = Relay("127.0.0.1", sink.port, tls="never", client_info=way)
    upstream = SmtpUpstream(relay, "proxy.example", ROOMY, PoolLimits())
    yield upstream
    await upstream.close()


async def sent_for(upstream: Upstream, origin: Origin | None) -> None:
    transaction = await upstream.open(origin)
    assert (await transaction.mail(ALICE, ())).code == 250
    assert (await transaction.rcpt(BOB)).code == 250
    assert await transaction.prepare(CONTENT) is None
    assert (await transaction.commit())[0].code == 250


def told(sink: Sink) -> list[bytes]:
    heard = [line for line in sink.commands() if line[:2] in {b"XF", b"XC", b"EH", b"MA", b"RS"}]
    return [line.partition(b" SIZE")[0] for line in heard]


async def test_xforward_is_said_before_each_mail_on_one_session() -> None:
    async with Sink(extensions=XFORWARDING) as sink, telling(sink, "xforward") as upstream:
        for origin in (ANNA, BERT, None):
            await sent_for(upstream, origin)
        assert sink.connections == 1
        mail = b"MAIL FROM:<alice@example.com>"
        unknown = b"NAME=[UNAVAILABLE]"
        assert told(sink) == [
            b"EHLO proxy.example",
            b"XFORWARD %s ADDR=203.0.113.9 IDENT=a1 SOURCE=LOCAL" % unknown,
            mail,
            b"XFORWARD %s ADDR=203.0.113.7 IDENT=b2 SOURCE=REMOTE" % unknown,
            mail,
            mail,
        ]


async def test_a_mail_given_up_takes_what_was_said_of_it_along() -> None:
    async with Sink(extensions=XFORWARDING) as sink, telling(sink, "xforward") as upstream:
        transaction = await upstream.open(ANNA)
        await transaction.mail(ALICE, ())
        await transaction.abort()
        await sent_for(upstream, None)
        assert told(sink)[-2:] == [b"RSET", b"MAIL FROM:<alice@example.com>"]


async def test_nothing_is_said_where_it_is_not_wanted_or_not_offered() -> None:
    async with Sink(extensions=XFORWARDING) as sink, telling(sink, "none") as upstream:
        await sent_for(upstream, ANNA)
        assert b"XFORWARD" not in b"".join(told(sink))
    with capture_logs() as logs:
        async with Sink() as sink, telling(sink, "xforward") as upstream:
            for _ in range(2):
                await sent_for(upstream, ANNA)
            assert b"XFORWARD" not in b"".join(told(sink))
        async with Sink() as sink, telling(sink, "xclient") as upstream:
            for _ in range(2):
                await sent_for(upstream, ANNA)
            assert b"XCLIENT" not in b"".join(told(sink))
    lacks = [one["extension"] for one in logs if one["event"] == "client_info_not_offered"]
    assert lacks == ["XFORWARD", "XCLIENT"]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refused_xforward_is_logged_and_the_mail_goes_on(pipelining: bool) -> None:
    extensions = XFORWARDING[0 if pipelining else 1 :]
    fault = Fault(Step.OTHER, Say(b"550 5.7.0 no\r\n"), nth=None)
    with capture_logs() as logs:
        async with Sink(extensions=extensions, faults=[fault]) as sink:
            async with telling(sink, "xforward") as upstream:
                for _ in range(2):
                    await sent_for(upstream, ANNA)
            assert len(sink.messages) == 2
    assert [one["event"] for one in logs] == ["xforward_refused"]


@pytest.mark.parametrize(
    "action", [Close(), Say(b"421 4.3.2 going\r\n", close=True), Say(b"421 4.3.2 going\r\n")]
)
async def test_a_session_closed_while_idle_is_replaced_and_told_again(action: Action) -> None:
    fault = Fault(Step.OTHER, action, connection=1, nth=2)
    async with Sink(extensions=XFORWARDING, faults=[fault]) as sink:
        async with telling(sink, "xforward") as upstream:
            await sent_for(upstream, ANNA)
            await sent_for(upstream, BERT)
        assert sink.connections == 2
        assert b"ADDR=203.0.113.7" in sink.commands(2)[1]
        assert len(sink.messages) == 2


async def test_a_session_lost_at_xforward_is_451() -> None:
    fault = Fault(Step.OTHER, Close())
    sink = Sink(extensions=XFORWARDING, faults=[fault])
    async with sink, telling(sink, "xforward") as upstream:
        transaction = await upstream.open(ANNA)
        with pytest.raises(UpstreamError, match=r"4\.4\.2"):
            await transaction.mail(ALICE, ())


async def test_xclient_gives_each_client_a_session_of_its_own() -> None:
    async with Sink(extensions=XCLIENTING) as sink, telling(sink, "xclient") as upstream:
        for origin in (ANNA, BERT, None, None, ANNA):
            await sent_for(upstream, origin)
        assert sink.connections == 4
        first = sink.commands(1)
        assert first[:4] == [
            b"EHLO proxy.example",
            b"XCLIENT ADDR=203.0.113.9 NAME=[UNAVAILABLE] LOGIN=[UNAVAILABLE]",
            b"EHLO anna.example",
            b"MAIL FROM:<alice@example.com>",
        ]
        assert b"ADDR=203.0.113.7" in sink.commands(2)[1]
        assert b"XCLIENT" not in b"".join(sink.commands(3))
        assert sink.commands(3).count(b"MAIL FROM:<alice@example.com>") == 2


async def test_a_client_the_upstream_refuses_is_not_let_in_as_ourselves() -> None:
    fault = Fault(Step.OTHER, Say(b"554 5.7.1 not you\r\n"), nth=None)
    async with Sink(extensions=XCLIENTING, faults=[fault]) as sink:
        async with telling(sink, "xclient") as upstream:
            with pytest.raises(UpstreamError, match=r"4\.4\.1"):
                await upstream.open(ANNA)
        assert sink.commands()[-1][:7] == b"XCLIENT"


async def test_a_proxy_header_comes_first_and_clients_share_no_connection() -> None:
    async with Sink(proxied=True) as sink, telling(sink, "proxy") as upstream:
        for origin in (ANNA, BERT, None, None):
            await sent_for(upstream, origin)
        headers = [entry.raw for entry in sink.events("header")]
        ends = [Ends(one.address, one.port, "0.0.0.0", 0) for one in (ANNA, BERT)]  # noqa: S104
        assert headers == [*map(block_for, ends), block_for(None)]


async def test_sessions_of_one_client_end_with_the_transaction() -> None:
    async with Sink(proxied=True) as sink, telling(sink, "proxy") as upstream:
        transaction = await upstream.open(ANNA)
        await transaction.abort()
        await sent_for(upstream, BERT)
        await settled(sink, 0)
        assert [line for line in sink.commands() if line == b"QUIT"] == [b"QUIT"] * 2
