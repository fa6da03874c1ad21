"""What a session knows of its client, and what it lets strangers do."""

from pathlib import Path

import pytest

from smime_proxy.envelope import Role
from smime_proxy.smtp.handshake import connect
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.tls import client_context, server_context
from tests.sink import Fault, Say, Sink, Step
from tests.tls_files import TlsFiles, make_tls_files
from tests.unit.smtp.gateway import FakeGateway, listening, options, reply, talking

ROOMY = Timeouts(connect=10, greeting=10, command=10)
WORD = "0123456789abcdef"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def relay(port: int, ca: Path) -> Relay:
    return Relay("127.0.0.1", port, tls_context=client_context(ca))


async def test_session_says_who_the_client_is() -> None:
    gateway = FakeGateway()
    async with talking(gateway) as (client, _):
        await client.answer()
        await client.ask("EHLO [192.0.2.1]")
        await client.ask("MAIL FROM:<>")
        session = gateway.sessions[0]
    assert (session.listener, session.role, session.peer) == (
        "outbound",
        Role.OUTBOUND,
        "127.0.0.1",
    )
    assert (session.helo, session.protocol, session.tls) == ("[192.0.2.1]", "ESMTP", "")
    assert session.trusted
    assert session.login is None


async def test_a_name_that_could_forge_a_received_field_loses_what_forges() -> None:
    gateway = FakeGateway()
    async with talking(gateway) as (client, _):
        await client.answer()
        await client.ask("HELO x (y\x0b) ü;")
        await client.ask("MAIL FROM:<>")
    assert gateway.sessions[0].helo == "x??y??????"
    assert gateway.sessions[0].protocol == "SMTP"


async def test_a_stranger_who_guesses_addresses_is_sent_away() -> None:
    gateway = FakeGateway({"rcpt": reply("550 5.1.1 unknown")})
    async with talking(gateway, options(Role.INBOUND)) as (client, _):
        await client.answer()
        client.say("EHLO x", "MAIL FROM:<>", *["RCPT TO:<b@example.com>"] * 200)
        replies = [await client.answer() for _ in range(103)]
    assert replies[101].startswith("550 5.1.1 ")
    assert replies[102].startswith("421 4.7.0 ")


async def test_lists_of_dead_addresses_do_not_end_a_trusted_session() -> None:
    gateway = FakeGateway({"rcpt": reply("550 5.1.1 unknown")})
    async with talking(gateway) as (client, _):
        await client.answer()
        client.say("EHLO x", "MAIL FROM:<>", *["RCPT TO:<b@example.com>"] * 200, "NOOP")
        replies = [await client.answer() for _ in range(203)]
    assert replies[202] == "250 2.0.0 Ok"


async def test_a_word_said_in_clear_is_anybodys_and_counts_for_nothing(files: TlsFiles) -> None:
    """RFC 3207 4.2: else whoever is on the way could have all mail refused for good."""
    said = Fault(Step.BANNER, Say(f"220 sink.example ESMTP {WORD}\r\n".encode()))
    hello = Fault(Step.EHLO, Say(f"250-sink.example {WORD}\r\n250 STARTTLS\r\n".encode()))
    async with Sink(tls=files.server(), faults=[said, hello]) as sink:
        session = await connect(relay(sink.port, files.ca), "p", ROOMY)
        assert session.extensions.greeting == ""
        session.quit()


async def test_a_listener_says_its_word_again_under_tls(files: TlsFiles) -> None:
    chosen = options(tls=server_context(files.certificate, files.key))
    async with listening(FakeGateway(), chosen) as (listener, port):
        listener.greet_with(WORD)
        session = await connect(relay(port, files.ca), "p", ROOMY)
        assert session.extensions.greeting == WORD
        session.quit()
