"""`account import-keys`: whose a key is says its certificate; passwords come from a list."""

from pathlib import Path

import pytest

from tests import pki

from .conftest import Cli


def person(address: str) -> pki.Identity:
    return pki.person(None, address, kind="p256")


@pytest.fixture
def directory(cli: Cli) -> Path:
    """Make a directory with keys for an alias of alice, for bob and for nobody."""
    folder = cli.directory / "keys"
    folder.mkdir()
    (folder / "alice.p12").write_bytes(person("al@example.test").pkcs12(b"one"))
    (folder / "bob.pfx").write_bytes(person("bob@example.test").pkcs12(b"two"))
    (folder / "open.pem").write_bytes(
        person("open@example.test").pem() + person("open@example.test").key_pem()
    )
    (folder / "broken.p12").write_bytes(b"nothing")
    return folder


def passwords(cli: Cli) -> Path:
    return cli.file("passwords.csv", '\ufefffile,password\nalice.p12,one\n\n"bob.pfx","two"\n')


def test_keys_go_to_whom_their_certificates_name(cli: Cli, directory: Path) -> None:
    before = cli.done("account", "keys", "alice@example.test", "--json").json
    result = cli("account", "import-keys", directory, "--passwords", passwords(cli), "--create")
    assert result.code == 1
    assert result.out == "keys: 3 imported, 0 known, 1 refused\n"
    assert "broken.p12: refused: the file is neither PEM nor PKCS #12" in result.err
    after = cli.done("account", "keys", "alice@example.test", "--json").json
    assert len(after) == len(before) + 1
    for address in ("bob@example.test", "open@example.test"):
        assert len(cli.done("account", "keys", address, "--json").json) == 1


def test_accounts_are_made_only_on_demand(cli: Cli, directory: Path) -> None:
    result = cli("account", "import-keys", directory, "--passwords", passwords(cli), "--json")
    assert result.code == 1
    reasons = {line["file"]: line["reason"] for line in result.json["files"]}
    assert reasons["bob.pfx"] == "there is no account bob@example.test: --create makes it"
    assert result.json["imported"] == 1
    assert "there is no account" in cli.refused("account", "show", "bob@example.test")


def test_one_password_may_serve_all(cli: Cli, directory: Path) -> None:
    for path in directory.iterdir():
        if path.name != "alice.p12":
            path.unlink()
    one, wrong = cli.file("one", "one\n"), cli.file("wrong", "wrong\n")
    assert cli("account", "import-keys", directory, "--password-file", wrong).code == 1
    cli.done("account", "import-keys", directory, "--password-file", one)
    again = cli.done("account", "import-keys", directory, "--password-file", one, "--json").json
    assert (again["imported"], again["known"], again["refused"]) == (0, 1, 0)
    assert "the password is missing" in cli("account", "import-keys", directory).err


def test_a_certificate_without_an_address_is_refused(cli: Cli) -> None:
    nobody = pki.certify(None, name="Nobody", kind="p256")
    folder = cli.directory / "keys"
    folder.mkdir()
    (folder / "nobody.pem").write_bytes(nobody.pem() + nobody.key_pem())
    result = cli("account", "import-keys", folder, "--create")
    assert "carries no e-mail address" in result.err


@pytest.mark.parametrize("text", ["alice.p12\n", "a,b,c\n", '"unfinished\n', b"\xff\xfe"])
def test_a_list_that_is_none_is_refused_without_quoting_it(
    cli: Cli, directory: Path, text: str | bytes
) -> None:
    line = cli.refused("account", "import-keys", directory, "--passwords", cli.file("x.csv", text))
    assert "x.csv" in line
    assert "alice" not in line
    assert "unfinished" not in line


def test_what_is_no_directory_is_told(cli: Cli) -> None:
    assert "not a directory" in cli.refused("account", "import-keys", cli.file("a.p12", ""))
