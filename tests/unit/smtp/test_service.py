"""One process: made ready, at work, and let go of in the right order."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from socket import create_server

import pytest

from smime_proxy.gateway.ports import Extensions
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.service import Worker
from tests.unit.smtp.gateway import Client, FakeGateway, options, until


class FakeEngine:
    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.measures = self
        self.missing = ""
        self.reloads = 0
        self.renewed: tuple[ListenerOptions, ...] = ()
        self.closed = False
        self.counted: dict[str, int] = {}

    def count(self, name: str, **labels: str) -> None:
        self.counted[name] = self.counted.get(name, 0) + 1

    def greeting(self, listener: str) -> str:
        return ""

    async def learn(self, listener: str) -> None:
        return None

    def extensions(self, listener: str) -> Extensions:
        return Extensions(size=1000 if listener == "small" else 0)

    def not_ready(self) -> str:
        return self.missing

    def counts(self) -> Mapping[str, int]:
        return self.counted

    def gauges(self) -> Mapping[str, float]:
        return {"x": 1.5}

    def reload(self) -> Sequence[ListenerOptions]:
        self.reloads += 1
        return self.renewed

    async def close(self) -> None:
        # Deliveries are over before what they need is taken away.
        assert not self.gateway.started.is_set() or self.gateway.finished.is_set()
        self.closed = True


async def test_a_worker_serves_until_it_is_told_to_stop() -> None:
    engine, worker = FakeEngine(), Worker(grace=5)
    socks = [create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [sock.getsockname()[1] for sock in socks]
    names = ("small", "large")

    async def make() -> FakeEngine:
        assert worker.not_ready() == "starting"
        assert worker.counts() == {}
        os.kill(os.getpid(), signal.SIGHUP)  # nothing to read again yet, and no reason to end
        await asyncio.sleep(0.01)
        return engine

    chosen = [(sock, options(name=name)) for sock, name in zip(socks, names, strict=True)]
    running = asyncio.ensure_future(worker.run(make, chosen))
    assert worker.not_ready() == "starting"
    await until(lambda: not worker.not_ready())
    engine.missing = "no snapshot"
    assert worker.not_ready() == "no snapshot"
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: engine.reloads == 1)
    assert [await offered_size(port) for port in ports] == ["1000", "50000000"]
    assert worker.counts() == {"sessions": 2}
    engine.renewed = (options(name="large", max_message_size=2000), options(name="elsewhere"))
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: engine.reloads == 2)
    assert [await offered_size(port) for port in ports] == ["1000", "2000"]
    client = Client(*await asyncio.open_connection("127.0.0.1", ports[0]))
    engine.gateway.permission.clear()
    await client.begin()
    await client.ask("DATA")
    client.say("text", ".")
    await engine.gateway.started.wait()
    (shown,) = worker.measured()
    assert shown["x"] == 1.5
    assert shown["sessions_open\tsmall"] == 1
    assert shown["message_octets_held"] == len("text\r\n")
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: worker.not_ready() == "shutting down")
    assert not engine.closed
    engine.gateway.permission.set()
    assert await client.answer() == "250 Ok"
    assert worker.gauges()["message_octets_held"] == 0
    await running
    assert engine.closed
    client.writer.close()


async def test_a_worker_counts_its_tasks_under_its_slot() -> None:
    worker = Worker(grace=1, slot=3)
    before = worker.gauges()["tasks\t3"]
    more = [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(5)]
    assert worker.gauges() == {"tasks\t3": before + 5}
    for one in more:
        one.cancel()


async def offered_size(port: int) -> str:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    await client.answer()
    client.say("EHLO x")
    line = [await client.hear() for _ in range(6)][2]
    client.writer.close()
    return line.removeprefix("250-SIZE ")


async def test_a_worker_that_cannot_listen_lets_go_of_its_engine() -> None:
    engine = FakeEngine()
    sock = create_server(("127.0.0.1", 0))
    sock.close()

    async def make() -> FakeEngine:
        return engine

    with pytest.raises(OSError, match="Bad file descriptor"):
        await Worker(grace=1).run(make, [(sock, options())])
    assert engine.closed
