"""AUTH in a session: when it is offered and taken, and what it changes."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from smime_proxy.envelope import Origin, Role
from smime_proxy.gateway.ports import Transaction, Upstream
from smime_proxy.reply import Reply
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.auth import REFUSED, UNAVAILABLE, Authentication, Identity
from smime_proxy.smtp.sasl import MAX_AUTH_OCTETS, Credentials
from smime_proxy.smtp.throttle import FREE_FOR_LOGIN, Throttle
from tests.unit.smtp.gateway import Client, FakeGateway, options, talking, until

SECRET = "canary-of-eve"


@dataclass
class Person:
    login: str
    closed: bool = False

    @property
    def upstream(self) -> Upstream | None:
        return self

    async def open(self, _origin: Origin | None = None, /) -> Transaction:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


@dataclass
class Judge:
    """Knows one password; None: cannot be asked."""

    password: str | None = SECRET
    asked: list[Credentials] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    async def judge(self, credentials: Credentials) -> Identity | Reply:
        self.asked.append(credentials)
        if self.password is None:
            return UNAVAILABLE
        if credentials.password != self.password:
            return REFUSED
        self.people.append(Person(credentials.login))
        return self.people[-1]


def plain(password: str = SECRET, authorise_as: str = "", login: str = "eve") -> str:
    return "AUTH PLAIN " + b64encode(f"{authorise_as}\0{login}\0{password}".encode()).decode()


def with_auth(judge: Judge, **changes: object) -> ListenerOptions:
    return options(Role.OUTBOUND, authenticator=judge, trusted_networks=(), **changes)


async def greet(client: Client) -> list[str]:
    """Say EHLO; gives the lines of its reply."""
    await client.answer()
    client.say("EHLO client")
    lines = [await client.hear()]
    while lines[-1][3] == "-":
        lines.append(await client.hear())
    return [line[4:] for line in lines]


async def test_who_authenticated_may_send_and_is_known() -> None:
    gateway, judge = FakeGateway(), Judge()
    async with talking(gateway, with_auth(judge)) as (client, _):
        assert "AUTH PLAIN LOGIN" in await greet(client)
        assert await client.ask("MAIL FROM:<a@b.example>") == "530 5.7.0 Authentication required"
        assert await client.ask("RCPT TO:<a@b.example>") == "530 5.7.0 Authentication required"
        assert await client.ask(plain()) == "235 2.7.0 Authentication succeeded"
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250 ")
        assert (await client.ask("RCPT TO:<a@b.example>")).startswith("250 ")
        (session,) = gateway.sessions
        assert (session.login, session.protocol, session.trusted) == ("eve", "ESMTPA", False)
        assert gateway.upstreams == [judge.people[0]]
        assert not judge.people[0].closed
    await until(lambda: judge.people[0].closed)


async def test_a_second_ehlo_changes_nobody() -> None:
    gateway = FakeGateway()
    async with talking(gateway, with_auth(Judge())) as (client, _):
        await greet(client)
        await client.ask(plain())
        await client.ask("EHLO again")
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250 ")
    assert gateway.sessions[0].login == "eve"


async def test_a_login_lasts_only_while_it_would_be_judged_alike() -> None:
    """What was begun is finished; the next transaction goes by the settings in force."""
    judge = Judge()
    async with talking(FakeGateway(), with_auth(judge)) as (client, listener):
        await greet(client)
        await client.ask(plain())
        listener.use(with_auth(judge))
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250 ")
        listener.use(options(Role.OUTBOUND, trusted_networks=()))
        assert (await client.ask("RCPT TO:<a@b.example>")).startswith("250 ")
        assert (await client.ask("RSET")).startswith("250 ")
        assert not judge.people[0].closed
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("550 5.7.1 ")
        assert judge.people[0].closed
        listener.use(with_auth(Judge("another")))
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("530 5.7.0 ")
        assert (await client.ask(plain("another"))).startswith("235 ")


async def test_login_is_asked_for_name_and_password() -> None:
    judge = Judge()
    async with talking(FakeGateway(), with_auth(judge)) as (client, _):
        await greet(client)
        assert await client.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await client.ask(b64encode(b"eve").decode()) == "334 UGFzc3dvcmQ6"
        assert (await client.ask(b64encode(SECRET.encode()).decode())).startswith("235 ")
        assert judge.asked == [Credentials("eve", SECRET)]


async def test_the_longest_line_goes_through_and_a_longer_one_does_not() -> None:
    judge = Judge()
    async with talking(FakeGateway(), with_auth(judge)) as (client, _):
        await greet(client)
        password = "x" * (MAX_AUTH_OCTETS // 4 * 3 - 5)
        assert (await client.ask(plain(password))).startswith("535 ")
        assert judge.asked[0].password == password
        assert (await client.ask(plain("x" * MAX_AUTH_OCTETS))).startswith("500 5.5.6 ")
        assert await client.ask("AUTH PLAIN") == "334 "
        assert (await client.ask("A" * (MAX_AUTH_OCTETS + 100))).startswith("500 5.5.6 ")
        assert (await client.ask("NOOP " + "x" * 3000)).startswith("500 5.5.6 ")
        assert len(judge.asked) == 1


@pytest.mark.parametrize(
    ("before", "line", "answer"),
    [
        (["EHLO c", plain()], plain(), "503 5.5.1"),
        (["EHLO c", plain(), "MAIL FROM:<a@b.example>"], plain(), "503 5.5.1"),
        ([], plain(), "503 5.5.1 Say EHLO first"),
        (["EHLO c"], plain("wrong"), "535 5.7.8"),
        (["EHLO c"], plain(authorise_as="manager"), "535 5.7.8"),
        (["EHLO c"], plain(authorise_as="eve"), "235 2.7.0"),
        (["EHLO c", "AUTH LOGIN"], "*", "501 5.7.0"),
        (["EHLO c"], "AUTH GSSAPI", "504 5.5.4"),
        (["EHLO c"], "AUTH", "504 5.5.4"),
    ],
)
async def test_each_attempt_has_its_reply(before: list[str], line: str, answer: str) -> None:
    async with talking(FakeGateway(), with_auth(Judge())) as (client, _):
        await client.answer()
        for command in before:
            assert (await client.ask(command))[0] in "23"
        assert (await client.ask(line)).startswith(answer)


async def test_an_identity_of_somebody_else_is_not_even_asked_for() -> None:
    judge = Judge()
    async with talking(FakeGateway(), with_auth(judge)) as (client, _):
        await greet(client)
        await client.ask(plain(authorise_as="manager"))
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("530 ")
    assert judge.asked == []


async def test_without_authenticator_there_is_no_auth() -> None:
    async with talking(FakeGateway()) as (client, _):
        assert not any("AUTH" in line for line in await greet(client))
        assert (await client.ask(plain())).startswith("500 5.5.2 ")


async def test_no_password_is_taken_in_clear_text() -> None:
    """RFC 8314; loopback is as private as TLS."""
    judge = Judge()
    for peer, tls, offered in [
        ("192.0.2.1", False, False),
        ("", False, False),
        ("192.0.2.1", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
    ]:
        authentication = Authentication(peer, Throttle(), lambda _: None)
        assert bool(authentication.offers(judge, tls=tls)) is offered

        async def never(_: bytes) -> bytes | None:
            raise AssertionError

        argument = plain().removeprefix("AUTH ").encode()
        reply = await authentication.authenticate(judge, argument, never, tls=tls)
        assert reply.code == (235 if offered else 538)
    assert len(judge.asked) == 3


async def test_a_thousand_wrong_passwords_are_not_tried() -> None:
    """Row A19; the right one waits like the wrong ones."""
    judge = Judge()
    counted: list[str] = []
    throttle = Throttle(lambda: 0.0)
    with capture_logs() as logs:
        replies = []
        for number in range(1000):
            authentication = Authentication("127.0.0.1", throttle, counted.append)
            line = plain(f"wrong{number}").removeprefix("AUTH ").encode()
            replies.append(await authentication.authenticate(judge, line, never_asked, tls=False))
        authentication = Authentication("127.0.0.1", throttle, counted.append)
        line = plain().removeprefix("AUTH ").encode()
        replies.append(await authentication.authenticate(judge, line, never_asked, tls=False))
    assert [reply.code for reply in replies] == [535] * FREE_FOR_LOGIN + [454] * (
        1001 - FREE_FOR_LOGIN
    )
    assert len(judge.asked) == FREE_FOR_LOGIN
    assert (counted.count("refused"), counted.count("throttled")) == (10, 991)
    assert "wrong" not in str(logs)


async def never_asked(_: bytes) -> bytes | None:
    raise AssertionError


async def test_attempts_at_the_same_time_do_not_slip_through() -> None:
    judge = Judge()
    throttle = Throttle(lambda: 0.0)
    line = plain("wrong").removeprefix("AUTH ").encode()
    await asyncio.gather(
        *(
            Authentication("127.0.0.1", throttle, lambda _: None).authenticate(
                judge, line, never_asked, tls=False
            )
            for _ in range(100)
        )
    )
    assert len(judge.asked) == FREE_FOR_LOGIN


async def test_nobody_is_locked_out_when_nobody_can_judge() -> None:
    judge = Judge(None)
    async with talking(FakeGateway(), with_auth(judge)) as (client, _):
        await greet(client)
        for _ in range(2 * FREE_FOR_LOGIN):
            assert (await client.ask(plain())).startswith("454 4.7.0 Authentication is not")
        judge.password = SECRET
        assert (await client.ask(plain())).startswith("235 ")


async def test_a_client_that_leaves_within_the_exchange_ends_nothing_else() -> None:
    async with talking(FakeGateway(), with_auth(Judge())) as (client, listener):
        await greet(client)
        assert await client.ask("AUTH PLAIN") == "334 "
        client.reset()
        await until(lambda: listener.sessions == 0)
