"""Send mail by `smtp-source`; measure rate, and CPU of what stands between it and the sink."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.perf.processes import cpu_seconds
from tests.perf.service import RECIPIENT, SENDER

SESSIONS = 10


@dataclass(frozen=True)
class Measured:
    """Messages a second, and CPU seconds a message of the program under test."""

    rate: float
    cpu: float


def send(
    port: int,
    pid: int,
    *,
    messages: int,
    size: int,
    reuse: bool,
    sessions: int = SESSIONS,
    delivered: Callable[[], bool] = lambda: True,
) -> Measured:
    """Send messages of `size` octets through the program of process `pid`.

    The clock stops when all have been accepted and `delivered` says that none waits any more.
    """
    command = [
        "smtp-source", *(["-d"] if reuse else []), "-s", str(sessions), "-m", str(messages),
        "-l", str(size), "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}",
    ]  # fmt: skip
    before, start = cpu_seconds(pid), time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    while not delivered():
        time.sleep(0.005)
    seconds = time.monotonic() - start
    return Measured(messages / seconds, (cpu_seconds(pid) - before) / messages)
