"""Deadlines, TLS and clients that do not read."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smime_proxy.gateway.replies import REPLIES, reply_for
from smime_proxy.reply import Reply, read_reply
from smime_proxy.smtp.auth import UNAVAILABLE
from smime_proxy.smtp.connection import Connection, cause_of
from smime_proxy.smtp.listener import SmtpListener
from smime_proxy.smtp.server import MAX_AIMLESS
from smime_proxy.smtp.tls import server_context
from tests.tls_files import TlsFiles, make_tls_files
from tests.unit.smtp.gateway import Client, FakeGateway, listening, options, reply, talking, until

SILENT = "421 4.4.2 Nothing, or too little, heard for too long, closing"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def trusting(files: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.ca)


@asynccontextmanager
async def offering_tls(files: TlsFiles, gateway: FakeGateway) -> AsyncIterator[Client]:
    context = server_context(files.certificate, files.key)
    async with talking(gateway, options(tls=context)) as (client, _):
        await client.answer()
        yield client


async def test_starttls_begins_the_session_anew(files: TlsFiles) -> None:
    """RFC 3207 4.2; E88."""
    gateway = FakeGateway()
    async with offering_tls(files, gateway) as client:
        client.say("EHLO x")
        offers = [await client.hear() for _ in range(7)]
        assert offers[5] == "250-STARTTLS"
        assert await client.ask("MAIL FROM:<a@example.com>") == "250 Ok"
        assert (await client.ask("STARTTLS")).startswith("220 ")
        assert gateway.notes[-1] == "reset"
        await client.writer.start_tls(trusting(files), server_hostname="localhost")
        assert (await client.ask("MAIL FROM:<a@example.com>")).startswith("503 5.5.1 ")
        client.say("EHLO x")
        assert "250-STARTTLS" not in [await client.hear() for _ in range(6)]
        assert (await client.ask("STARTTLS")).startswith("502 5.5.1 ")
        assert await client.ask("MAIL FROM:<a@example.com>") == "250 Ok"
        assert gateway.sessions[1].protocol == "ESMTPS"
        assert gateway.sessions[1].tls.startswith("TLSv1.")
        assert gateway.sessions[0].tls == ""


async def test_commands_injected_behind_starttls_end_the_session(files: TlsFiles) -> None:
    """E86, A05."""
    gateway = FakeGateway()
    async with offering_tls(files, gateway) as client:
        client.say("EHLO x", "STARTTLS", "MAIL FROM:<evil@example.com>")
        await client.answer()
        assert (await client.answer()).startswith("421 4.7.0 ")
        assert await client.hear() == ""
    assert gateway.notes == []


@pytest.mark.parametrize("garbage", [b"EHLO in clear\r\n", b""])
async def test_failed_handshake_ends_the_session(files: TlsFiles, garbage: bytes) -> None:
    context = server_context(files.certificate, files.key)
    async with talking(FakeGateway(), options(tls=context)) as (client, listener):
        await client.answer()
        assert (await client.ask("STARTTLS")).startswith("220 ")
        client.writer.write(garbage)
        client.writer.write_eof()
        await until(lambda: not listener.sessions)


async def test_smtps_speaks_tls_from_the_start_and_takes_new_certificates(
    files: TlsFiles, tmp_path: Path
) -> None:
    """RFC 8314 3.3."""
    gateway = FakeGateway()
    context = server_context(files.certificate, files.key)
    later = make_tls_files(tmp_path, label="later")
    async with listening(gateway, options(tls=context, protocol="smtps")) as (_, port):
        for trusted in (files, later):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting(trusted), server_hostname="localhost"
            )
            client = Client(reader, writer)
            await client.begin()
            writer.close()
            context.load_cert_chain(later.certificate, later.key)
    assert [session.protocol for session in gateway.sessions] == ["ESMTPS", "ESMTPS"]


async def test_silent_client_is_told_and_left() -> None:
    async with talking(FakeGateway(), options(idle_seconds=0.2)) as (client, listener):
        await client.answer()
        assert await client.answer() == SILENT
        assert await client.hear() == ""
        await until(lambda: not listener.sessions)


async def test_client_that_stops_in_the_middle_of_a_message_is_left() -> None:
    gateway = FakeGateway()
    async with talking(gateway, options(chunk_seconds=0.2)) as (client, _):
        await client.begin()
        await client.ask("DATA")
        client.say("half a message")
        assert await client.answer() == SILENT
        assert await client.hear() == ""
    assert gateway.notes[-1] == "reset"


async def trickled(client: Client, octet: bytes) -> str:
    """Send an octet again and again until the server says something, and give that."""
    answer = asyncio.ensure_future(client.answer())
    while not answer.done():
        client.writer.write(octet)
        await asyncio.sleep(0.02)
    return await answer


async def test_client_that_trickles_is_left() -> None:
    """R25: each octet comes in time, the message does not."""
    async with talking(FakeGateway(), options(content_seconds=0.5)) as (client, _):
        await client.begin()
        await client.ask("DATA")
        assert await trickled(client, b"x") == SILENT


async def test_client_that_is_slower_than_the_rate_is_left() -> None:
    chosen = options(min_rate=10_000, behind_seconds=0.2)
    async with talking(FakeGateway(), chosen) as (client, _):
        await client.begin()
        await client.ask("DATA")
        assert await trickled(client, b"x") == SILENT


async def test_client_that_trickles_a_command_is_left() -> None:
    """Each octet comes in time, the command does not."""
    async with talking(FakeGateway(), options(line_seconds=0.3)) as (client, _):
        await client.answer()
        assert await trickled(client, b"N") == SILENT


async def test_silent_clients_are_left_sooner_when_places_are_scarce() -> None:
    chosen = options(max_sessions=2, stress_seconds=0.2)
    async with listening(FakeGateway(), chosen) as (listener, port):
        first = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await first.answer()).startswith("220 ")
        assert listener.sessions == 1
        second = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await second.answer()).startswith("220 ")
        assert await first.answer() == SILENT  # though it was promised more when it came
        first.writer.close()
        second.writer.close()


async def test_nobody_is_left_while_we_work() -> None:
    """Libraries finding 5: our own time is not the client's silence."""
    gateway = FakeGateway()
    gateway.permission.clear()
    chosen = options(idle_seconds=0.1, chunk_seconds=0.1, content_seconds=0.1)
    async with talking(gateway, chosen) as (client, _):
        await client.begin()
        await client.ask("DATA")
        client.say("text", ".")
        await gateway.started.wait()
        await asyncio.sleep(0.5)
        gateway.permission.set()
        assert await client.answer() == "250 Ok"


