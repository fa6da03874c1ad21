"""A listener serves, and stops in good order."""

import asyncio
from contextlib import suppress

import pytest

from tests.unit.smtp.gateway import Client, FakeGateway, listening, options, talking

GOODBYE = "421 4.3.2 "


async def test_idle_sessions_are_told_that_it_drains() -> None:
    async with talking(FakeGateway()) as (client, listener):
        await client.answer()
        await client.ask("EHLO x")
        assert await listener.drain(5)
        assert (await client.answer()).startswith(GOODBYE)
        assert await client.hear() == ""


async def test_message_under_way_is_finished_and_no_other_is_begun() -> None:
    """R14, I18."""
    gateway = FakeGateway()
    async with talking(gateway) as (client, listener):
        await client.begin()
        draining = asyncio.ensure_future(listener.drain(5))
        await asyncio.sleep(0.05)
        assert (await client.ask("DATA")).startswith("354 ")
        client.say("text", ".", "MAIL FROM:<a@example.org>")
        assert await client.answer() == "250 Ok"
        assert (await client.answer()).startswith(GOODBYE)
        assert await draining
    assert gateway.contents == [b"text\r\n"]


async def test_nobody_is_let_in_while_it_drains() -> None:
    gateway = FakeGateway()
    async with listening(gateway) as (listener, port):
        await listener.drain(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_what_is_not_finished_in_time_is_ended() -> None:
    gateway = FakeGateway()
    gateway.permission.clear()
    async with talking(gateway) as (client, listener):
        await client.begin()
        await client.ask("DATA")
        client.say("text", ".")
        await gateway.started.wait()
        assert not await listener.drain(0.1)
        assert listener.sessions == 0
        assert gateway.notes[-1] == "reset"
        with suppress(ConnectionError):
            assert await client.hear() == ""  # no reply: the client must send it again


async def test_one_address_has_so_many_sessions() -> None:
    async with listening(FakeGateway(), options(max_sessions_per_address=1)) as (_, port):
        first = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await first.answer()).startswith("220 ")
        second = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await second.answer()).startswith("421 4.7.0 ")
        assert await second.hear() == ""
        await first.ask("QUIT")
        assert await first.hear() == ""
        third = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await third.answer()).startswith("220 ")
        for client in (first, second, third):
            client.writer.close()
