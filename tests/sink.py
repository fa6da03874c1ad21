r"""A scriptable SMTP server for tests: it journals every command and can fail at every step.

    async with Sink(faults=[Fault(Step.RCPT, Say(b"550 5.1.1 no\r\n"), nth=2)]) as sink:
        ...  # connect to 127.0.0.1, sink.port
        assert sink.messages[0].recipients == ("a@example.org",)

Tests without an event loop use `with running(Sink(...)) as sink:`, a thread of its own. `faults`
may be changed while the sink runs. RFC 5321, RFC 3207, RFC 4954; lenient where no test needs more.
"""

import asyncio
import base64
import contextlib
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, assert_never

from tests.ports import free_port
from tests.sink_journal import Entry, Message, decode, read_path
from tests.sink_script import (
    Action,
    Close,
    Endless,
    Fault,
    Hang,
    Reset,
    Say,
    Step,
    Trickle,
    Wait,
)

__all__ = [
    "Action",
    "Close",
    "Endless",
    "Entry",
    "Fault",
    "Hang",
    "Message",
    "Reset",
    "Say",
    "Sink",
    "Step",
    "Trickle",
    "Wait",
    "free_port",
    "listening",
    "running",
]

SILENCE = 0.03  # seconds without an octet that count as a pause within the content
ENDLESS = 10_000_000  # octets an endless reply goes on for; beyond any reader's limit
EXTENSIONS = (
    "PIPELINING",
    "SIZE 104857600",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
)


