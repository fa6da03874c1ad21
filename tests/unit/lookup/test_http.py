"""Fetching from URLs of strangers: only public addresses, no more and no longer than said; A14."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.http import AddressRule, Forbidden, Http

LOOPBACK = AddressRule([ipaddress.ip_network("127.0.0.0/8")])
Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server on loopback that counts who comes and gives the octets it was made with."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.port = 0
        self.visits = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await self._respond(reader, writer)
        writer.close()


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[Server]:
    server = Server(respond)
    running = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()


def giving(octets: bytes, status: str = "200 OK", head: str = "") -> Respond:
    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(octets)}\r\n{head}\r\n"
        writer.write(lines.encode() + octets)
        await writer.drain()

    return respond


async def fetch(rule: AddressRule, url: str, **options: object) -> bytes:
    http = Http(rule)
    try:
        return await http.fetch(url, **({"limit": 1000, "seconds": 5.0} | options))  # type: ignore[arg-type]  # limits
    finally:
        await http.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - refused
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "2001:db8::1",
        "fec0::1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "4000::1",
        "nonsense",
        "",
    ],
)
def test_no_address_is_asked_that_is_not_public(address: str) -> None:
    assert not AddressRule().permits(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_ones_may_be_asked(address: str) -> None:
    assert AddressRule().permits(address)


def test_exceptions_are_those_that_are_set() -> None:
    rule = AddressRule([ipaddress.ip_network("10.1.0.0/16")])
    assert rule.permits("10.1.2.3")
    assert not rule.permits("10.2.2.3")
    assert AddressRule(allow_private=True).permits("127.0.0.1")


async def test_what_is_there_is_given_and_asked_for_plainly() -> None:
    async with serving(giving(b"octets")) as server:
        found = await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/a.crl")
    assert found == b"octets"
    head = server.heads[0].lower()
    assert head.startswith(b"get /a.crl http/1.1")
    assert b"accept-encoding: identity" in head
    assert b"cookie" not in head


async def test_a_question_is_posted() -> None:
    seen = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(8))
        await giving(b"answer")(reader, writer)

    async with serving(respond) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert await fetch(LOOPBACK, url, send=b"question", kind="x/y") == b"answer"
    assert seen == [b"question"]
    assert b"content-type: x/y" in server.heads[0].lower()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0",
    ],
)
async def test_a_forbidden_host_is_not_connected_to(host: str) -> None:
    """A14: as a name, as an address, in whatever form."""
    async with serving(giving(b"secret")) as server:
        with pytest.raises(LookupFailed):
            await fetch(AddressRule(), f"http://{host}:{server.port}/")
        await asyncio.sleep(0)
    assert server.visits == 0


@pytest.mark.parametrize(
    "url",
    [
        "ldap://127.0.0.1/cn=x",
        "file:///etc/passwd",
        "ftp://example.test/x",
        "http://user@8.8.8.8/",
        "http://user:word@8.8.8.8/",
        "http:///x",
        "http://[",
        "//8.8.8.8/",
        "http://8.8.8.8/\r\nX: y",
        "http://8.8.8.8/" + "a" * 3000,
        "",
    ],
)
async def test_what_is_no_plain_url_is_not_fetched(url: str) -> None:
    with pytest.raises(Forbidden):
        await fetch(AddressRule(allow_private=True), url)


async def test_a_redirect_is_not_followed() -> None:
    """A14."""
    async with serving(giving(b"secret")) as inside:
        head = f"Location: http://127.0.0.1:{inside.port}/\r\n"
        async with serving(giving(b"", "302 Found", head)) as server:
            with pytest.raises(LookupFailed, match="302"):
                await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/")
    assert inside.visits == 0


@pytest.mark.parametrize("status", ["404 Not Found", "500 No", "204 No Content"])
async def test_anything_but_200_is_no_answer(status: str) -> None:
    async with serving(giving(b"", status)) as server:
        with pytest.raises(LookupFailed, match=status[:3]):
            await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/")


async def test_more_than_is_wanted_is_not_read() -> None:
    """A14: a body of a gigabyte, announced or not."""
    async with serving(giving(b"x" * 1001)) as server:
        with pytest.raises(LookupFailed, match="more than 1000 octets"):
            await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/")
    sent = 0

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 1 << 30:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with serving(endless) as server:
        with pytest.raises(LookupFailed, match="more than 1000 octets"):
            await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/")
    assert sent < 1 << 24


async def test_who_trickles_is_left() -> None:
    """A14: slowloris."""

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 900:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(trickle) as server:
        with pytest.raises(LookupFailed, match=r"no answer within 0.3 seconds"):
            await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/", seconds=0.3)


async def test_nothing_is_unpacked() -> None:
    async with serving(giving(b"\x1f\x8b packed", head="Content-Encoding: gzip\r\n")) as server:
        found = await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/")
    assert found == b"\x1f\x8b packed"


async def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(LookupFailed) as told:
        await fetch(LOOPBACK, "http://127.0.0.1:9/")
    assert "\n" not in str(told.value)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(giving(b"proxy")) as proxy, serving(giving(b"direct")) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await fetch(LOOPBACK, f"http://127.0.0.1:{server.port}/") == b"direct"
    assert proxy.visits == 0


async def test_no_thread_that_mail_needs_waits_for_a_name_server() -> None:
    """Whoever names hosts whose name servers are silent would take all of them."""
    loop = asyncio.get_running_loop()
    busy, done = asyncio.Event(), threading.Event()

    def resolving(*_: object, **__: object) -> list[object]:
        loop.call_soon_threadsafe(busy.set)
        done.wait()
        return []

    loop.set_default_executor(ThreadPoolExecutor(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolving)
        asking = asyncio.create_task(fetch(AddressRule(), "http://silent.test/", seconds=0.5))
        try:
            await busy.wait()
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
            with pytest.raises(LookupFailed, match="no answer within"):
                await asking
        finally:
            done.set()
