"""Scriptable SMTP servers in a process of their own, all they see on disk before they answer.

One sink a lane; each accepted message is synchronised to disk before its 250 (or before the fault
that takes the place of the 250).
"""

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.ports import HOST, free_ports
from tests.sink import Entry, Message, Sink
from tests.sink_script import Fault
from tests.tls_files import TlsFiles

LOGIN = ("proxy", "canary-of-the-upstream")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message a sink took: reverse-path, recipients, and the octets as they came."""

    reverse_path: str
    recipients: tuple[str, ...]
    wire: bytes


@dataclass(frozen=True, slots=True)
class Lane:
    """A sink to start: its port, and its certificate when it offers STARTTLS and AUTH."""

    port: int
    tls: TlsFiles | None = None


class _Spool(list[Message]):
    """The messages of a sink, each on disk before the sink says 250, and nowhere else."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab")

    def append(self, message: Message) -> None:
        record = {
            "from": message.reverse_path,
            "to": message.recipients,
            "wire": base64.b64encode(message.wire).decode(),
        }
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class _Log(list[Entry]):
    """What a sink hears and does, line by line; contents are in the spool."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a", encoding="utf-8")

    def append(self, entry: Entry) -> None:
        raw = b"" if entry.event in ("content", "lost") else entry.raw
        self._file.write(f"{entry.connection} {entry.event} {raw!r}\n")
        self._file.flush()


class _Hole:
    """A port that takes connections from nobody and refuses them to nobody: its queue is full."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server((HOST, port), backlog=0)
        self._waiting = []
        for _ in range(4):  # beyond these SYNs are dropped
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex((HOST, port))
            self._waiting.append(waiting)

    def close(self) -> None:
        for one in (*self._waiting, self._listening):
            one.close()


class _Process:
    """The other process: obeys the calls of `Sinks` one after the other."""

    def __init__(self, folder: Path, lanes: Sequence[Lane]) -> None:
        self._sinks = [
            Sink(
                port=lane.port,
                tls=lane.tls.server() if lane.tls else None,
                logins=dict([LOGIN]) if lane.tls else {},
                messages=_Spool(folder / f"{number}.spool"),
                journal=_Log(folder / f"{number}.journal"),
            )
            for number, lane in enumerate(lanes)
        ]
        self._holes: dict[int, _Hole] = {}

    async def run(self, pipe: Connection) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for sink in self._sinks:
                await stack.enter_async_context(sink)
            pipe.send(None)
            loop, calls = asyncio.get_running_loop(), asyncio.Queue[tuple[Any, ...] | None]()

            def receive() -> None:
                try:
                    calls.put_nowait(pipe.recv())
                except EOFError:
                    calls.put_nowait(None)

            loop.add_reader(pipe.fileno(), receive)
            while (call := await calls.get()) is not None:
                name, *arguments = call
                pipe.send(await getattr(self, name)(*arguments))

    async def begin(self, lane: int, faults: list[Fault]) -> None:
        """Hang up on everybody and fail as told from now on."""
        sink = self._sinks[lane]
        await sink.hang_up()
        sink.met.clear()
        sink.messages.clear()
        sink.connections = 0
        sink.faults = faults

    async def change(self, lane: int, faults: list[Fault]) -> None:
        self._sinks[lane].faults = faults

    async def deafen(self, lane: int, hole: bool) -> None:
        sink = self._sinks[lane]
        sink.deafen()
        if hole:
            self._holes[lane] = _Hole(sink.port)

    async def listen(self, lane: int) -> None:
        if lane in self._holes:
            self._holes.pop(lane).close()
        await self._sinks[lane].listen()

    async def open(self, lane: int) -> int:
        return self._sinks[lane].open


def _main(pipe: Connection, folder: Path, lanes: Sequence[Lane]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent closes the pipe
    asyncio.run(_Process(folder, lanes).run(pipe))


class Sinks:
    """The sinks as the tests see them; usable from several threads."""

    def __init__(self, folder: Path, lanes: Sequence[Lane]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lanes = lanes
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[int, tuple[int, list[Accepted]]] = {}
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_main, args=(other, folder, lanes), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def begin(self, lane: int, faults: Sequence[Fault] = ()) -> None:
        """Begin a case: nobody is connected, nothing is counted yet."""
        self._call("begin", lane, list(faults))

    def change(self, lane: int, faults: Sequence[Fault] = ()) -> None:
        """Fail otherwise from now on, and keep all connections."""
        self._call("change", lane, list(faults))

    def deafen(self, lane: int, *, hole: bool = False) -> None:
        """Refuse connections, or swallow them."""
        self._call("deafen", lane, hole)

    def listen(self, lane: int) -> None:
        """Take connections again."""
        self._call("listen", lane)

    def open(self, lane: int) -> int:
        """Count the connections open now."""
        number: int = self._call("open", lane)
        return number

    def accepted(self, lane: int) -> list[Accepted]:
        """Give all messages on a sink's disk, whatever case they belong to."""
        with self._lock:
            offset, found = self._read.get(lane, (0, []))
            with (self._folder / f"{lane}.spool").open("rb") as spool:
                spool.seek(offset)
                for line in spool:
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    record = json.loads(line)
                    wire = base64.b64decode(record["wire"])
                    found.append(Accepted(record["from"], tuple(record["to"]), wire))
            self._read[lane] = (offset, found)
            return list(found)

    def heard(self, lane: int) -> str:
        """Give the journal of a sink."""
        return (self._folder / f"{lane}.journal").read_text(encoding="utf-8")

    def close(self) -> None:
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()

    def _call(self, *call: Any) -> Any:
        with self._lock:
            self._pipe.send(call)
            return self._pipe.recv()


@contextlib.contextmanager
def sinks(folder: Path, count: int, tls: TlsFiles | None = None) -> Iterator[Sinks]:
    """Run some sinks; with `tls` the odd ones offer STARTTLS and AUTH."""
    lanes = [
        Lane(port, tls if number % 2 else None) for number, port in enumerate(free_ports(count))
    ]
    running = Sinks(folder, lanes)
    try:
        yield running
    finally:
        running.close()
