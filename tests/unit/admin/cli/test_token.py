"""Keys on a token by command: listed, given to accounts, refused when they are somebody else's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11 import MechanismFlag

from tests import hsm, pki
from tests.hsm import SoftHsm

from .conftest import Cli

ALICE = "alice@example.test"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with hsm.present(tmp_path_factory.mktemp("hsm")) as made:
        made.put(pki.rsa_key("token"), "alice", MechanismFlag.SIGN | MechanismFlag.DECRYPT)
        made.make_master_key("master")
        yield made


def settle(cli: Cli, token: SoftHsm, more: str = "") -> None:
    """Set the token in the settings."""
    cli.settings.write_text(f"{cli.settings.read_text()}\n{token.toml()}{more}")


def certificate(cli: Cli, label: str = "token") -> Path:
    made = pki.person(pki.root(), ALICE, label=label)
    return cli.file(f"{label}.crt", made.chain_pem())


def test_the_keys_on_it_are_listed(cli: Cli, token: SoftHsm) -> None:
    settle(cli, token)
    found = cli.done("token", "list", "--json").json
    assert {"uri": f"pkcs11:token={hsm.LABEL};object=alice", "kind": "rsa", "size": 2048} in found
    assert "object=master" in cli.done("token", "list").out


def test_an_account_gets_a_key_on_it(cli: Cli, token: SoftHsm) -> None:
    settle(cli, token)
    line = ("account", "import-key", ALICE, certificate(cli), "--token-key", "pkcs11:object=alice")
    assert "imported" in cli.done(*line).out
    assert "is there already" in cli.done(*line).out
    assert hsm.PIN.encode() not in (cli.state / "store.sqlite").read_bytes()


def test_a_key_that_is_not_the_certificates_is_refused(cli: Cli, token: SoftHsm) -> None:
    settle(cli, token)
    other = certificate(cli, "somebody else")
    line = ("account", "import-key", ALICE, other, "--token-key", "pkcs11:object=alice")
    assert "not that of the certificate" in cli.refused(*line)


def test_a_key_that_is_not_there_is_refused(cli: Cli, token: SoftHsm) -> None:
    settle(cli, token)
    line = ("account", "import-key", ALICE, certificate(cli), "--token-key", "pkcs11:object=bob")
    assert "has no key pkcs11:object=bob" in cli.refused(*line)


def test_without_a_token_there_is_one_line(cli: Cli) -> None:
    assert "there is no token" in cli.refused("token", "list")
    line = ("account", "import-key", ALICE, certificate(cli), "--token-key", "pkcs11:object=alice")
    assert "there is no token" in cli.refused(*line)


def test_a_token_that_is_away_is_one_line(cli: Cli, token: SoftHsm) -> None:
    settle(cli, token)
    with token.away():
        assert "cannot be used" in cli.refused("token", "list")


def test_a_store_whose_master_key_is_on_it_needs_no_file(empty: Cli, token: SoftHsm) -> None:
    settle(empty, token, '[keys]\nmaster_key = "pkcs11:object=master"\n')
    empty.done("account", "add", ALICE)
    key_file = empty.file("alice.p12", pki.person(pki.root(), ALICE).pkcs12(b"secret"))
    password = empty.file("password", "secret\n")
    empty.done("account", "import-key", ALICE, key_file, "--password-file", password)
    assert not (empty.state / "master.key").exists()
    assert empty.done("account", "keys", ALICE, "--json").json[0]["state"] == "current"
    with token.away():
        assert "cannot be used" in empty.refused("account", "list")
    text = empty.settings.read_text()
    empty.settings.write_text(text.replace('master_key = "pkcs11:object=master"', ""))
    assert "master key" in empty.refused("account", "list")
