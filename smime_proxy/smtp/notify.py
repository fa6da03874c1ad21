"""Tells the service manager how the service is: sd_notify(3), spoken without its library.

No RFC; systemd.service(5) Type=notify-reload, WatchdogSec. Datagrams of lines to a socket.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Never, Protocol

MICROSECONDS = 1_000_000


class Herald(Protocol):
    """Who is told what a process of the service does."""

    def serving(self) -> None:
        """All listeners accept mail."""
        ...

    def reloading(self) -> None:
        """The settings are being read again."""
        ...

    def reloaded(self) -> None:
        """They were, whatever came of it."""
        ...

    def stopping(self) -> None:
        """No new mail is taken, what is under way is finished."""
        ...


class Notifier:
    """The service manager's socket; without one nothing is said. Implements `Herald`.

    `watchdog` is the seconds within which the manager wants to hear of us, 0 for never. A manager
    that cannot be reached is no reason to stop taking mail.
    """

    def __init__(
        self, address: str, watchdog: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep where to send; `address` is a path, or `@` and an abstract name, "" for nowhere."""
        self.watchdog = watchdog if address else 0.0
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._clock = clock

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> "Notifier":
        """Read NOTIFY_SOCKET, and WATCHDOG_USEC where WATCHDOG_PID says this process or nobody."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):
            address = ""  # vsock and what may come
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        if not (is_ours and microseconds.isascii() and microseconds.isdigit()):
            return cls(address)
        return cls(address, int(microseconds) / MICROSECONDS)

    def __bool__(self) -> bool:
        """Tell whether anybody listens."""
        return bool(self._address)

    def serving(self) -> None:
        """Say that mail is taken."""
        self._send("READY=1", "STATUS=Taking mail")

    def reloading(self) -> None:
        """Say that the settings are being read; `serving` ends it."""
        now = int(self._clock() * MICROSECONDS)
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reading the settings")

    def reloaded(self) -> None:
        """Say that it is done."""
        self.serving()

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1", "STATUS=Finishing what is under way")

    def status(self, text: str) -> None:
        """Say one line for people."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Say that all is well, for the watchdog."""
        self._send("WATCHDOG=1")

    async def keep_alive(self) -> Never:
        """Tell it for as long as the loop lives, at half of the time that is waited for it."""
        while True:
            self.alive()
            await asyncio.sleep(self.watchdog / 2)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.settimeout(0)
            channel.sendto("\n".join(lines).encode(), self._address)
