"""What the guides have people type exists: commands, options, settings, files."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from smime_proxy.admin.cli.program import root
from smime_proxy.settings.loading import validate
from tests.e2e.proxy import ROOT

GUIDES = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        "install",
        "use-client-relay",
        "use-sidecar",
        "use-mx-hook",
        "microsoft-365",
        "google-workspace",
    )
]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FILES = re.compile(r"(?:config|deploy)/[\w./-]*\w|\b[\w-]+\.conf\b")

guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


def blocks(guide: Path, language: str) -> Iterator[str]:
    """Yield the blocks of a language."""
    for found in BLOCK.finditer(guide.read_text(encoding="utf-8")):
        if found[1] == language:
            yield found[2]


def typed(guide: Path) -> Iterator[list[str]]:
    """Yield the words behind `smime-proxy` of each command line."""
    for block in blocks(guide, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:\S*/)?smime-proxy (.*)", line)
            if found:
                yield shlex.split(re.split(r"&&|>", found[1])[0], comments=True)


def complaint(words: list[str]) -> str:
    """Say what of a command line does not exist, "" when all does."""
    command: Any = get_command(root)
    while hasattr(command, "list_commands") and words and not words[0].startswith("-"):
        word, *words = words
        command = command.get_command(None, word)
        if command is None:
            return f"there is no {word}"
    known = {option for one in command.params for option in one.opts}
    unknown = [word for word in words if word.startswith("--") and word not in known]
    return f"{command.name} has no {unknown}" if unknown else ""


@guides
def test_every_command_of_a_guide_exists_with_its_options(guide: Path) -> None:
    found = {shlex.join(words): complaint(list(words)) for words in typed(guide)}
    assert {line: why for line, why in found.items() if why} == {}
    assert found or guide.stem in {"microsoft-365", "google-workspace"}


@guides
def test_every_setting_of_a_guide_exists(guide: Path) -> None:
    for block in blocks(guide, "toml"):
        _, faults = validate(tomllib.loads(block))
        assert [str(fault) for fault in faults] == []


@guides
def test_every_file_a_guide_names_is_shipped(guide: Path) -> None:
    shipped = {path.name for path in (ROOT / "deploy").rglob("*")}
    names = set(FILES.findall(guide.read_text(encoding="utf-8")))
    absent = {name for name in names if not (ROOT / name).exists() and name not in shipped}
    assert absent <= {"smime-proxy.conf"}  # what it is called where it is put


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert complaint(["account", "ad", "a@example.com"])
    assert complaint(["account", "add", "a@example.com", "--sort", "team"])