async def test_client_that_does_not_read_is_left() -> None:
    """Its replies are not piled up in memory, and its session does not stay."""
    gateway = FakeGateway({"rcpt": reply("450 4.2.1 " + "busy " * 50)})
    async with listening(gateway, options(idle_seconds=0.3)) as (listener, port):
        loop = asyncio.get_running_loop()
        sock = await deaf_client(port)
        script = b"EHLO x\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 400_000
        asking = asyncio.ensure_future(loop.sock_sendall(sock, script))
        await until(lambda: listener.sessions == 1)
        await until(lambda: not listener.sessions)
        with pytest.raises(ConnectionError):
            await asking
        sock.close()
    assert len(gateway.notes) < 100_000


async def test_client_that_does_not_read_holds_nobody_up_at_the_end() -> None:
    gateway = FakeGateway({"rcpt": reply("450 4.2.1 " + "busy " * 50)})
    async with listening(gateway) as (listener, port):
        loop = asyncio.get_running_loop()
        sock = await deaf_client(port)
        script = b"EHLO x\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 400_000
        asking = asyncio.ensure_future(loop.sock_sendall(sock, script))
        await until(lambda: is_clogged(listener))
        assert await listener.drain(grace=60)  # by its deadline, not by force
        with pytest.raises(ConnectionError):
            await asking
        sock.close()


async def test_what_a_client_says_before_it_reads_its_replies_is_heard() -> None:
    gateway = FakeGateway({"rcpt": reply("450 4.2.1 " + "busy " * 50)})
    async with listening(gateway) as (listener, port):
        loop = asyncio.get_running_loop()
        sock = await deaf_client(port)
        await loop.sock_sendall(sock, b"EHLO x\r\nMAIL FROM:<>\r\n")
        while not is_clogged(listener):
            await loop.sock_sendall(sock, b"RCPT TO:<b@example.org>\r\n" * 1000)
            await asyncio.sleep(0.01)
        await loop.sock_sendall(sock, b"QUIT\r\n")
        await until(lambda: all(one.intake.buffer for one in dialogues(listener)))
        said = b""
        while piece := await asyncio.wait_for(loop.sock_recv(sock, 1 << 20), 10):
            said = (said + piece)[-100:]
        assert said.endswith(b"221 2.0.0 Bye\r\n")
        sock.close()


async def deaf_client(port: int) -> socket.socket:
    """Connect as one that reads nothing unless the test does; little waits for it on the way."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.settimeout(0)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


def dialogues(listener: SmtpListener) -> Iterator[Connection]:
    for one in listener._admission.visitors:
        assert isinstance(one, Connection)
        yield one


def is_clogged(listener: SmtpListener) -> bool:
    """Tell whether a session waits for its client to read."""
    return any(getattr(one, "_clogged", None) for one in listener._admission.visitors)


async def test_replies_to_piped_commands_leave_together() -> None:
    """RFC 2920 3.2: one segment for what was asked in one."""
    async with talking(FakeGateway()) as (client, _):
        await client.answer()
        client.say("HELO x", "MAIL FROM:<>", "RCPT TO:<b@example.org>", "NOOP")
        raw = await client.reader.read(65536)
    assert raw.count(b"\r\n") == 4


async def test_aimless_limit_is_for_one_session_not_for_all() -> None:
    async with listening(FakeGateway()) as (_, port):
        for _ in range(2):
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            await client.answer()
            client.say(*["NOOP"] * MAX_AIMLESS)
            assert {await client.answer() for _ in range(MAX_AIMLESS)} == {"250 2.0.0 Ok"}
            client.writer.close()


def test_each_temporary_reply_has_a_cause_of_a_closed_list() -> None:
    known = {*REPLIES, "closing", "authentication", "upstream"}
    assert cause_of(reply_for("unanswered", "1 of 2")) == "unanswered"
    assert cause_of(read_reply(451, ["4.3.0 <alice@example.test> later"])) == "upstream"
    assert cause_of(UNAVAILABLE) == "authentication"
    assert cause_of(Reply(421, None, "Nothing heard")) == "closing"
    assert {cause_of(reply_for(situation)) for situation in REPLIES} <= known
