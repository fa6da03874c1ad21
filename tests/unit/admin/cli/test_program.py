import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from smime_proxy import __version__, app
from smime_proxy.admin.cli.program import COMMANDS, CommandTable, root, run

DOCUMENTED = (Path(__file__).resolve().parents[4] / "docs" / "commands.md").read_text()
QUICK = """
import sys
from smime_proxy.admin.cli.program import run
code = run(["--help"], {}, object)
heavy = {"sqlalchemy", "pydantic", "structlog", "alembic", "aiosmtpd"} & set(sys.modules)
sys.exit(code or len(heavy))
"""


def test_help_lists_every_command_without_importing_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert subprocess.run([sys.executable, "-c", QUICK], check=False).returncode == 0
    shown = capfd.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"], {}, app.build) == 0
    assert "Usage: smime-proxy" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], {}, app.build) == 0
    assert capsys.readouterr().out == f"smime-proxy {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["account", "no-such-verb"],
        ["account", "add"],
        ["account", "add", "a@b.org", "--kind", "robot"],
        ["account", "list", "--no-such-option"],
        ["explain", "message.eml"],
    ],
)
def test_wrong_usage_is_code_2_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, {}, app.build) == 2
    shown = capsys.readouterr().err
    assert "Error: " in shown
    assert "Traceback" not in shown


SETTINGS = """
[service]
state_dir = "{state}"
[upstreams.relay]
url = "maildir://{state}/mail"
[listeners.submission]
role = "outbound"
bind = "127.0.0.1:2525"
upstream = "relay"
"""
UNREADABLE = """
import os, sys
from smime_proxy import app
from smime_proxy.admin.cli.program import run
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
sys.exit(run(sys.argv[1:], {}, app.build))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "FILE", "check-config"],
        ["--config", "SETTINGS", "cert", "import", "FILE"],
        ["--config", "SETTINGS", "trust", "add", "FILE"],
        ["--config", "SETTINGS", "account", "import-key", "a@b.example", "FILE"],
        ["--config", "SETTINGS", "account", "import-keys", "CLOSED"],
        ["--config", "SETTINGS", "cert", "import-all", "CLOSED"],
        ["--config", "SETTINGS", "explain", "--from", "a@b.example", "--to", "b@c.org", "FILE"],
        ["--config", "SETTINGS", "restore", "FILE"],
        ["--config", "SETTINGS", "backup", "STATE/backup", "--password-file", "FILE"],
        ["--config", "SETTINGS", "store", "rotate-master-key", "--new-file", "FILE"],
        ["--config", "SETTINGS", "inspect", "FILE"],
        ["--config", "SETTINGS", "inspect", "SETTINGS", "--key", "FILE"],
        ["--config", "SETTINGS", "inspect", "SETTINGS", "--trust", "FILE"],
    ],
)
def test_a_file_nobody_may_read_is_one_line_and_code_1(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which only its owner may enter
        place = Path(name)
        place.chmod(0o755)
        state = place / "state"
        state.mkdir()
        state.chmod(0o777)
        (place / "settings.toml").write_text(SETTINGS.format(state=state))
        (place / "file").touch(mode=0o000)
        (place / "file.d").mkdir(mode=0o000)
        named = {
            "FILE": "file",
            "CLOSED": "file.d",
            "SETTINGS": "settings.toml",
            "STATE/backup": "state/backup",
        }
        line = [str(place / named[one]) if one in named else one for one in arguments]
        shown = subprocess.run(
            [sys.executable, "-c", UNREADABLE, *line], capture_output=True, text=True, check=False
        )
        said = [one for one in shown.stderr.splitlines() if not one.startswith("warning: made")]
        assert (shown.returncode, len(said)) == (1, 1), shown.stderr
        assert said[0].startswith("smime-proxy: ")
        assert f"{place / 'file'}" in said[0]
        assert "Permission denied" in said[0]
        assert not (state / "backup").exists()


def test_the_installed_command_gives_the_codes(tmp_path: object) -> None:
    line = [sys.executable, "-c", "from smime_proxy.app import main; main()"]
    failed = subprocess.run(
        [*line, "--config", f"{tmp_path}/none.toml", "check-config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr == f"smime-proxy: {tmp_path}/none.toml: No such file or directory\n"
    assert subprocess.run([*line, "--bad"], capture_output=True, check=False).returncode == 2


def verbs() -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    table = typer.main.get_command(root)
    assert isinstance(table, CommandTable)
    for name in COMMANDS:
        command = table.get_command(None, name)
        inner = getattr(command, "commands", None)
        if inner:
            yield from ((f"{name} {verb}", below) for verb, below in inner.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(verbs()))
def test_every_command_and_option_is_documented(name: str, command: Any) -> None:
    sections = dict(
        re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENTED, re.MULTILINE | re.DOTALL)
    )
    synopsis = sections[name].splitlines()[1]
    assert synopsis.startswith(f"`{name}")
    for parameter in command.params:
        words = [word for word in parameter.opts if word.startswith("--")] or [parameter.metavar]
        assert words[0] == "--help" or words[0] in synopsis
    assert "```\n" in sections[name]


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^## (.+)$", DOCUMENTED, re.MULTILINE)) == {name for name, _ in verbs()}
