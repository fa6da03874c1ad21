"""Sessions made with the scriptable sink: TLS, credentials, and every way it can go wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smime_proxy.envelope import Origin
from smime_proxy.gateway.ports import Extensions, UpstreamError
from smime_proxy.smtp.handshake import connect
from smime_proxy.smtp.proxy_protocol import block_for
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.session import Session
from smime_proxy.smtp.tls import client_context
from tests.ports import free_port
from tests.sink import (
    Action,
    Close,
    Endless,
    Fault,
    Hang,
    Reset,
    Say,
    Sink,
    Step,
    Trickle,
    listening,
)
from tests.tls_files import TlsFiles, make_tls_files

SHORT = Timeouts(connect=0.5, greeting=0.3, command=0.3, mail=0.3, rcpt=0.3, data=0.3, dot=0.3)
ROOMY = Timeouts(connect=10, greeting=10, command=10)
SECRET = "s3cret-canary"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def plain(sink: Sink) -> Relay:
    return Relay("127.0.0.1", sink.port, tls="never")


def secured(sink: Sink, files: TlsFiles, host: str = "127.0.0.1") -> Relay:
    context = client_context(files.ca)
    login = "relay" if sink.logins else ""
    return Relay(
        host,
        sink.port,
        scheme="smtps" if sink.implicit else "smtp",
        tls_context=context,
        username=login,
        password=SECRET if login else "",
    )


async def refused(relay: Relay, timeouts: Timeouts = SHORT) -> str:
    """Give the one log line of a session that could not be made."""
    with capture_logs() as logs, pytest.raises(UpstreamError, match=r"^451 4\.4\.1 "):
        await asyncio.wait_for(connect(relay, "proxy.example", timeouts), 20)
    (line,) = logs
    assert line["event"] == "upstream_unreachable"
    assert SECRET not in str(line)
    return str(line["reason"])


async def test_a_session_knows_what_the_upstream_offers() -> None:
    async with Sink(extensions=["8BITMIME", "SIZE 1000", "DSN"]) as sink:
        session = await connect(plain(sink), "proxy.example", ROOMY)
        offers = Extensions(eightbitmime=True, smtputf8=False, dsn=True, size=1000)
        assert session.extensions == offers
        assert sink.commands() == [b"EHLO proxy.example"]


@pytest.mark.parametrize("offer", ["SIZE", "SIZE 0", "SIZE many", "SIZE -5", "SIZE \u00b2"])
async def test_a_size_that_says_nothing_is_no_limit(offer: str) -> None:
    async with Sink(extensions=[offer]) as sink:
        assert (await connect(plain(sink), "p", ROOMY)).extensions.size == 0


async def test_a_server_that_knows_no_ehlo_gets_helo() -> None:
    """RFC 5321 3.2."""
    async with listening(Fault(Step.EHLO, Say(b"502 5.5.1 What?\r\n"))) as sink:
        session = await connect(plain(sink), "proxy.example", ROOMY)
        assert sink.commands() == [b"EHLO proxy.example", b"HELO proxy.example"]
        assert session.extensions == Extensions(
            eightbitmime=False, smtputf8=False, dsn=False, size=0
        )


def command_verbs(sink: Sink) -> list[bytes]:
    return [line.split()[0] for line in sink.commands()]


async def test_starttls_comes_before_everything_else(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins={"relay": SECRET}) as sink:
        session = await connect(secured(sink, files), "proxy.example", ROOMY)
        assert command_verbs(sink) == [b"EHLO", b"STARTTLS", b"EHLO", b"AUTH"]
        assert [entry.tls for entry in sink.events("command")] == [False, False, True, True]
        await works(session)


async def test_implicit_tls_covers_every_octet(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), implicit=True, logins={"relay": SECRET}) as sink:
        session = await connect(secured(sink, files), "proxy.example", ROOMY)
        assert command_verbs(sink) == [b"EHLO", b"AUTH"]
        await works(session)


async def works(session: Session) -> None:
    """Show that the transport was taken over: commands still get their replies."""
    assert (await session.command(b"NOOP\r\n", 5)).code == 250
    assert (await session.command(b"MAIL FROM:<>\r\n", 5)).code == 250


@pytest.mark.parametrize("mechanisms", [["PLAIN"], ["LOGIN"], ["CRAM-MD5", "LOGIN", "PLAIN"]])
async def test_credentials_go_by_plain_or_login(files: TlsFiles, mechanisms: Sequence[str]) -> None:
    async with Sink(tls=files.server(), logins={"relay": SECRET}, mechanisms=mechanisms) as sink:
        await works(await connect(secured(sink, files), "p", ROOMY))
        assert b"CRAM-MD5" not in b" ".join(sink.commands())


async def test_octets_beyond_ascii_are_sent_as_utf_8(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins={"relay": "gehe\u00efm"}) as sink:
        relay = replace(secured(sink, files), password="gehe\u00efm")
        await works(await connect(relay, "p", ROOMY))


async def test_a_refused_password_is_offered_once(files: TlsFiles) -> None:
    """I17: what the server says to it is not logged, it may echo the secret."""
    echo = Fault(Step.AUTH, Say(f"535 5.7.8 {SECRET} is wrong\r\n".encode()))
    async with Sink(tls=files.server(), logins={"relay": "other"}, faults=[echo]) as sink:
        assert await refused(secured(sink, files), ROOMY) == "login refused: 535"
        assert command_verbs(sink).count(b"AUTH") == 1


async def test_a_server_without_plain_or_login_gets_no_secret(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins={"relay": SECRET}, mechanisms=["CRAM-MD5"]) as sink:
        assert "neither AUTH PLAIN nor LOGIN" in await refused(secured(sink, files), ROOMY)
        assert b"AUTH" not in command_verbs(sink)


async def test_without_starttls_nothing_is_sent(files: TlsFiles) -> None:
    """R32: TLS is required and not offered."""
    async with Sink(logins={"relay": SECRET}) as sink:
        assert "STARTTLS" in await refused(secured(sink, files), ROOMY)
        assert command_verbs(sink) == [b"EHLO"]


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_nobody_vouches_for_gets_no_secret(
    files: TlsFiles, tmp_path: Path, implicit: bool
) -> None:
    """R32: another authority's certificate."""
    stranger = make_tls_files(tmp_path)
    async with Sink(tls=stranger.server(), implicit=implicit, logins={"relay": SECRET}) as sink:
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(secured(sink, files), ROOMY)
        assert b"AUTH" not in command_verbs(sink)


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_of_another_host_gets_no_secret(tmp_path: Path, implicit: bool) -> None:
    """R32: the host name is checked (RFC 9525)."""
    other = make_tls_files(tmp_path, names=("mx.example",))
    async with Sink(tls=other.server(), implicit=implicit, logins={"relay": SECRET}) as sink:
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(secured(sink, other), ROOMY)
        assert b"AUTH" not in command_verbs(sink)


