"""A whole smime-proxy for measuring: made by its own commands, signing for one account."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import pki
from tests.perf.processes import running
from tests.ports import free_port

SENDER = "alice@example.test"
RECIPIENT = "someone@example.org"
SETTINGS = """
[service]
hostname = "proxy.example.test"
state_dir = "{state}"
workers = {workers}

[admin]
bind = ""

[status]
bind = ""

[log]
format = "json"

[upstreams.sink]
url = "smtp://127.0.0.1:{sink}"
tls = "never"

[listeners.submission]
role = "outbound"
bind = "127.0.0.1:{port}"
upstream = "sink"
"""


def command(config: Path, *words: str) -> list[str]:
    """Give the command line of a smime-proxy command, run by this very interpreter."""
    program = "from smime_proxy.app import main; main()"
    return [sys.executable, "-c", program, "--config", str(config), *words]


def prepare(folder: Path, sink: int, workers: int) -> tuple[Path, int]:
    """Make settings, account and key; gives the settings file and the port of the listener."""
    port = free_port()
    config = folder / "smime-proxy.toml"
    state = folder / "state"
    config.write_text(SETTINGS.format(state=state, workers=workers, sink=sink, port=port))
    for words in (("account", "add", SENDER), ("ca", "init"), ("ca", "issue", SENDER)):
        subprocess.run(command(config, *words), check=True, capture_output=True)
    return config, port


def know_recipient(config: Path, folder: Path) -> None:
    """Import a certificate of the recipient, so that mail is encrypted from now on."""
    file = folder / "recipient.pem"
    file.write_bytes(pki.person(None, RECIPIENT).pem())
    words = ("cert", "import", "--trust", str(file))
    subprocess.run(command(config, *words), check=True, capture_output=True)


@contextlib.contextmanager
def serving(config: Path, port: int, log: Path) -> Iterator[int]:
    """Run `serve` until the block ends; gives the process id of the first process."""
    with running(command(config, "serve"), port, log) as program:
        yield program.pid
