"""`restore` as it is typed: an empty store is filled, another one only with `--replace`."""

from pathlib import Path

import pytest

from .conftest import SETTINGS, Cli


@pytest.fixture
def saved(cli: Cli) -> Path:
    """Back up the store of the tests and give the file."""
    password, out = cli.file("password", "correct horse\n"), cli.directory / "backup"
    cli.done("backup", out, "--password-file", password)
    return out


def elsewhere(cli: Cli) -> None:
    """Go on with an empty state directory, which gets another master key."""
    cli.settings.write_text(SETTINGS.format(state=cli.directory / "elsewhere"))


def test_an_empty_store_is_filled_and_its_keys_sign(cli: Cli, saved: Path) -> None:
    before = cli.done("account", "show", "alice@example.test", "--json").json
    old_key = (cli.state / "master.key").read_bytes()
    elsewhere(cli)
    password = cli.directory / "password"
    said = cli.done("restore", saved, "--password-file", password)
    assert "restored" in said.out
    assert "made the master key" in said.err
    assert (cli.directory / "elsewhere" / "master.key").read_bytes() != old_key
    assert cli.done("account", "show", "alice@example.test", "--json").json == before
    assert cli("doctor").code == 0


def test_a_store_that_holds_something_is_replaced_only_on_demand(cli: Cli, saved: Path) -> None:
    password = cli.directory / "password"
    cli.done("account", "add", "bob@example.test")
    assert "--replace" in cli.refused("restore", saved, "--password-file", password)
    cli.done("account", "show", "bob@example.test")
    said = cli.done("restore", saved, "--password-file", password, "--replace").out
    (copy,) = cli.state.glob("store.sqlite.before-restore-*")
    assert str(copy) in said
    assert "there is no account" in cli.refused("account", "show", "bob@example.test")


def test_what_cannot_be_restored_is_named_and_leaves_no_store_behind(cli: Cli, saved: Path) -> None:
    wrong, cut = cli.file("wrong", "wrong\n"), cli.file("cut", saved.read_bytes()[:-9])
    elsewhere(cli)
    right = cli.directory / "password"
    for file, password in ((saved, wrong), (cut, right), (wrong, right)):
        line = cli.refused("restore", file, "--password-file", password)
        assert line.startswith(f"{file}: ")
        assert list((cli.directory / "elsewhere").iterdir()) == []
    cli.done("restore", saved, "--password-file", right)


def test_a_wrong_password_and_another_file_are_told(cli: Cli, saved: Path) -> None:
    wrong = cli.file("wrong", "wrong\n")
    elsewhere(cli)
    cli.done("account", "list")
    assert "password is wrong" in cli.refused("restore", saved, "--password-file", wrong)
    assert "no backup" in cli.refused("restore", wrong, "--password-file", wrong)
    assert "No such file" in cli.refused("restore", cli.directory / "x", "--password-file", wrong)
    assert "no terminal" in cli.refused("restore", saved)
