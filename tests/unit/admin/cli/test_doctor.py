"""`doctor` as it is typed: what it prints, when it exits with 1, what stops it."""

import json
from pathlib import Path

import pytest

from smime_proxy.stores.vault import make_master_key
from tests import pki
from tests.ports import free_port
from tests.sink import Sink, running
from tests.tls_files import make_tls_files

from .conftest import BILLS, Cli


def findings(cli: Cli) -> dict[str, str]:
    """Give severities by where."""
    said = json.loads(cli("doctor", "--json").out)
    return {one["where"]: one["severity"] for one in said["findings"]}


def test_a_new_installation_is_healthy_but_has_notes(cli: Cli) -> None:
    result = cli("doctor")
    assert result.code == 0, result.out
    assert "nothing found that hurts" in result.out
    assert "note: " in result.out
    assert cli("doctor", "--json").json["healthy"] is True


def test_an_account_without_a_key_makes_it_fail_with_what_to_do(cli: Cli) -> None:
    cli.done("account", "add", "bob@example.test")
    result = cli("doctor")
    assert result.code == 1
    assert "warning: account bob@example.test: no key signs now" in result.out
    assert "account import-key" in result.out
    said = cli("doctor", "--json").json
    assert said["healthy"] is False
    assert set(said["findings"][0]) == {"severity", "where", "what", "todo"}


def test_what_hurts_now_comes_first(cli: Cli) -> None:
    cli.done("account", "add", "bob@example.test")
    cli.settings.write_text(
        cli.settings.read_text()
        + f'[upstreams.gone]\nurl = "smtp://127.0.0.1:{free_port()}"\ntls = "never"\n'
    )
    severities = [one["severity"] for one in cli("doctor", "--json").json["findings"]]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert findings(cli)["upstreams.gone"] == "error"


def test_an_upstream_that_answers_is_no_finding(cli: Cli) -> None:
    with running(Sink()) as sink:
        cli.settings.write_text(
            cli.settings.read_text()
            + f'[upstreams.relay]\nurl = "smtp://127.0.0.1:{sink.port}"\ntls = "never"\n'
        )
        assert "upstreams.relay" not in findings(cli)


def test_one_upstream_set_up_wrongly_hides_no_other(cli: Cli) -> None:
    wrong = cli.file("ca.pem", "nothing")
    cli.settings.write_text(
        cli.settings.read_text()
        + f'[upstreams.a]\nurl = "smtp://127.0.0.1:1"\ntls_ca_file = "{wrong}"\n'
        + f'[upstreams.b]\nurl = "smtp://127.0.0.1:{free_port()}"\ntls = "never"\n'
    )
    found = findings(cli)
    assert (found["upstreams.a"], found["upstreams.b"]) == ("error", "error")


@pytest.mark.parametrize("content", [None, "nothing"])
def test_a_listeners_certificate_is_read(cli: Cli, content: str | None) -> None:
    files = make_tls_files(cli.directory)
    if content is not None:
        files.certificate.write_text(content)
    listener = (
        '[listeners.tls]\nrole = "outbound"\nbind = "127.0.0.1:2"\nupstream = "outside"\n'
        f'tls_certificate = "{files.certificate}"\ntls_key = "{files.key}"\n'
    )
    cli.settings.write_text(cli.settings.read_text() + listener)
    said = findings(cli).get("listeners.tls.tls_certificate")
    assert said == (None if content is None else "error")


def test_what_keeps_serve_from_starting_is_an_error(cli: Cli) -> None:
    cli.settings.write_text(
        cli.settings.read_text()
        + '[upstreams.relay]\nurl = "smtp://127.0.0.1:1"\ntls_ca_file = "/nowhere.pem"\n'
    )
    assert findings(cli)["upstreams.relay.tls_ca_file"] == "error"


def test_a_store_whose_keys_do_not_open_stops_it(cli: Cli, tmp_path: Path) -> None:
    make_master_key(tmp_path / "other.key")
    cli.settings.write_text(
        cli.settings.read_text() + f'[keys]\nmaster_key_file = "{tmp_path / "other.key"}"\n'
    )
    assert "do not open with the master key" in cli.refused("doctor")


def test_directories_and_resolvers_are_asked_unless_it_is_offline(cli: Cli) -> None:
    cli.settings.write_text(
        cli.settings.read_text()
        + '[discovery]\nsources = ["ldap:corp", "smimea"]\n'
        + f'[discovery.ldap.corp]\nurl = "ldap://127.0.0.1:{free_port()}"\ntls = "never"\n'
        + f'[discovery.smimea]\nresolver = "127.0.0.1:{free_port()}"\n'
        + f'[upstreams.gone]\nurl = "smtp://127.0.0.1:{free_port()}"\ntls = "never"\n'
    )
    found = findings(cli)
    assert found["discovery.ldap.corp"] == found["discovery.smimea"] == "warning"
    assert found["upstreams.gone"] == "error"
    offline = json.loads(cli("doctor", "--offline", "--json").out)
    assert offline["healthy"] is True


def test_a_directory_that_is_set_up_wrongly_is_an_error(cli: Cli) -> None:
    cli.settings.write_text(
        cli.settings.read_text()
        + '[discovery]\nsources = ["ldap:corp"]\n[discovery.ldap.corp]\n'
        + 'url = "ldaps://127.0.0.1:1"\ntls_ca_file = "/nowhere.pem"\n'
    )
    assert "error" in findings(cli).values()


def test_in_hard_mode_a_key_of_which_nothing_is_known_makes_it_fail(cli: Cli) -> None:
    cli.settings.write_text(cli.settings.read_text() + '[revocation]\nmode = "hard"\n')
    cli.done("account", "add", "bob@example.test")
    cli.done("ca", "init")
    cli.done("ca", "issue", "bob@example.test")
    assert cli("doctor").code == 0  # our own authority need not be asked
    root = pki.root("Foreign")
    bob = pki.person(root, "bob@example.test")
    cli.done("trust", "add", cli.file("root.pem", root.pem()), "--for", "example.test")
    cli.done(
        "account", "import-key", "bob@example.test", cli.file("bob.pem", bob.pem() + bob.key_pem())
    )
    result = cli("doctor")
    assert result.code == 1
    assert "whether it was revoked cannot be told" in result.out
    assert cli("doctor", "--offline").code == 1


def test_a_key_file_of_a_declared_account_that_cannot_be_used_is_an_error(declared: Cli) -> None:
    assert declared("doctor").code == 0
    (declared.directory / "bills.pem").write_text("nothing")
    assert findings(declared)[f'accounts."{BILLS}".key_file'] == "error"
    result = declared("doctor")
    assert result.code == 1
    assert "put it, with its key, into the account's key_file" in result.out
