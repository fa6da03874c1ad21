"""`account export-public`: the certificates in use, and nothing secret."""

import pytest

from smime_proxy.certs.certificate import read_certificates
from tests import pki

from .conftest import Cli


def test_the_certificate_and_its_chain_are_printed(cli: Cli) -> None:
    said = cli.done("account", "export-public", "al@example.test").out
    (own, *_) = read_certificates(said.encode())
    assert own.mailboxes[0].text == "alice@example.test"
    assert "PRIVATE" not in said


@pytest.mark.parametrize("form", ["pem", "der", "p7c", "vcard"])
def test_it_is_written_to_a_file_others_may_read(cli: Cli, form: str) -> None:
    out = cli.directory / "alice.out"
    arguments = ("account", "export-public", "alice@example.test", "--out", out)
    told = cli.done(*arguments, "--format", form).out
    assert told == f"{out}: the certificates of alice@example.test\n"
    assert out.stat().st_mode & 0o077 == 0o044
    assert out.stat().st_size > 300


def test_of_separate_keys_both_certificates_are_given_and_of_a_team_one(cli: Cli) -> None:
    for kind, number in (("personal", 2), ("team", 1)):
        address = f"{kind}.account@example.test"
        cli.done("account", "add", address, "--kind", kind)
        for usage in ("digital_signature", "key_agreement"):
            someone = pki.person(None, address, kind="p256", usage=(usage,), label=usage)
            file = cli.file(f"{usage}.pem", someone.pem() + someone.key_pem())
            cli.done("account", "import-key", address, file)
        said = cli.done("account", "export-public", address).out
        assert said.count("BEGIN CERTIFICATE") == number
    assert "DER holds one" in cli.refused(
        "account", "export-public", "personal.account@example.test", "--format", "der"
    )


def test_an_account_without_a_certificate_in_use_leaves_no_file(cli: Cli) -> None:
    cli.done("account", "add", "bob@example.test")
    out = cli.directory / "bob.pem"
    line = cli.refused("account", "export-public", "bob@example.test", "--out", out)
    assert "no certificate that is in use now" in line
    assert not out.exists()
    assert "there is no account" in cli.refused("account", "export-public", "x@example.test")