async def test_replies_put_in_before_the_handshake_are_never_believed(files: TlsFiles) -> None:
    """E86, A05: an EHLO reply behind the 220, to be read as one given under TLS."""
    forged = Fault(Step.STARTTLS, Say(b"220 go\r\n250-forged\r\n250 SIZE 7\r\n"))
    async with Sink(tls=files.server(), faults=[forged]) as sink:
        session = await connect(secured(sink, files), "p", ROOMY)
        assert session.extensions.size == 104857600
        assert command_verbs(sink) == [b"EHLO", b"STARTTLS", b"EHLO"]


@pytest.mark.parametrize("step", [Step.BANNER, Step.EHLO])
async def test_a_reply_nobody_asked_for_spoils_the_session(step: Step) -> None:
    extra = b"250 one\r\n250 two\r\n" if step is Step.EHLO else b"220 one\r\n250 two\r\n"
    async with listening(Fault(step, Say(extra))) as sink:
        await refused(plain(sink))


async def test_a_reply_nobody_asked_for_that_comes_later_spoils_it_too() -> None:
    async with listening(Fault(Step.EHLO, Say(b"250 one\r\n"))) as sink:
        session = await connect(plain(sink), "p", ROOMY)
        sink.faults[:] = [Fault(Step.OTHER, Say(b"250 a\r\n250 b\r\n"))]
        with pytest.raises(UpstreamError):
            await session.command(b"NOOP\r\n", 5)


FAULTS: list[Action] = [
    Say(b"451 4.3.0 not now\r\n"),
    Say(b"554 5.7.1 not ever\r\n", close=True),
    Say(b"421 4.3.2 closing\r\n", close=True),
    Say(b"garbage\r\n"),
    Say(b"25"),
    Say(b"\x16\x03\x01\x00\x05"),
    Close(),
    Reset(),
    Hang(),
    Trickle(b"2" * 100, 0.02),
    Endless(),
]
HELLO_STEPS = [Step.BANNER, Step.EHLO, Step.STARTTLS, Step.HANDSHAKE, Step.EHLO2, Step.AUTH]
# Octets in clear behind the 220 are dropped unread: HANDSHAKE has a test of its own for them.
CASES = [
    (step, action)
    for step in HELLO_STEPS
    for action in FAULTS
    if not (step is Step.HANDSHAKE and isinstance(action, Say))
]


