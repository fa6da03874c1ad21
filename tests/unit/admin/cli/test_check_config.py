import tomllib

from .conftest import BILLS, Cli


def test_the_effective_settings_are_printed_and_nothing_is_made(empty: Cli) -> None:
    shown = empty.done("check-config")
    assert tomllib.loads(shown.out)["service"]["max_message_size"] == "50MB"
    assert not empty.state.exists()
    assert "stays closed" in shown.err
    assert empty.done("check-config", "--json").json["policy"]["sign"] == "always"


def test_every_fault_is_a_line(empty: Cli) -> None:
    text = empty.settings.read_text().replace("outside", "elsewhere", 1)
    empty.settings.write_text(text + 'tls_key = "/none"\n')
    result = empty("check-config")
    assert (result.code, result.out) == (1, "")
    assert [line.split(": ")[1] for line in result.err.splitlines()] == [
        "listeners.submission.upstream",
        "listeners.submission.tls_certificate",
    ]


def test_files_that_are_not_there_are_faults(empty: Cli) -> None:
    text = empty.settings.read_text()
    empty.settings.write_text(text + 'tls_key = "/none"\ntls_certificate = "/none"\n')
    result = empty("check-config")
    assert result.code == 1
    assert result.err.count("no such file") == 2


def test_a_master_key_that_does_not_fit_is_a_fault(empty: Cli) -> None:
    empty.done("account", "list")
    empty.done("check-config")
    (empty.state / "master.key").write_text("A" * 43 + "=\n")
    assert "do not open with the master key" in empty.refused("check-config")


def test_a_key_file_that_cannot_be_used_is_a_fault_that_names_it(declared: Cli) -> None:
    shown = declared.done("check-config")
    assert tomllib.loads(shown.out)["accounts"][BILLS]["kind"] == "personal"
    key_file = declared.directory / "bills.pem"
    for raw, reason in (
        ("", "the file is neither PEM nor PKCS #12"),
        (declared.directory.joinpath("partner.pem").read_text(), "carries partner@example.org"),
    ):
        key_file.write_text(raw)
        said = declared.refused("check-config")
        assert said.startswith(f'accounts."{BILLS}".key_file: {key_file}: ')
        assert reason in said
    key_file.unlink()
    assert declared.refused("check-config").endswith(f"{key_file}: No such file or directory")
    assert declared.refused("serve").endswith(f"{key_file}: No such file or directory")


def test_accounts_of_the_store_that_declared_ones_hide_are_told(declared: Cli) -> None:
    text = declared.settings.read_text().replace("bill@example.test", "al@example.test")
    declared.settings.write_text(text)
    assert (
        "al@example.test is no alias of the account alice@example.test in the store any more"
        in (declared.done("check-config").err)
    )
    declared.settings.write_text(text.replace("al@example.test", "alice@example.test"))
    assert "the account alice@example.test in the store is hidden by" in (
        declared.done("check-config").err
    )
