"""Clients that speak for others by XCLIENT and XFORWARD, and those that may not; row A06."""

from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from smime_proxy.admin.metrics import Counters
from smime_proxy.envelope import REMOTE, Origin, Role
from smime_proxy.smtp.listener import ListenerOptions
from tests.unit.smtp.gateway import Client, FakeGateway, options, reply, talking

BELIEVED: Any = {"trusted_peers": (ip_network("127.0.0.1"),)}
XCLIENT = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
XFORWARD = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
GREETING = "220 proxy.example.test ESMTP"
NOT_LISTED = "550 5.7.1 You may not speak for other clients"


def believing(**more: Any) -> ListenerOptions:
    return options(Role.OUTBOUND, **(BELIEVED | more))


async def offers(client: Client, verb: str = "EHLO") -> list[str]:
    client.say(f"{verb} client")
    lines = []
    while (line := await client.hear())[3:4] == "-":
        lines.append(line[4:])
    return [*lines, line[4:]]


async def test_strangers_are_offered_nothing_and_refused_without_effect() -> None:
    gateway = FakeGateway()
    chosen = options(trusted_peers=(ip_network("192.0.2.0/24"),))
    async with talking(gateway, chosen) as (client, _):
        await client.answer()
        assert not {XCLIENT, XFORWARD} & set(await offers(client))
        for line in ("XCLIENT ADDR=203.0.113.9 LOGIN=alice", "XFORWARD SOURCE=REMOTE", "XCLIENT"):
            assert await client.ask(line) == NOT_LISTED
        assert await client.ask("MAIL FROM:<a@example.org>") == "250 Ok"
    (session,) = gateway.sessions
    assert (session.peer, session.login, session.forwarded) == ("127.0.0.1", None, None)


async def test_a_stranger_that_goes_on_trying_is_sent_away() -> None:
    async with talking(FakeGateway(), options(trusted_networks=())) as (client, _):
        await client.answer()
        client.say(*["XCLIENT ADDR=203.0.113.9"] * 101)
        heard = [await client.hear() for _ in range(101)]
    assert heard[100].startswith("421 4.7.0 ")


@pytest.mark.parametrize(("protocol", "verb"), [("smtp", "EHLO"), ("lmtp", "LHLO")])
async def test_who_is_believed_is_offered_both(protocol: str, verb: str) -> None:
    async with talking(FakeGateway(), believing(protocol=protocol)) as (client, _):
        await client.answer()
        assert {XCLIENT, XFORWARD} <= set(await offers(client, verb))


async def test_xclient_begins_the_session_anew_as_another_client() -> None:
    gateway = FakeGateway()
    with capture_logs() as logs:
        async with talking(gateway, believing()) as (client, listener):
            await client.answer()
            await client.ask("EHLO proxy")
            line = "XCLIENT NAME=c.example ADDR=IPV6:2001:db8::9 PORT=4711 DESTADDR=192.0.2.1"
            assert await client.ask(line) == GREETING
            assert (await client.ask("MAIL FROM:<>")).startswith("503 5.5.1 ")
            assert XCLIENT not in await offers(client)  # the client is not among trusted_peers
            assert await client.ask("XCLIENT ADDR=127.0.0.1") == NOT_LISTED
            assert (await client.ask("MAIL FROM:<>")).startswith("550 5.7.1 ")  # nor trusted
            assert dict(listener._admission._sessions) == {"2001:db8::/64": 1}
    assert [(one["peer"], one["client"]) for one in logs if one["event"] == "xclient"] == [
        ("127.0.0.1", "2001:db8::9")
    ]
    assert gateway.sessions == []