@pytest.mark.parametrize(("step", "action"), CASES, ids=str)
async def test_every_fault_of_the_handshake_is_451_and_one_line(
    files: TlsFiles, step: Step, action: Action
) -> None:
    also = [Fault(Step.HELO, action)] if step in (Step.EHLO, Step.EHLO2) else []
    async with Sink(
        tls=files.server(), logins={"relay": SECRET}, faults=[Fault(step, action), *also]
    ) as sink:
        reason = await refused(secured(sink, files))
        assert reason
        assert "\n" not in reason
        assert b"MAIL" not in command_verbs(sink)


async def test_a_port_where_nobody_listens_is_451() -> None:
    assert "Connect call failed" in await refused(Relay("127.0.0.1", free_port(), tls="never"))


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "a" * 64 + ".example", "a..b"])
async def test_a_name_without_address_is_451(host: str) -> None:
    await refused(Relay(host, 25, tls="never"), ROOMY)


async def test_an_address_that_does_not_answer_is_451() -> None:
    async with listening() as sink:
        assert await refused(plain(sink), replace(ROOMY, connect=0)) == "no answer in time"


async def test_all_addresses_of_a_name_are_tried(files: TlsFiles) -> None:
    """`localhost` is also ::1 on most machines, where the sink does not listen."""
    async with Sink(tls=files.server()) as sink:
        await works(await connect(secured(sink, files, "localhost"), "p", ROOMY))


@pytest.mark.parametrize("said", [b"421 no\r\n", b"451 no\r\n", b"250 a\r\n250 b\r\n"])
async def test_no_connection_is_left_behind_by_a_failure(said: bytes) -> None:
    """I15: file descriptors return to the baseline."""
    async with listening(Fault(Step.EHLO, Say(said))) as sink:
        for _ in range(5):
            await refused(plain(sink))
        for _ in range(100):
            if sink.open == 0:
                break
            await asyncio.sleep(0.01)
        assert sink.open == 0


async def test_a_promise_of_tls_all_the_way_counts_only_under_verified_tls(files: TlsFiles) -> None:
    """RFC 8689 4.2.1."""
    offers = ["REQUIRETLS"]
    async with Sink(extensions=offers) as sink:
        assert not (await connect(plain(sink), "p", ROOMY)).extensions.requiretls
    async with Sink(extensions=offers, tls=files.server()) as sink:
        assert (await connect(secured(sink, files), "p", ROOMY)).extensions.requiretls


async def test_a_proxy_header_precedes_starttls(files: TlsFiles) -> None:
    """Without a client it says that the connection is our own: probes and reports."""
    async with Sink(tls=files.server(), proxied=True) as sink:
        relay = replace(secured(sink, files), client_info="proxy")
        session = await connect(relay, "proxy.example", ROOMY)
        assert [entry.raw for entry in sink.events("header")] == [block_for(None)]
        session.quit()


async def test_a_proxy_header_precedes_implicit_tls(files: TlsFiles) -> None:
    received: list[bytes] = []
    server = await asyncio.start_server(header_then_close(received), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = Relay("127.0.0.1", port, "smtps", tls_context=client_context(files.ca))
    with pytest.raises(UpstreamError):
        await connect(replace(relay, client_info="proxy"), "proxy.example", ROOMY)
    server.close()
    assert received == [block_for(None) + b"\x16"]  # the first octet of a TLS handshake


def header_then_close(
    received: list[bytes],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(17))
        writer.close()

    return take


async def test_xclient_comes_under_tls_and_before_our_own_login(files: TlsFiles) -> None:
    """A login that was announced is dropped by AUTH, so none is when we log in ourselves."""
    offers = ["XCLIENT ADDR NAME LOGIN"]
    origin = Origin("203.0.113.9", helo="anna.example", login="anna")
    async with Sink(tls=files.server(), logins={"relay": SECRET}, extensions=offers) as sink:
        relay = replace(secured(sink, files), client_info="xclient")
        session = await connect(relay, "proxy.example", ROOMY, origin)
        session.quit()
    commands = [entry for entry in sink.events("command") if entry.raw != b"QUIT"]
    assert [entry.raw.split()[0] for entry in commands] == [
        b"EHLO",
        b"STARTTLS",
        b"EHLO",
        b"XCLIENT",
        b"EHLO",
        b"AUTH",
    ]
    assert commands[3].tls
    assert commands[3].raw == b"XCLIENT ADDR=203.0.113.9 NAME=[UNAVAILABLE] LOGIN=[UNAVAILABLE]"
