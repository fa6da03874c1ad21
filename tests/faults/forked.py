"""Services that start by a fork of a process that has imported the program: some 50 ms each.

What runs is `smime-proxy serve` as ever, in a session of its own; only the interpreter's start and
the imports are saved. Thousands of deaths would take hours without it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

from smime_proxy.admin.cli.program import run
from smime_proxy.app import build
from tests.e2e.proxy import Proxy


def serve_forked(config: Path, log: Path) -> None:
    """Run the service in this process, which becomes its first."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.exit(run(["--config", str(config), "serve"], {}, build))


class _Process:
    """A forked service with the methods of `subprocess.Popen` that `Proxy` uses."""

    def __init__(self, config: Path, log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.faults.preloaded"])
        # No daemon: those may have no children, and a service of several workers has.
        self._process = context.Process(target=serve_forked, args=(config, log), daemon=False)
        self._process.start()

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
            raise subprocess.TimeoutExpired("serve", timeout or 0)
        return self._process.exitcode


class Forked(Proxy):
    """A service like `Proxy`, started by a fork."""

    def launch(self) -> None:
        """Start the service and do not wait for it."""
        self.process = _Process(self.config, self.log_file)
