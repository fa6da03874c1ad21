"""A state directory with an authority and accounts, and commands run on it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smime_proxy import app
from smime_proxy.admin.cli.program import run

SETTINGS = """
[service]
hostname = "mail.example.test"
state_dir = "{state}"
[upstreams.outside]
url = "maildir://{state}/outside"
[listeners.submission]
role = "outbound"
bind = "127.0.0.1:1"
upstream = "outside"
"""


@dataclass(frozen=True)
class Result:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)


class Cli:
    """Runs commands on one state directory."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.settings = directory / "settings.toml"
        self.settings.write_text(SETTINGS.format(state=self.state))
        self.environment: dict[str, str] = {"SMIME_PROXY_SECRETS": str(directory)}
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Result:
        self._capture.readouterr()
        line = ["--config", str(self.settings), *map(str, arguments)]
        code = run(line, self.environment, app.build)
        captured = self._capture.readouterr()
        return Result(code, captured.out, captured.err)

    def done(self, *arguments: str | Path) -> Result:
        """Run a command that must succeed."""
        result = self(*arguments)
        assert result.code == 0, result.err
        return result

    def refused(self, *arguments: str | Path) -> str:
        """Run a command that must be refused in one line, and give that line."""
        result = self(*arguments)
        assert result.code == 1
        assert result.err.count("\n") == 1, result.err
        assert "Traceback" not in result.err
        return result.err.removeprefix("smime-proxy: ").rstrip("\n")

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file beside the settings."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Commands on a state directory that is not there yet."""
    return Cli(tmp_path, capsys)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with an authority, alice, team and a partner's files; made once."""
    directory = tmp_path_factory.mktemp("made")
    settings = directory / "settings.toml"
    settings.write_text(SETTINGS.format(state=directory / "state"))
    partner = directory / "partner.pem"
    for line in (
        ["account", "add", "alice@example.test", "--alias", "al@example.test"],
        ["account", "add", "team@example.test", "--kind", "team"],
        ["ca", "init"],
        ["ca", "issue", "alice@example.test"],
        ["ca", "issue", "team@example.test"],
        ["ca", "issue", "partner@example.org", "--out", str(partner)],
    ):
        assert run(["--config", str(settings), *line], {}, app.build) == 0
    return directory


@pytest.fixture
def cli(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Commands on a copy of the state directory made once."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Cli(tmp_path, capsys)


BILLS = "bills@example.test"


@pytest.fixture
def declared(cli: Cli) -> Cli:
    """Commands where the settings declare an account, in files beside them; it has an alias."""
    key_file = cli.directory / "bills.pem"
    cli.done("ca", "issue", BILLS, "--out", key_file)
    table = f'[accounts."{BILLS}"]\nkey_file = "{key_file}"\naliases = ["bill@example.test"]\n'
    cli.settings.write_text(cli.settings.read_text() + table)
    return cli
