"""An SMTP client that says exactly what it is told, octet by octet, and reads the replies."""

import socket
import ssl
from dataclasses import dataclass
from typing import Self

from tests.ports import HOST

SECONDS = 60  # for one reply on a busy machine


class Lost(Exception):  # noqa: N818 - what happened, not whose fault it is
    """The server closed or reset the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: its code and its lines without code."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    @property
    def status(self) -> str:
        """The enhanced status code, "" without one."""
        word = self.lines[0].partition(" ")[0]
        return word if word.count(".") == 2 else ""


class Client:
    """One connection; usable as a context manager."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self._socket: socket.socket = socket.create_connection((HOST, port), SECONDS)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._buffer = b""
        self.greeting = self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Send octets and wait for nothing."""
        try:
            self._socket.sendall(raw)
        except OSError as error:
            raise Lost from error

    def say(self, line: str | bytes) -> Answer:
        """Send one command and read its reply."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.answer()

    def answer(self) -> Answer:
        """Read one reply; raises `Lost` when the connection ends before it is whole."""
        lines = []
        while True:
            line = self._line()
            lines.append(line[4:].decode())
            if line[3:4] != b"-":
                return Answer(int(line[:3]), tuple(lines))

    def secure(self, context: ssl.SSLContext) -> None:
        """Turn to TLS after the 220 to STARTTLS."""
        self._socket = context.wrap_socket(self._socket, server_hostname="localhost")

    def is_over(self) -> bool:
        """Wait for the server's end of the connection; False when it says something instead."""
        try:
            return not self._buffer and not self._socket.recv(1)
        except OSError:
            return True

    def transaction(self, sender: str, recipients: tuple[str, ...], content: bytes) -> Answer:
        """Send one message; gives the first reply that is no success, or that to the dot.

        The client forgets a transaction that was refused early, as clients do.
        """
        commands = (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{item}>" for item in recipients), "DATA")
        for command in commands:
            answer = self.say(command)
            if answer.code >= 400:
                self.say("RSET")
                return answer
        return self.content(content)

    def content(self, content: bytes) -> Answer:
        """Send the content with its final dot, stuffed, and read the reply."""
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        end = b".\r\n" if not stuffed or stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        self.send(stuffed + end)
        return self.answer()

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            try:
                octets = self._socket.recv(65536)
            except OSError as error:
                raise Lost from error
            if not octets:
                raise Lost
            self._buffer += octets
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")


def deliver(port: int, sender: str, recipients: tuple[str, ...], content: bytes) -> Answer:
    """Send one message on a connection of its own; see `Client.transaction`."""
    with Client(port) as client:
        assert client.say("EHLO client.example.test").code == 250
        return client.transaction(sender, recipients, content)
