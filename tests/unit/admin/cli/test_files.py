import os
from pathlib import Path

import pytest

from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.certs.errors import KeyFileError

from .conftest import Cli


def test_a_password_is_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b" secret \r\nother\n")
    assert files.read_password(path) == b" secret "
    path.write_bytes(b"")
    assert files.read_password(path) == b""


def test_without_a_terminal_no_password_is_asked_for() -> None:
    with pytest.raises(CommandError, match="no terminal to ask on; use --password-file"):
        files.ask_password("password")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"{tmp_path}: Is a directory"):
        files.read(tmp_path)


def test_a_key_file_is_tried_with_every_password_and_without(cli: Cli, tmp_path: Path) -> None:
    out, password = tmp_path / "x.p12", cli.file("password", "secret\n")
    cli.done("ca", "issue", "x@example.org", "--out", out, "--password-file", password)
    assert files.read_keys(out, [b"wrong", b"secret"]).pairs
    assert files.read_keys(cli.directory / "partner.pem", [b"unneeded"]).pairs
    with pytest.raises(KeyFileError, match=f"{out}: the password is wrong"):
        files.read_keys(out, [b"wrong"])
    with pytest.raises(KeyFileError, match=f"{out}: the password is missing"):
        files.read_keys(out, [])


def test_a_private_file_keeps_its_content_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"a longer content before")
    descriptor = files.open_private(path)
    assert path.read_bytes() == b"a longer content before"
    files.write(descriptor, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_device_or_pipe_keeps_its_mode_and_gets_no_secrets(tmp_path: Path) -> None:
    """As root, /dev/null would be for root alone from then on."""
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o644)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(CommandError, match="not a file"):
            files.open_private(path)
    finally:
        os.close(reader)
    files.discard_empty(path)
    assert path.stat().st_mode & 0o777 == 0o644


def test_only_files_of_the_right_kind_are_found_in_a_directory(tmp_path: Path) -> None:
    for name in ("b.PEM", "a.p12", "c.txt"):
        (tmp_path / name).touch()
    found = files.named_files(tmp_path, files.KEY_SUFFIXES)
    assert [path.name for path in found] == ["a.p12", "b.PEM"]
    assert files.named_files(tmp_path / "c.txt", files.KEY_SUFFIXES) == [tmp_path / "c.txt"]


def test_without_a_terminal_there_is_no_progress_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / str(number) for number in range(3)]
    assert list(files.tracked(paths)) == paths
    assert capsys.readouterr().err == ""


class Terminal:
    """A standard error that says it is a terminal."""

    def __init__(self) -> None:
        self.shown = ""

    def write(self, text: str) -> int:
        self.shown += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_long_work_shows_a_progress_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    paths = [tmp_path / str(number) for number in range(3)]
    assert list(files.tracked(paths)) == paths
    assert "100%" in terminal.shown


def test_only_an_empty_file_is_discarded(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.write_bytes(b"x")
    gone.touch()
    for path in (kept, gone, tmp_path / "never", None):
        files.discard_empty(path)
    assert (kept.exists(), gone.exists()) == (True, False)
