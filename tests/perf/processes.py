"""Start, watch and stop the programs a measurement needs, and read what CPU they used."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.tied import tied

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30  # until a program listens


def wait_for(port: int, program: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until something accepts connections on the port."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if program is not None and program.poll() is not None:
            raise RuntimeError(f"{program.args!r} ended with {program.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


@contextlib.contextmanager
def running(command: list[str], port: int | None, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own until the block ends."""
    with log.open("ab") as output:
        program = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=tied(signal.SIGTERM),
        )
    try:
        if port is not None:
            wait_for(port, program)
        yield program
    finally:
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def cpu_seconds(root: int) -> float:
    """Give user and system seconds of a process and its descendants, ended ones included."""
    total = 0.0
    for pid in (root, *_descendants(root)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, and what children that were waited for have used: proc(5)
            total += sum(map(int, fields[11:15])) / TICKS
    return total


def resident_octets(pid: int) -> int:
    """Give the memory a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    """Let the peak of this process be what it holds now: proc(5), clear_refs."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_octets() -> int:
    """Give the most memory this process held since the peak was reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found, waiting = [], [root]
    while waiting:
        current = waiting.pop()
        children = [pid for pid, parent in parents.items() if parent == current]
        found += children
        waiting += children
    return found
