"""The benchmark command: the rows of docs/performance.md in one run, with floors and goals.

Run as `make bench`; `BENCH_ARGS="--rounds 5 --messages 6000"` for longer ones. Only ratios of one
run mean anything on a shared machine.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.perf.directory import SIZES as DIRECTORIES
from tests.perf.directory import measure
from tests.perf.directory import report as show_directories
from tests.perf.large import Growth, growth
from tests.perf.limit import sign_rate
from tests.perf.load import Measured, send
from tests.perf.postfix import relaying
from tests.perf.processes import running, wait_for
from tests.perf.reading import linearity
from tests.perf.service import command, prepare, serving
from tests.ports import free_port

SIZE = 4096
KINDS = ("proxy, sessions reused", "proxy, one connection each", "postfix, reused", "postfix, each")


@dataclass
class Figures:
    """What the rounds measured, by kind."""

    limits: list[float] = field(default_factory=list)
    sign_cpu: list[float] = field(default_factory=list)
    by_kind: dict[str, list[Measured]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def rate(self, kind: str) -> float:
        return statistics.median(item.rate for item in self.by_kind[kind])

    def cpu(self, kind: str) -> float:
        return statistics.median(item.cpu for item in self.by_kind[kind])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=3000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="smime-proxy-bench-"))
    try:
        sink = free_port()
        # Root it is, for Postfix wants it; the sink then wants another user.
        sinking = ["smtp-sink", "-u", "postfix", "-c", f"127.0.0.1:{sink}", "1000"]
        with running(sinking, sink, folder / "sink.log"):
            figures = rounds(folder, sink, options.rounds, options.messages)
            start = cold_start(folder / "cold", sink)
            large = growth(folder / "large", sink)
            directories = [measure(folder / str(number), number, sink) for number in DIRECTORIES]
        report(figures, start, large, options)
        linearity()
        show_directories(directories)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rounds(folder: Path, sink: int, count: int, messages: int) -> Figures:
    """Measure everything in turn, round after round, after a warm-up that is not counted."""
    figures = Figures()
    config, port = prepare(folder, sink, workers=2)
    with serving(config, port, folder / "serve.log") as pid, relaying(sink) as relay:

        def measure(kind: str, number: int) -> Measured:
            reuse = kind.endswith("reused")
            if kind.startswith("proxy"):
                return send(port, pid, messages=number, size=SIZE, reuse=reuse)
            return send(
                relay.port,
                relay.pid,
                messages=number,
                size=SIZE,
                reuse=reuse,
                delivered=relay.is_empty,
            )

        for kind in KINDS:
            measure(kind, 200)
        for number in range(count):
            print(f"round {number + 1} of {count}", flush=True)
            limit, cpu = sign_rate()
            figures.limits.append(limit)
            figures.sign_cpu.append(cpu)
            for kind in KINDS:
                figures.by_kind[kind].append(measure(kind, messages))
    return figures


def cold_start(folder: Path, sink: int) -> float:
    """Measure seconds from starting the program to the first signed message accepted."""
    folder.mkdir()
    config, port = prepare(folder, sink, workers=1)
    times = []
    for _ in range(3):
        start = time.monotonic()
        with running(command(config, "serve"), None, folder / "serve.log") as program:
            wait_for(port, program)
            send(port, program.pid, messages=1, size=SIZE, reuse=False)
            times.append(time.monotonic() - start)
    return statistics.median(times)


def report(figures: Figures, start: float, large: Growth, options: argparse.Namespace) -> None:
    """Print the table."""
    limit = statistics.median(figures.limits)
    sign = statistics.median(figures.sign_cpu)
    reused, each, relay, relay_each = KINDS
    print(f"\nmedians of {options.rounds} rounds, {options.messages} messages of {SIZE} octets\n")
    print(f"RSA-2048 signatures, 2 processes: {limit:.0f}/s, {sign * 1000:.2f} ms CPU each")
    for kind in KINDS:
        rate, cpu = figures.rate(kind), figures.cpu(kind)
        print(f"{kind:28} {rate:7.0f}/s  {cpu * 1000:6.2f} ms CPU a message")
    over_relay = figures.rate(reused) / figures.rate(relay)
    over_relay_each = figures.rate(each) / figures.rate(relay_each)
    rows = (
        ("P1", "share of the limit, sessions reused", figures.rate(reused) / limit, 0.30, 0.50),
        ("P2", "share of the limit, one connection each", figures.rate(each) / limit, 0.18, 0.35),
        ("P3", "CPU a message / CPU of one signature", figures.cpu(reused) / sign, 3.0, 2.0),
        ("P4", "against Postfix relay, reused", over_relay, 1.5, 3.0),
        ("P4", "against Postfix relay, each", over_relay_each, 1.0, 2.0),
        ("P10", "4 x 49 MB at once, memory for an octet", large.memory, 3.0, 1.5),
        ("P10", "the same signed and encrypted", large.sealing, 5.0, 2.0),
        ("P12", "CPU for an octet, 30 MB over 1 MB", large.cpu, 1.3, 1.05),
        ("P13", "seconds, cold start to first signed mail", start, 3.0, 1.5),
    )  # fmt: skip
    print(f"\n{'':4} {'measure':42} {'value':>7} {'floor':>7} {'goal':>7}")
    for name, text, value, floor, goal in rows:
        held = value <= floor if goal < floor else value >= floor
        print(
            f"{name:4} {text:42} {value:7.2f} {floor:7.2f} {goal:7.2f}  {'' if held else 'BELOW'}"
        )
    subprocess.run(["uname", "-srm"], check=False)


if __name__ == "__main__":
    main()