async def test_what_xclient_says_is_what_the_gateway_knows() -> None:
    gateway = FakeGateway()
    line = "XCLIENT ADDR=127.0.0.9 PORT=7 NAME=c.example PROTO=ESMTP HELO=c LOGIN=alice DESTPORT=25"
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        assert await client.ask(line) == GREETING
        assert await client.ask("MAIL FROM:<>") == "250 Ok"  # HELO was said for it
    (session,) = gateway.sessions
    assert (session.peer, session.helo, session.login) == ("127.0.0.9", "c", "alice")
    assert (session.protocol, session.trusted) == ("ESMTPA", True)
    assert session.connection == Origin(
        "127.0.0.9", 7, "c.example", local_address="127.0.0.1", local_port=25
    )


async def test_a_login_is_known_without_a_trusted_network_and_for_one_command_only() -> None:
    """As with Postfix: the next XCLIENT is another client."""
    gateway = FakeGateway()
    async with talking(gateway, believing(trusted_networks=())) as (client, _):
        await client.answer()
        assert await client.ask("XCLIENT LOGIN=alice HELO=x PROTO=SMTP") == GREETING
        assert await client.ask("MAIL FROM:<>") == "250 Ok"
        assert gateway.sessions[0].login == "alice"
        assert gateway.sessions[0].protocol == "SMTP"
        assert (await client.ask("XCLIENT PORT=9")).startswith("503 5.5.1 ")  # in a transaction
        await client.ask("RSET")
        assert await client.ask("XCLIENT PORT=9") == GREETING
        await client.ask("EHLO x")
        assert (await client.ask("MAIL FROM:<>")).startswith("550 5.7.1 ")


async def test_who_is_another_client_now_counts_for_the_login_before_no_longer() -> None:
    chosen = believing(trusted_networks=(), max_sessions_per_login=1)
    async with talking(FakeGateway(), chosen) as (client, listener):
        logins = listener._admission._logins
        await client.answer()
        assert await client.ask("XCLIENT LOGIN=alice HELO=x") == GREETING
        assert await client.ask("MAIL FROM:<>") == "250 Ok"
        assert list(logins.values()) == ["alice"]
        await client.ask("RSET")
        assert await client.ask("XCLIENT PORT=9 HELO=x") == GREETING
        assert list(logins.values()) == []


async def test_a_client_without_an_address_is_nobody() -> None:
    gateway = FakeGateway()
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        assert await client.ask("XCLIENT ADDR=[UNAVAILABLE] LOGIN=alice") == GREETING
        await client.ask("EHLO x")
        assert await client.ask("MAIL FROM:<>") == "250 Ok"
        assert await client.ask("XCLIENT ADDR=127.0.0.1") == NOT_LISTED
    (session,) = gateway.sessions
    assert (session.peer, session.trusted, session.connection.address) == ("unknown", False, "")


