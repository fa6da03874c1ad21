"""What workers report is added up, whatever becomes of them."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from smime_proxy.smtp.service import Worker
from smime_proxy.smtp.tally import SILENT_SECONDS, Channel, Tally, report


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def said(
    slot: int,
    pid: int,
    counts: Mapping[str, int],
    not_ready: str = "",
    gauges: Mapping[str, float] | None = None,
) -> bytes:
    text = {"slot": slot, "pid": pid, "not_ready": not_ready, "counts": counts}
    return json.dumps(text | {"gauges": gauges or {}}).encode()


def test_what_is_measured_is_the_latest_of_each_worker_that_still_speaks() -> None:
    clock = Clock()
    tally = Tally(2, clock)
    tally.take(said(0, 10, {}, gauges={"a": 5.0}))
    tally.take(said(1, 11, {}, gauges={"a": 3.0, "b": 7.0}))
    assert tally.measured() == [{"a": 5.0}, {"a": 3.0, "b": 7.0}]
    clock.now += SILENT_SECONDS + 1
    tally.take(said(1, 12, {}, gauges={"a": 9.0}))
    assert tally.measured() == [{"a": 9.0}]


def test_counts_of_all_workers_are_added() -> None:
    tally = Tally(2)
    tally.take(said(0, 10, {"a": 1, "b": 2}))
    tally.take(said(1, 11, {"a": 5}))
    tally.take(said(1, 11, {"a": 6}))
    assert tally.counts() == {"a": 7, "b": 2}


def test_counts_never_go_back_when_a_worker_is_replaced() -> None:
    tally = Tally(1)
    tally.take(said(0, 10, {"a": 5}))
    tally.take(said(0, 20, {}))
    assert tally.counts() == {"a": 5}
    tally.take(said(0, 20, {"a": 1}))
    tally.take(said(0, 30, {"a": 1}))
    assert tally.counts() == {"a": 7}


def test_service_is_ready_when_all_workers_were_heard_and_one_is() -> None:
    tally = Tally(2)
    assert tally.not_ready() == "starting"
    tally.take(said(0, 10, {}))
    assert tally.not_ready() == "starting"
    tally.take(said(1, 11, {}, "no snapshot"))
    assert tally.not_ready() == ""
    tally.take(said(0, 10, {}, "no snapshot"))
    assert tally.not_ready() == "no snapshot"


def test_workers_that_fall_silent_are_not_ready() -> None:
    clock = Clock()
    tally = Tally(1, clock)
    tally.take(said(0, 10, {}))
    clock.now += SILENT_SECONDS + 1
    assert tally.not_ready() == "no worker answers"


def test_drain_is_not_ready() -> None:
    channel = Channel.make()
    tally = Tally(1)
    tally.take(said(0, 10, {}))
    channel.announce_end()
    tally.take(channel.read.recv(1000))
    assert tally.not_ready() == "shutting down"


def test_reports_nobody_reads_do_not_stop_the_worker() -> None:
    channel = Channel.make()
    for _ in range(10_000):
        channel.send(b"{}")


class FakeWorker:
    def not_ready(self) -> str:
        return "starting"

    def counts(self) -> Mapping[str, int]:
        return {"a": 3}

    def gauges(self) -> Mapping[str, float]:
        return {"x": 1.5}


async def test_worker_reports_itself() -> None:
    channel = Channel.make()
    task = asyncio.ensure_future(report(cast("Worker", FakeWorker()), 4, 44, channel))
    raw = await asyncio.get_running_loop().sock_recv(channel.read, 10_000)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert json.loads(raw) == {
        "slot": 4,
        "pid": 44,
        "not_ready": "starting",
        "counts": {"a": 3},
        "gauges": {"x": 1.5},
    }
