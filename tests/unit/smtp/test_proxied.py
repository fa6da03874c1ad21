"""Listeners behind a load balancer: who may connect, and who the client is; row A06."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smime_proxy.admin.metrics import Counters
from smime_proxy.envelope import Origin
from smime_proxy.smtp import proxied
from smime_proxy.smtp.listener import ListenerOptions, SmtpListener
from smime_proxy.smtp.proxy_protocol import SIGNATURE, Ends, block_for
from smime_proxy.smtp.tls import server_context
from tests.tls_files import make_tls_files
from tests.unit.smtp.gateway import Client, FakeGateway, listening, options, until

HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n"
GREETING = "220 proxy.example.test ESMTP"


def behind(**more: Any) -> ListenerOptions:
    peers: dict[str, Any] = {"proxy_protocol": True, "trusted_peers": (ip_network("127.0.0.0/8"),)}
    return options(**(peers | more))


@asynccontextmanager
async def connected(
    gateway: FakeGateway, chosen: ListenerOptions, **arguments: Any
) -> AsyncIterator[tuple[Client, SmtpListener]]:
    """Connect, and say nothing yet."""
    async with listening(gateway, chosen, **arguments) as (listener, port):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield client, listener
        finally:
            client.writer.close()


async def closed(client: Client) -> bool:
    try:
        return await client.hear() == ""
    except ConnectionResetError:
        return True


async def test_the_client_is_who_the_header_names() -> None:
    gateway = FakeGateway()
    chosen = behind(trusted_networks=(ip_network("203.0.113.0/24"),))
    async with connected(gateway, chosen) as (client, listener):
        client.writer.write(HEADER + b"EHLO client\r\nMAIL FROM:<>\r\n")
        assert await client.answer() == GREETING
        await client.answer()
        assert await client.answer() == "250 Ok"
        assert dict(listener._admission._sessions) == {"203.0.113.9": 1}
    (session,) = gateway.sessions
    assert (session.peer, session.trusted) == ("203.0.113.9", True)
    assert session.connection == Origin(
        "203.0.113.9", 4711, local_address="192.0.2.1", local_port=25
    )


async def test_the_proxys_own_address_gives_its_clients_no_rights() -> None:
    gateway = FakeGateway()
    async with connected(gateway, behind()) as (client, _):  # the loopback is trusted
        client.writer.write(HEADER)
        await client.answer()
        await client.ask("EHLO client")
        assert (await client.ask("MAIL FROM:<>")).startswith("550 5.7.1 ")
        assert (await client.ask("XCLIENT ADDR=127.0.0.1")).startswith("550 5.7.1 ")
        assert (await client.ask("XFORWARD SOURCE=LOCAL")).startswith("550 5.7.1 ")


async def test_a_header_in_pieces_is_a_header() -> None:
    async with connected(FakeGateway(), behind()) as (client, _):
        for octet in block_for(Ends("203.0.113.9", 1, "192.0.2.1", 2)):
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.answer() == GREETING


@pytest.mark.parametrize(
    ("header", "peer", "trusted"),
    [
        (SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1", True),
        (SIGNATURE + b"\x21\x00\x00\x00", "unknown", False),
        (SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), "unknown", False),
        (b"PROXY UNKNOWN\r\n", "unknown", False),
        (b"PROXY TCP6 ::ffff:127.0.0.1 ::ffff:192.0.2.1 1 2\r\n", "127.0.0.1", True),
    ],
)
async def test_connections_without_a_name_are_the_proxys_own_or_nobodys(
    header: bytes, peer: str, trusted: bool
) -> None:
    gateway = FakeGateway()
    async with connected(gateway, behind()) as (client, listener):
        client.writer.write(header)
        assert await client.answer() == GREETING
        (visitor,) = listener._admission.visitors
        assert (visitor.peer, visitor.trusted) == (peer, trusted)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"EHLO client.example.test\r\n", "no header"),
        (b"PROXY TCP4 203.0.113.9\r\n" + b"x" * 20, "a malformed line of version 1"),
        (SIGNATURE + b"\x21\x11\xff\xff", "a header of 65535 octets"),
    ],
)
async def test_what_is_no_header_is_closed_and_the_true_peer_is_logged(
    said: bytes, reason: str
) -> None:
    gateway, counters = FakeGateway(), Counters()
    with capture_logs() as logs:
        async with connected(gateway, behind(), measures=counters) as (client, listener):
            client.writer.write(said)
            assert await closed(client)
            assert listener.sessions == 0
    assert [one for one in logs if one["event"] == "proxy_protocol"] == [
        {"event": "proxy_protocol", "log_level": "warning", "peer": "127.0.0.1", "reason": reason}
    ]
    assert counters.counts()["sessions_refused\toutbound\tproxy_protocol"] == 1


async def test_silence_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxied.HEADER_SECONDS < 5
    monkeypatch.setattr(proxied, "HEADER_SECONDS", 0.05)
    with capture_logs() as logs:
        async with connected(FakeGateway(), behind()) as (client, _):
            client.writer.write(HEADER[:9])
            assert await closed(client)
    assert logs[-1]["reason"] == "no header in time"


async def test_who_is_not_listed_is_closed_whatever_he_says() -> None:
    chosen = behind(trusted_peers=(ip_network("192.0.2.0/24"),))
    with capture_logs() as logs:
        async with connected(FakeGateway(), chosen) as (client, _):
            client.writer.write(HEADER)
            assert await closed(client)
    assert (logs[-1]["peer"], logs[-1]["reason"]) == ("127.0.0.1", "not among trusted_peers")


async def test_so_many_connections_may_be_without_a_header() -> None:
    async with connected(FakeGateway(), behind(max_sessions=1)) as (first, listener):
        server = listener._server
        assert isinstance(server, proxied.ProxiedServer)
        await until(lambda: len(server._greeting) == 1)
        port = first.writer.get_extra_info("peername")[1]
        second = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert await closed(second)
        second.writer.close()
        first.writer.write(HEADER)
        assert await first.answer() == GREETING


async def test_a_client_with_too_many_sessions_is_told_so() -> None:
    async with connected(FakeGateway(), behind(max_sessions_per_address=1)) as (first, _):
        first.writer.write(HEADER)
        assert await first.answer() == GREETING
        port = first.writer.get_extra_info("peername")[1]
        second = Client(*await asyncio.open_connection("127.0.0.1", port))
        second.writer.write(HEADER)
        assert (await second.answer()).startswith("421 4.7.0 Too many sessions")
        second.writer.close()


async def test_draining_drops_who_has_said_nothing() -> None:
    async with connected(FakeGateway(), behind()) as (client, listener):
        server = listener._server
        assert isinstance(server, proxied.ProxiedServer)
        await until(lambda: len(server._greeting) == 1)
        assert await listener.drain(1)
        assert await closed(client)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*client.writer.get_extra_info("peername"))


async def test_tls_begins_behind_the_header(tmp_path: Path) -> None:
    """The header is in clear, and in one segment with the first octets of TLS or not."""
    files = make_tls_files(tmp_path)
    context = server_context(files.certificate, files.key)
    gateway = FakeGateway()
    chosen = behind(protocol="smtps", tls=context)
    trusting = ssl.create_default_context(cafile=files.ca)
    async with listening(gateway, chosen) as (_, port):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADER + outgoing.read())
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await asyncio.wait_for(reader.read(65536), 10))
            else:
                break
        writer.write(outgoing.read())
        heard = b""
        while not heard:
            try:
                heard = tls.read(100)
            except ssl.SSLWantReadError:
                incoming.write(await asyncio.wait_for(reader.read(65536), 10))
        assert heard.startswith(GREETING.encode())
        tls.write(b"QUIT\r\n")
        writer.write(outgoing.read())
        writer.close()


async def test_a_handshake_that_fails_ends_only_itself(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path)
    context = server_context(files.certificate, files.key)
    chosen = behind(protocol="smtps", tls=context)
    async with connected(FakeGateway(), chosen) as (client, listener):
        client.writer.write(HEADER + b"EHLO this is no TLS\r\n")
        assert await closed(client)
        assert listener.sessions == 0


async def test_it_goes_on_when_there_were_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "_PAUSE_SECONDS", 0.01)
    async with listening(FakeGateway(), behind()) as (listener, port):
        server = listener._server
        assert isinstance(server, proxied.ProxiedServer)
        server._sock = Exhausted(server._sock)  # type: ignore[assignment]
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        client.writer.write(HEADER)
        assert await client.answer() == GREETING
        client.writer.close()


class Exhausted:
    """A socket that fails to accept once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._failed = False

    def accept(self) -> tuple[socket.socket, Any]:
        if not self._failed:
            self._failed = True
            raise OSError(24, "Too many open files")
        return self._sock.accept()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()
