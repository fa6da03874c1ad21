"""A gateway that answers from a script and notes what it was asked."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import ip_network
from socket import create_server
from typing import Any

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Role, Session
from smime_proxy.gateway.ports import Upstream
from smime_proxy.reply import Reply, read_reply
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.listener import SmtpListener, serve_listener

OK = Reply(250, None, "Ok")
LOOPBACK = (ip_network("127.0.0.0/8"),)


def reply(text: str) -> Reply:
    """Make a reply of `550 5.1.1 text`."""
    return read_reply(int(text[:3]), [text[4:]])


class FakeConversation:
    identifier = "T1"

    def __init__(self, gateway: "FakeGateway") -> None:
        self.gateway = gateway
        self.accepted: list[str] = []

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        return self.gateway.note(" ".join(["mail", f"<{reverse_path or ''}>", *parameters]))

    async def rcpt(self, path: ForwardPath) -> Reply:
        answer = self.gateway.note(" ".join([f"rcpt <{path.mailbox}>", *path.parameters]))
        if answer.is_positive:
            self.accepted.append(str(path.mailbox))
        return answer

    async def data(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> Reply:
        self.gateway.contents.append(content)
        answer = self.gateway.note(f"data {content!r}")
        self.gateway.started.set()
        await self.gateway.permission.wait()
        self.gateway.client_gone = client_gone()
        self.gateway.finished.set()
        return answer

    async def data_each(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> tuple[Reply, ...]:
        self.gateway.contents.append(content)
        if self.gateway.forgetful:
            return ()
        return tuple(self.gateway.note(f"each <{name}> {content!r}") for name in self.accepted)

    async def reset(self) -> None:
        self.gateway.note("reset")


class FakeGateway:
    """`replies` maps the beginning of a note to the reply for it; an exception is raised."""

    hostname = "proxy.example.test"

    def __init__(self, replies: Mapping[str, Reply | Exception] | None = None) -> None:
        self.replies = dict(replies or {})
        self.notes: list[str] = []
        self.contents: list[bytes] = []
        self.sessions: list[Session] = []
        self.upstreams: list[Upstream | None] = []
        self.started = asyncio.Event()
        self.permission = asyncio.Event()
        self.permission.set()
        self.finished = asyncio.Event()
        self.client_gone: bool | None = None
        self.forgetful = False

    def begin(self, session: Session, upstream: Upstream | None = None) -> FakeConversation:
        self.sessions.append(session)
        self.upstreams.append(upstream)
        return FakeConversation(self)

    def note(self, text: str) -> Reply:
        self.notes.append(text)
        for beginning, answer in self.replies.items():
            if text.startswith(beginning):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return OK


def options(role: Role = Role.OUTBOUND, **changes: Any) -> ListenerOptions:
    """Make a listener's options; outbound it trusts the loopback, inbound it serves example.com."""
    given: dict[str, Any] = {"name": role.value, "role": role, "bind": "127.0.0.1:0"}
    if role is Role.OUTBOUND:
        given["trusted_networks"] = LOOPBACK
    else:
        given["domains"] = frozenset({"example.com"})
    return ListenerOptions(**given | changes)


class Client:
    """A client that says octets and reads replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *lines: str) -> None:
        """Send command lines in one piece."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def hear(self) -> str:
        """Read one line of a reply, "" at the end."""
        line = await asyncio.wait_for(self.reader.readline(), 10)
        return line.decode().removesuffix("\r\n")

    async def ask(self, line: str) -> str:
        """Send one command and give the last line of its reply."""
        self.say(line)
        return await self.answer()

    async def answer(self) -> str:
        """Read one whole reply and give its last line."""
        while (heard := await self.hear())[3:4] == "-":
            pass
        return heard

    async def begin(self, recipient: str = "b@example.com") -> None:
        """Go on from the greeting to where DATA is due."""
        assert (await self.answer()).startswith("220 ")
        for line in ("EHLO client", "MAIL FROM:<a@example.org>", f"RCPT TO:<{recipient}>"):
            assert (await self.ask(line)).startswith("250 ")

    def reset(self) -> None:
        """Vanish, as a client that crashed: the connection is reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(
    gateway: FakeGateway, chosen: ListenerOptions | None = None, **arguments: Any
) -> AsyncIterator[tuple[SmtpListener, int]]:
    """Serve on a free port; gives the listener and the port."""
    sock = create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    listener = await serve_listener(sock, chosen or options(), gateway, **arguments)
    try:
        yield listener, port
    finally:
        gateway.permission.set()
        await listener.drain(grace=0.1)


@asynccontextmanager
async def talking(
    gateway: FakeGateway, chosen: ListenerOptions | None = None, **arguments: Any
) -> AsyncIterator[tuple[Client, SmtpListener]]:
    """Serve, and connect one client."""
    async with listening(gateway, chosen, **arguments) as (listener, port):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield client, listener
        finally:
            client.writer.close()
