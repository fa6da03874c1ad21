"""`backup` as it is typed."""

from pathlib import Path

from .conftest import Cli


def test_a_backup_is_a_private_file_and_says_how_large(cli: Cli) -> None:
    password = cli.file("password", "correct horse\n")
    out = cli.directory / "backup"
    said = cli.done("backup", out, "--password-file", password).out
    assert f"{out}: {out.stat().st_size} octets" in said
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_bytes().startswith(b"smime-proxy backup 1\n")


def test_a_file_that_is_there_is_never_replaced(cli: Cli) -> None:
    password, old = cli.file("password", "correct horse\n"), cli.file("backup", "the last one")
    line = cli.refused("backup", old, "--password-file", password)
    assert line == (
        f"{old}: exists already and is never written over: name another file, or remove it"
    )
    assert old.read_text() == "the last one"


def test_a_password_is_needed_and_nothing_is_left_without(cli: Cli) -> None:
    out, empty = cli.directory / "backup", cli.file("password", "\n")
    assert "needs a password" in cli.refused("backup", out, "--password-file", empty)
    assert not out.exists()
    assert "no terminal" in cli.refused("backup", out)


def test_a_place_that_is_not_there_is_told(cli: Cli, tmp_path: Path) -> None:
    password = cli.file("password", "correct horse\n")
    line = cli.refused("backup", tmp_path / "nowhere" / "backup", "--password-file", password)
    assert "No such file" in line
