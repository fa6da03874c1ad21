"""The socket of a service manager, as systemd has one: keeps what it is told."""

import contextlib
import secrets
import socket
from pathlib import Path
from typing import Self


class Manager:
    """Hears datagrams; `address` is what NOTIFY_SOCKET says."""

    def __init__(self, path: Path | None = None) -> None:
        """Bind to a path, or without one to an abstract name."""
        name = f"smime-proxy-{secrets.token_hex(8)}"
        self.address = f"@{name}" if path is None else str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if path is None else str(path))
        self._socket.settimeout(0)
        self.heard: list[str] = []

    def lines(self) -> list[str]:
        """Give all lines heard so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._socket.recv(4096).decode().split("\n")
        return self.heard

    def count(self, line: str) -> int:
        """Count how often a line was heard."""
        return self.lines().count(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
