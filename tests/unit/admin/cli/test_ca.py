from pathlib import Path

from smime_proxy.certs.certificate import read_certificates
from smime_proxy.certs.pkcs12 import read_key_file

from .conftest import Cli


def test_the_authority_is_made_once_and_printed_each_time(cli: Cli) -> None:
    (root,) = read_certificates(cli.done("ca", "init").out.encode())
    assert root.is_ca
    assert cli.done("ca", "init").out == cli.done("ca", "init", "--name", "other").out


def test_without_an_authority_nothing_is_issued(empty: Cli) -> None:
    empty.done("account", "add", "a@example.test")
    assert "ca init" in empty.refused("ca", "issue", "a@example.test")


def test_an_issued_certificate_is_printed_and_its_key_kept(cli: Cli) -> None:
    (certificate,) = read_certificates(cli.done("ca", "issue", "alice@example.test").out.encode())
    assert certificate.may_sign
    assert certificate.may_encrypt
    newest = cli.done("account", "keys", "alice@example.test", "--json").json
    assert certificate.fingerprint in {key["certificate"]["fingerprint"] for key in newest}


def test_teams_and_signing_only_get_no_encryption(cli: Cli) -> None:
    for line in (["team@example.test"], ["alice@example.test", "--signing-only"]):
        (certificate,) = read_certificates(cli.done("ca", "issue", *line).out.encode())
        assert certificate.may_sign
        assert not certificate.may_encrypt


def test_an_address_without_account_needs_a_file(cli: Cli) -> None:
    assert "no account" in cli.refused("ca", "issue", "stranger@example.org")
    out = cli.directory / "stranger.pem"
    cli.done("ca", "issue", "stranger@example.org", "--out", out)
    bundle = read_key_file(out.read_bytes(), None)
    assert bundle.certificate.mailboxes[0].text == "stranger@example.org"
    assert bundle.chain[0].is_ca
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_pkcs12_file_has_a_password(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "x.p12"
    assert "--password-file" in cli.refused("ca", "issue", "x@example.org", "--out", out)
    password = cli.file("password", "secret\r\n")
    cli.done("ca", "issue", "x@example.org", "--out", out, "--password-file", password)
    assert read_key_file(out.read_bytes(), b"secret").certificate.mailboxes


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_issued(cli: Cli) -> None:
    before = cli.done("account", "keys", "alice@example.test").out
    out = cli.directory / "no" / "such" / "directory.pem"
    assert "No such file" in cli.refused("ca", "issue", "alice@example.test", "--out", out)
    assert cli.done("account", "keys", "alice@example.test").out == before
