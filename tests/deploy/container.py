"""A container of the image that serves: its settings, its mounts, its ports, its end."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.engine import IMAGE, Engine, ulimits
from tests.e2e.proxy import eventually
from tests.ports import HOST, free_ports

NETWORK = ("--network=host", "--pull=never", "--log-driver=k8s-file")
SETTINGS = "/etc/smime-proxy"
STATE = "/var/lib/smime-proxy"
SECRETS = "/run/secrets"
END_SECONDS = 60  # more than the service gives sessions at its end


@dataclass(frozen=True, slots=True)
class Container:
    """One that was started; `submission` and `status` are ports of this machine."""

    engine: Engine
    name: str
    submission: int
    status: int

    def get(self, path: str) -> int:
        """Ask the status endpoint from outside; gives the code, 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.status}{path}", timeout=10) as one:
                return int(one.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def is_up(self) -> bool:
        """Tell whether it is ready; fails when it has ended instead."""
        assert self.state()["Status"] == "running", self.log()
        return self.get("/readyz") == 200

    def state(self) -> dict[str, object]:
        """Give what the engine knows of its process."""
        (found,) = json.loads(self.engine.do("inspect", self.name))
        state: dict[str, object] = found["State"]
        return state

    def log(self) -> str:
        """Give what it wrote to standard output and standard error."""
        done = self.engine.ask("logs", self.name)
        return done.stdout + done.stderr

    def execute(self, *words: str) -> tuple[int, str]:
        """Run a command in it; gives its exit code and output."""
        done = self.engine.ask("exec", self.name, *words)
        return done.returncode, done.stdout + done.stderr

    def process(self) -> dict[str, str]:
        """Give what the kernel says of its first process."""
        code, text = self.execute("cat", "/proc/1/status")
        assert code == 0, text
        rows = (line.partition(":") for line in text.splitlines())
        return {name: value.strip() for name, _, value in rows}

    def changes(self) -> set[str]:
        """Give the files changed in its root file system, mounts not counted."""
        return {
            line.split(maxsplit=1)[1] for line in self.engine.do("diff", self.name).splitlines()
        }

    def wait(self) -> int:
        """Wait for its end; gives the exit code."""
        return int(self.engine.do("wait", self.name, seconds=END_SECONDS))


@contextmanager
def container(
    engine: Engine, folder: Path, settings: str, options: Sequence[str | Path]
) -> Iterator[Container]:
    """Serve in a container with these options.

    `settings` has SUBMISSION and STATUS where the ports belong; they lie in `folder`.
    """
    submission, status = free_ports(2)
    config = folder / "etc" / "smime-proxy.toml"
    config.parent.mkdir()
    text = settings.replace("SUBMISSION", str(submission)).replace("STATUS", str(status))
    config.write_text(text)
    name = f"{folder.name}-{submission}"
    mounts = ("--volume", f"{config.parent}:{SETTINGS}:ro")
    run = ("run", "--detach", "--name", name, *NETWORK, *ulimits(), *mounts, *options, IMAGE)
    try:
        engine.do(*run)
        one = Container(engine, name, submission, status)
        eventually(one.is_up, one.log)
        yield one
    finally:
        engine.ask("rm", "--force", "--time=0", name)
