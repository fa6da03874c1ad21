"""A whole smime-proxy as a process: settings, ports, log, commands, and how it is ended."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.e2e import forked
from tests.ports import HOST, free_ports
from tests.tied import tied

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("smime-proxy")
PATIENCE_SECONDS = 60  # for anything on a busy machine; nothing waits as long when all is well


@dataclass(frozen=True, slots=True)
class Listener:
    """One `[listeners]` table; `more` are further lines of TOML."""

    role: str
    upstream: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """What a service is made of; upstreams by name with the lines of their tables."""

    upstreams: Mapping[str, str]
    listeners: Mapping[str, Listener]
    workers: int = 1
    more: str = ""
    service: str = ""  # further lines of [service]

    def toml(self, state: Path, ports: Mapping[str, int]) -> str:
        """Write the settings file."""
        tables = [
            '[service]\nhostname = "proxy.example.test"',
            f'state_dir = "{state}"\nworkers = {self.workers}\n{self.service}',
            '[admin]\nbind = ""',
            f'[status]\nbind = "{HOST}:{ports["status"]}"',
            *(f"[upstreams.{name}]\n{lines}" for name, lines in self.upstreams.items()),
            *(
                f'[listeners.{name}]\nrole = "{one.role}"\nupstream = "{one.upstream}"\n'
                f'bind = "{HOST}:{ports[name]}"\n{one.more}'
                for name, one in self.listeners.items()
            ),
            self.more,
        ]
        return "\n".join(tables) + "\n"


def to_sink(port: int) -> str:
    """Write the table of an upstream on this machine, in clear text."""
    return f'url = "smtp://{HOST}:{port}"\ntls = "never"'


class Running(Protocol):
    """A process as `subprocess.Popen` shows it."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    def poll(self) -> int | None:
        """Give the exit code, None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """Send SIGKILL."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; gives the exit code."""


@dataclass
class Proxy:
    """A service in a folder of its own; `start` runs it, the ports stay the same.

    Service and commands are forked, which saves their start; `installed`: the installed program is
    run, as it is where there is a wrapper.
    """

    folder: Path
    design: Design
    ports: dict[str, int] = field(default_factory=dict)
    process: Running | None = None
    wrapper: Sequence[str | Path] = ()  # a command that runs the service as its last arguments
    installed: bool = False

    def __post_init__(self) -> None:
        names = [*self.design.listeners, "status"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self.design.toml(self.state, self.ports))

    @property
    def config(self) -> Path:
        return self.folder / "smime-proxy.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log_file(self) -> Path:
        return self.folder / "serve.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """Give what the service wrote so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command on this service's settings."""
        line = ["--config", str(self.config), *map(str, words)]
        if not self.installed:
            return forked.completed(line, PATIENCE_SECONDS)
        return subprocess.run(
            [PROGRAM, *line], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )

    def done(self, *words: str | Path) -> str:
        """Run a command that must succeed; gives its output."""
        result = self.command(*words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def changed(self, *words: str | Path) -> str:
        """Run a command that changes the store, and wait until all workers go by it."""
        reloads = self._reloads() + self.design.workers
        output = self.done(*words)
        eventually(lambda: self._reloads() >= reloads, self.log)
        return output

    def _reloads(self) -> int:
        return self.log().count("store_reloaded")

    def launch(self) -> None:
        """Start the service and do not wait for it."""
        line = ["--config", str(self.config), "serve"]
        if not self.wrapper and not self.installed:
            log = self.log_file
            self.process = forked.Service(forked.start(line, log, log, leads=True))
            return
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, PROGRAM, *line],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied(),
            )

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.launch()
        eventually(self.is_up, self.log)

    def is_up(self) -> bool:
        """Tell whether it says that it is ready; fails when it has ended instead."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        status, said = self.get("/readyz")
        return status == 200 and said.startswith("ok\n")

    def get(self, path: str) -> tuple[int, str]:
        """Ask the status endpoint; (0, "") when nobody answers."""
        url = f"http://{HOST}:{self.ports['status']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def counter(self, name: str) -> float:
        """Add up the samples of one counter."""
        _, text = self.get("/metrics")
        lines = [line for line in text.splitlines() if line.startswith(f"smime_proxy_{name}_total")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def children(self) -> list[int]:
        """Give the processes the first one made."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def open_files(self) -> int:
        """Count the descriptors of the first process."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it in good order; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill the first process, as a crash or the kernel would, and wait for its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def serving(
    folder: Path,
    template: Path,
    design: Design,
    wrapper: Sequence[str | Path] = (),
    *,
    installed: bool = False,
) -> Iterator[Proxy]:
    """Run a service on a copy of a state directory until the block ends."""
    made = Proxy(folder, design, wrapper=wrapper, installed=installed)
    with running(made, template) as proxy:
        yield proxy


@contextlib.contextmanager
def running(proxy: Proxy, template: Path) -> Iterator[Proxy]:
    """Run this service on a copy of a state directory until the block ends."""
    shutil.copytree(template, proxy.state)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.end()


def eventually(
    condition: Callable[[], bool],
    explain: Callable[[], str] = str,
    seconds: float = PATIENCE_SECONDS,
) -> None:
    """Wait for something that must come about."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, explain()
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