@pytest.mark.parametrize("line", ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT FOO=x"])
async def test_a_malformed_xclient_changes_nothing(line: str) -> None:
    gateway = FakeGateway()
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        assert (await client.ask(line)).startswith("501 5.5.4 ")
        assert await client.ask("MAIL FROM:<>") == "250 Ok"
    assert gateway.sessions[0].peer == "127.0.0.1"


async def test_sessions_count_for_the_client_that_was_announced() -> None:
    counters = Counters()
    chosen = believing(max_sessions_per_address=1)
    async with talking(FakeGateway(), chosen, measures=counters) as (first, listener):
        await first.answer()
        assert await first.ask("XCLIENT ADDR=192.0.2.1") == GREETING
        sessions = listener._admission._sessions
        sessions["192.0.2.2"] += 1
        assert dict(sessions) == {"192.0.2.1": 1, "192.0.2.2": 1}
    assert dict(sessions) == {"192.0.2.2": 1}
    async with talking(FakeGateway(), chosen, measures=counters) as (client, listener):
        listener._admission._sessions["192.0.2.1"] += 1
        await client.answer()
        assert (await client.ask("XCLIENT ADDR=192.0.2.1")).startswith("421 4.7.0 Too many")
        assert await client.hear() == ""
    assert counters.counts()["sessions_refused\toutbound\taddress"] == 1


async def mails(client: Client, count: int = 1) -> None:
    for _ in range(count):
        for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>"):
            assert await client.ask(line) == "250 Ok"
        await client.ask("DATA")
        client.say("text", ".")
        assert await client.answer() == "250 Ok"


async def test_xforward_holds_for_one_message() -> None:
    gateway = FakeGateway()
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        client.say("EHLO x", "XFORWARD NAME=a ADDR=192.0.2.1", "XFORWARD SOURCE=REMOTE")
        await client.answer()
        assert [await client.answer() for _ in range(2)] == ["250 2.0.0 Ok"] * 2
        await mails(client, 2)
    first, second = gateway.sessions
    assert first.forwarded == Origin("192.0.2.1", name="a", source=REMOTE)
    assert first.is_strangers
    assert first.peer == "127.0.0.1"  # it is for the log, not for rights
    assert first.trusted
    assert second.forwarded is None


@pytest.mark.parametrize("ending", ["RSET", "EHLO x", "XCLIENT PORT=1 HELO=x"])
async def test_xforward_ends_with_the_transaction(ending: str) -> None:
    gateway = FakeGateway()
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        await client.ask("XFORWARD SOURCE=REMOTE")
        await client.ask(ending)
        await mails(client)
    assert gateway.sessions[0].forwarded is None


async def test_xforward_holds_until_a_message_is_taken() -> None:
    """A MAIL that is refused is no transaction (XFORWARD_README): the next is the same message."""
    gateway = FakeGateway({"mail <x": reply("450 4.2.0 later")})
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        await client.ask("XFORWARD SOURCE=REMOTE")
        assert (await client.ask("MAIL FROM:<x@example.org>")).startswith("450 ")
        await client.ask("NOOP")
        await mails(client)
    assert all(session.is_strangers for session in gateway.sessions)


async def test_xforward_is_refused_within_a_transaction() -> None:
    async with talking(FakeGateway(), believing()) as (client, _):
        await client.begin()
        assert (await client.ask("XFORWARD SOURCE=REMOTE")).startswith("503 5.5.1 ")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("XFORWARD HELO=" + "x" * 256 + " SOURCE=REMOTE", "501"),
        ("XFORWARD HELO=" + "x" * 2100 + " SOURCE=REMOTE", "500"),
        ("XFORWARD SOURCE=REMOTELY", "501"),
    ],
)
async def test_what_cannot_be_read_may_have_said_remote(line: str, code: str) -> None:
    """A stranger chooses his HELO; Postfix goes on with MAIL after the refusal."""
    gateway = FakeGateway()
    async with talking(gateway, believing()) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        assert (await client.ask(line)).startswith(code)
        await mails(client, 2)
    assert [session.is_strangers for session in gateway.sessions] == [True, False]


async def test_a_long_line_of_a_stranger_says_nothing() -> None:
    gateway = FakeGateway()
    async with talking(gateway) as (client, _):
        await client.answer()
        await client.ask("EHLO x")
        assert (await client.ask("X" * 2100)).startswith("500 ")
        await mails(client)
    assert gateway.sessions[0].forwarded is None


async def test_announcing_without_mail_comes_to_an_end() -> None:
    async with talking(FakeGateway(), believing()) as (client, _):
        await client.answer()
        client.say(*["XFORWARD SOURCE=LOCAL"] * 200)
        heard = [await client.hear() for _ in range(102)]
    assert heard[101].startswith("421 4.7.0 ")


async def test_who_is_nobody_by_the_settings_of_today_counts_for_no_login() -> None:
    async with talking(FakeGateway(), believing()) as (client, listener):
        await client.answer()
        await client.ask("EHLO x")
        (visitor,) = listener._admission.visitors
        assert listener._admission.identify(visitor, "alice") is None
        assert await client.ask("MAIL FROM:<>") == "250 Ok"
        assert listener._admission._logins == {}
