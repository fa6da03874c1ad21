"""Runs of the program that start by a fork of a process that has imported it: some 50 ms each.

What runs is `main`, in a process of its own, as from the command line; only the interpreter's start
and the imports are saved. With hundreds of starts they would be half of the time of all tests.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from smime_proxy.app import main
from tests.tied import tied


@dataclass(frozen=True, slots=True)
class Line:
    """What a process is started with: its arguments, where it writes, its surroundings.

    `leads`: it begins a session of its own, as a service does that may be killed with its workers.
    """

    words: Sequence[str]
    output: Path
    errors: Path
    folder: Path
    environment: Mapping[str, str]
    leads: bool


def run_main(line: Line) -> None:
    """Be the program, in the process that was forked for it; it ends with its exit code."""
    # The server of forks ends when nobody holds this any more, and with it all that is tied to it.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    tied(starter=os.getppid())()
    if line.leads:
        os.setsid()
    os.chdir(line.folder)
    os.environ.clear()
    os.environ.update(line.environment)
    for number, path in ((1, line.output), (2, line.errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    sys.argv = ["smime-proxy", *line.words]
    main()


def start(words: Sequence[str], output: Path, errors: Path, *, leads: bool) -> BaseProcess:
    """Start the program with these arguments; what it writes is appended to the files."""
    line = Line(words, output, errors, Path.cwd(), dict(os.environ), leads)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.e2e.preloaded"])
    # No daemon: those may have no children, and a service of several workers has.
    process = context.Process(target=run_main, args=(line,), daemon=False)
    process.start()
    return process


def completed(words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; gives what `subprocess.run` would, or raises what it would."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = (Path(folder, name) for name in ("output", "errors"))
        service = Service(start(words, output, errors, leads=False))
        try:
            code = service.wait(seconds)
        except subprocess.TimeoutExpired:
            service.kill()
            raise
        return subprocess.CompletedProcess(words, code, output.read_text(), errors.read_text())


class Service:
    """A forked process with the methods of `subprocess.Popen` that `Proxy` uses."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, sig: int) -> None:
        os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("smime-proxy", timeout or 0)
        return self._process.exitcode
