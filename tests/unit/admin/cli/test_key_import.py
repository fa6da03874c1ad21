from .conftest import Cli


def test_a_directory_of_key_files_is_imported_and_the_failures_named(cli: Cli) -> None:
    keys = cli.directory / "keys"
    keys.mkdir()
    for number in range(2):
        cli.done("ca", "issue", "alice@example.test", "--out", keys / f"{number}.pem")
    cli.done("account", "remove", "alice@example.test", "--destroy-keys")
    cli.done("account", "add", "alice@example.test")
    (keys / "broken.p12").write_bytes(b"\x30\x80broken")
    (keys / "notes.txt").write_text("not a key file")
    result = cli("account", "import-key", "alice@example.test", keys)
    assert result.code == 1
    assert "broken.p12: " in result.err
    assert "notes" not in result.err
    assert result.err.endswith("smime-proxy: 1 of 3 files were not imported\n")
    assert len(cli.done("account", "keys", "alice@example.test", "--json").json) == 2


def test_a_directory_without_key_files_is_refused(cli: Cli) -> None:
    empty = cli.directory / "none"
    empty.mkdir()
    assert "ends in" in cli.refused("account", "import-key", "alice@example.test", empty)


def test_a_key_for_somebody_else_is_refused(cli: Cli) -> None:
    partner = cli.directory / "partner.pem"
    reason = cli.refused("account", "import-key", "alice@example.test", partner)
    assert "carries partner@example.org, not alice@example.test" in reason


def test_an_unreadable_key_file_is_refused_by_name(cli: Cli) -> None:
    broken = cli.file("broken.pem", "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n")
    reason = cli.refused("account", "import-key", "alice@example.test", broken)
    assert reason.startswith(str(broken))
