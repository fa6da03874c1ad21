"""What a session knows of its client, and what it lets strangers do."""

from smime_proxy.envelope import Role
from tests.unit.smtp.gateway import FakeGateway, options, reply, talking


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