@dataclass
class Sink:
    """The server; `messages` and `journal` tell what it saw."""

    extensions: Sequence[str] = EXTENSIONS
    tls: ssl.SSLContext | None = None  # offers STARTTLS
    implicit: bool = False  # TLS from the first octet instead
    logins: dict[str, str] = field(default_factory=dict)  # offers AUTH when not empty
    mechanisms: Sequence[str] = ("PLAIN", "LOGIN")
    proxied: bool = False  # each connection begins with a PROXY header of version 2
    lmtp: bool = False  # LHLO, and a reply for each recipient after the dot (RFC 2033)
    faults: list[Fault] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    open: int = 0  # connections open now
    met: Counter[Step] = field(default_factory=Counter)  # steps taken in all connections

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        await self.listen()
        return self

    async def listen(self) -> None:
        """Listen, again on the same port after `deafen`."""
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=context, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def deafen(self) -> None:
        """Let nobody connect any more."""
        self._server.close()

    async def hang_up(self) -> None:
        """End all connections, without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aexit__(self, *_: object) -> None:
        self.deafen()
        await self.hang_up()

    def commands(self, connection: int | None = None) -> list[bytes]:
        """Give the command lines received, without CRLF."""
        return [
            entry.raw
            for entry in self.journal
            if entry.event == "command" and connection in (None, entry.connection)
        ]

    def events(self, event: str) -> list[Entry]:
        """Give the journal's lines of one kind."""
        return [entry for entry in self.journal if entry.event == event]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open += 1
        dialogue = _Dialogue(self, self.connections, reader, writer)
        try:
            await dialogue.run()
        except (_Gone, OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # by __aexit__; streams of Python 3.11 log a cancelled callback as an error
        finally:
            self.open -= 1
            dialogue.note("close")
            writer.close()


class _Gone(Exception):  # noqa: N818 - not an error: the connection has ended
    """The connection is over."""


class _Dialogue:
    """One connection."""

    def __init__(
        self,
        sink: Sink,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.sink = sink
        self.number = number
        self.reader = reader
        self.writer = writer
        self.tls = sink.implicit
        self.login = ""
        self.buffer = b""
        self.seen: Counter[Step] = Counter()
        self.reset()

    def reset(self) -> None:
        self.mail: tuple[str, tuple[str, ...]] | None = None
        self.rcpts: list[tuple[str, tuple[str, ...]]] = []

    def note(self, event: str, raw: bytes = b"") -> None:
        self.sink.journal.append(Entry(self.number, event, raw, self.tls))

    async def run(self) -> None:
        self.note("connect")
        if self.sink.proxied:
            head = await self.reader.readexactly(16)
            rest = await self.reader.readexactly(int.from_bytes(head[14:]))
            self.note("header", head + rest)
        await self.answer(Step.BANNER, b"", b"220 sink.example ESMTP\r\n")
        while True:
            line = await self.line()
            self.note("command", line)
            await self.command(line)

    async def command(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        match verb.upper():
            case b"EHLO" | b"LHLO" if (verb.upper() == b"LHLO") is self.sink.lmtp:
                self.reset()
                await self.answer(Step.EHLO2 if self.tls else Step.EHLO, line, self.greeting())
            case b"HELO":
                self.reset()
                await self.answer(Step.HELO, line, b"250 sink.example\r\n")
            case b"STARTTLS":
                await self.starttls(line)
            case b"AUTH":
                await self.auth(line, rest)
            case b"MAIL":
                await self.mail_from(line, rest)
            case b"RCPT":
                await self.rcpt_to(line, rest)
            case b"DATA":
                await self.data(line)
            case b"RSET":
                self.reset()
                await self.answer(Step.RSET, line, b"250 2.0.0 OK\r\n")
            case b"QUIT":
                await self.answer(Step.QUIT, line, b"221 2.0.0 Bye\r\n")
                raise _Gone
            case b"XFORWARD":
                await self.answer(Step.OTHER, line, b"250 2.0.0 OK\r\n")
            case b"XCLIENT":
                self.reset()
                self.login = ""
                await self.answer(Step.OTHER, line, b"220 sink.example ESMTP again\r\n")
            case b"NOOP":
                await self.answer(Step.OTHER, line, b"250 2.0.0 OK\r\n")
            case _:
                await self.answer(Step.OTHER, line, b"500 5.5.2 What?\r\n")

    def greeting(self) -> bytes:
        lines = ["sink.example", *self.sink.extensions]
        if self.sink.tls and not self.tls:
            lines.append("STARTTLS")
        if self.sink.logins:
            lines.append("AUTH " + " ".join(self.sink.mechanisms))
        shown = [f"250-{line}\r\n" for line in lines[:-1]] + [f"250 {lines[-1]}\r\n"]
        return "".join(shown).encode()

    async def starttls(self, line: bytes) -> None:
        if self.sink.tls is None or self.tls:
            await self.answer(Step.STARTTLS, line, b"502 5.5.1 No TLS\r\n")
            return
        await self.answer(Step.STARTTLS, line, b"220 2.0.0 Go ahead\r\n")
        if self.buffer:
            self.note("injected", self.buffer)
            self.buffer = b""
        await self.answer(Step.HANDSHAKE, line, b"")
        await self.writer.start_tls(self.sink.tls)
        self.tls = True
        self.login = ""
        self.reset()

    async def auth(self, line: bytes, rest: bytes) -> None:
        mechanism, _, initial = rest.partition(b" ")
        match mechanism.upper():
            case b"PLAIN":
                secret = initial or await self.challenge(b"")
                _, login, password = [*decode(secret).split("\0"), "", "", ""][:3]
            case b"LOGIN":
                login = decode(initial or await self.challenge(b"VXNlcm5hbWU6"))
                password = decode(await self.challenge(b"UGFzc3dvcmQ6"))
            case b"XOAUTH2" | b"OAUTHBEARER":
                login, password = await self.bearer(mechanism.upper(), initial)
            case _:
                await self.answer(Step.AUTH, line, b"504 5.5.4 Unknown mechanism\r\n")
                return
        if self.sink.logins.get(login) == password:
            self.login = login
            await self.answer(Step.AUTH, line, b"235 2.7.0 Welcome\r\n")
        else:
            await self.answer(Step.AUTH, line, b"535 5.7.8 Wrong\r\n")

    async def bearer(self, mechanism: bytes, initial: bytes) -> tuple[str, str]:
        """Read user and token; a wrong one is told why before the refusal (RFC 7628 3.2.3)."""
        fields = decode(initial or await self.challenge(b"")).split("\x01")
        token = next((one[12:] for one in fields if one.startswith("auth=Bearer ")), "")
        login = fields[0].removeprefix("user=")
        if mechanism == b"OAUTHBEARER":
            login = fields[0].removeprefix("n,a=").removesuffix(",")
            login = login.replace("=2C", ",").replace("=3D", "=")
        if self.sink.logins.get(login) != token:
            await self.challenge(base64.b64encode(b'{"status":"invalid_token"}'))
        return login, token

    async def challenge(self, text: bytes) -> bytes:
        await self.say(b"334 " + text + b"\r\n")
        line = await self.line()
        self.note("command", line)
        return line

    async def mail_from(self, line: bytes, rest: bytes) -> None:
        if self.mail is not None:
            await self.answer(Step.MAIL, line, b"503 5.5.1 Nested MAIL\r\n")
            return
        if await self.answer(Step.MAIL, line, b"250 2.1.0 Sender OK\r\n"):
            self.mail = read_path(rest)

    async def rcpt_to(self, line: bytes, rest: bytes) -> None:
        if self.mail is None:
            await self.answer(Step.RCPT, line, b"503 5.5.1 MAIL first\r\n")
        elif await self.answer(Step.RCPT, line, b"250 2.1.5 Recipient OK\r\n"):
            self.rcpts.append(read_path(rest))

    async def data(self, line: bytes) -> None:
        if self.mail is None or not self.rcpts:
            await self.answer(Step.DATA, line, b"503 5.5.1 RCPT first\r\n")
            return
        if not await self.answer(Step.DATA, line, b"354 Go on\r\n"):
            return
        wire = await self.content()
        self.note("content", wire)
        message = self.message(wire)
        if self.sink.lmtp:
            await self.deliver(message)
            return
        fault = self.fault(Step.DOT, b"")
        if fault is None or isinstance(fault.action, Wait) or fault.keep:
            # Kept before the reply: what a client was told is here, it can rely on.
            self.sink.messages.append(message)
            self.note("accepted")
        self.reset()
        if fault is None:
            await self.say(f"250 2.0.0 Accepted as {len(self.sink.messages)}\r\n".encode())
        elif await self.strike(fault):
            await self.say(b"250 2.0.0 Accepted at last\r\n")

    async def deliver(self, message: Message) -> None:
        """Answer for each recipient; a fault at the dot may be for those it contains."""
        self.reset()
        faults = [(path, self.fault(Step.DOT, path.encode())) for path in message.recipients]
        got = tuple(path for path, fault in faults if fault is None or fault.keep)
        if got:
            self.sink.messages.append(replace(message, recipients=got))
            self.note("accepted")
        for path, fault in faults:
            if fault is None or await self.strike(fault):
                await self.say(f"250 2.0.0 <{path}> has it\r\n".encode())

    def message(self, wire: bytes) -> Message:
        assert self.mail is not None
        content = (b"\r\n" + wire).replace(b"\r\n.", b"\r\n")[2:]
        return Message(
            self.number,
            *self.mail,
            tuple(path for path, _ in self.rcpts),
            tuple(parameters for _, parameters in self.rcpts),
            content,
            wire,
            self.tls,
            self.login,
        )

    async def content(self) -> bytes:
        received = bytearray(b"\r\n" + self.buffer)
        self.buffer = b""
        try:
            if len(received) == 2:  # only the CRLF of the DATA line
                received += await self.read()
            fault = self.fault(Step.BODY, b"")
            if fault is not None:
                await self.strike(fault)
            end = await self.rest(received)
        except (_Gone, ConnectionError):
            self.note("lost", bytes(received[2:]))
            raise
        self.buffer = bytes(received[end + 5 :])
        return bytes(received[2 : end + 2])

    async def rest(self, received: bytearray) -> int:
        """Read until the final dot and give where it is."""
        pause = self.fault(Step.PAUSE, b"")
        searched = 0
        while (end := received.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(received) - 4)
            if pause is None:
                received += await self.read()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    received += await self.read()
                    continue
            await self.strike(pause)
            pause = None
        if pause is not None:
            await self.strike(pause)
            raise _Gone
        return end

    async def line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.buffer += await self.read()
        line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        return line

    async def read(self) -> bytes:
        octets = await self.reader.read(262_144)
        if not octets:
            raise _Gone
        return octets

    async def say(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def fault(self, step: Step, line: bytes) -> Fault | None:
        self.seen[step] += 1
        self.sink.met[step] += 1
        for fault in self.sink.faults:
            if (
                fault.step is step
                and fault.nth in (None, self.seen[step])
                and fault.connection in (None, self.number)
                and fault.at in (None, self.sink.met[step])
                and fault.containing in line
            ):
                self.note("fault", repr(fault.action).encode())
                return fault
        return None

    async def answer(self, step: Step, line: bytes, reply: bytes) -> bool:
        """Say the reply or what a fault puts in its place; tell whether the command was done."""
        fault = self.fault(step, line)
        if fault is None or await self.strike(fault):
            await self.say(reply)
            return reply[:1] in (b"2", b"3")
        return isinstance(fault.action, Say) and fault.action.raw[:1] in (b"2", b"3")

    async def strike(self, fault: Fault) -> bool:
        """Do what the fault says; tell whether to go on as if nothing had been."""
        match fault.action:
            case Say(raw=raw, close=close):
                await self.say(raw)
                if close:
                    raise _Gone
            case Trickle(raw=raw, pause=pause):
                for octet in raw:
                    await self.say(bytes((octet,)))
                    await asyncio.sleep(pause)
            case Endless(line=line):
                for _ in range(ENDLESS // (100 * len(line))):
                    await self.say(line * 100)
                    await asyncio.sleep(0)  # or nobody in this loop would notice
            case Close():
                raise _Gone
            case Reset():
                linger = struct.pack("ii", 1, 0)
                raw_socket = self.writer.get_extra_info("socket")
                raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.writer.transport.abort()
                raise _Gone
            case Hang():
                self.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.Event().wait()
            case Wait(seconds=seconds):
                await asyncio.sleep(seconds)
                return True
            case _ as never:
                assert_never(never)
        return False


@contextlib.contextmanager
def running(sink: Sink) -> Iterator[Sink]:
    """Run a sink in a thread, for tests that have no event loop."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with sink:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the sink did not start"
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@contextlib.asynccontextmanager
async def listening(*faults: Fault) -> AsyncIterator[Sink]:
    """Run a sink with everything on and these faults."""
    async with Sink(faults=list(faults)) as sink:
        yield sink
