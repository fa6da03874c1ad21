import tomllib

from .conftest import Cli


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
