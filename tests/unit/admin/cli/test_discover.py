"""`cert discover` and `explain --discover` against a real directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from smime_proxy.certs.certificate import read_certificates
from tests import pki
from tests.slapd import SUFFIX, Directory, Entry, slapd

from .conftest import Cli

UNPROVEN = pki.person(None, "sam@example.org", kind="p256")
MAIL = "From: alice@example.test\nTo: partner@example.org\nSubject: hello\n\ntext\n"


@pytest.fixture
def directory(cli: Cli, tmp_path: Path) -> Iterator[Directory]:
    (partner, *_) = read_certificates((cli.directory / "partner.pem").read_bytes())
    entries = [
        Entry("partner@example.org", (partner.der,)),
        Entry("sam@example.org", (UNPROVEN.der,)),
    ]
    with slapd(tmp_path / "slapd", entries) as running:
        with cli.settings.open("a") as settings:
            settings.write(
                f'[discovery]\nsources = ["ldap:corp"]\n[discovery.ldap.corp]\ntls = "never"\n'
                f'url = "ldap://127.0.0.1:{running.port}"\nbase = "{SUFFIX}"\n'
            )
        yield running


def test_each_source_says_what_it_knows_and_what_that_is_worth(
    cli: Cli, directory: Directory
) -> None:
    (answer,) = cli.done("cert", "discover", "partner@example.org", "--json").json
    assert (answer["source"], answer["outcome"], answer["reason"]) == ("ldap:corp", "found", "")
    (found,) = answer["found"]
    assert (found["source"], found["usable"]) == ("directory-verified", True)
    assert found["certificate"]["addresses"] == ["partner@example.org"]
    shown = cli.done("cert", "discover", "partner@example.org").out
    assert "directory-verified" in shown
    assert cli.done("cert", "list", "--json").json == []
    directory.stop()


def test_what_is_not_used_says_why_and_is_no_success(cli: Cli, directory: Directory) -> None:
    result = cli("cert", "discover", "sam@example.org", "--json")
    (found,) = result.json[0]["found"]
    assert (result.code, found["source"], found["usable"]) == (1, "discovered", False)
    assert found["reason"] == "discovered, and minimum_source is harvested"
    nobody = cli("cert", "discover", "nobody@example.org")
    assert (nobody.code, "it has no certificate" in nobody.out) == (1, True)
    directory.stop()
    (answer,) = cli("cert", "discover", "partner@example.org", "--json").json
    assert answer["outcome"] == "unreachable"
    assert answer["reason"].startswith("it cannot be reached")


def test_what_is_kept_is_known_without_asking(cli: Cli, directory: Directory) -> None:
    line = ("--from", "alice@example.test", "--to", "partner@example.org", "--discover", "--json")
    path = cli.file("m.eml", MAIL)
    cli.done("cert", "discover", "partner@example.org")
    directory.stop()
    (found,) = cli.done("explain", path, *line).json["recipients"]
    assert found["action"] == "sign"
    directory.start()
    cli.done("cert", "discover", "partner@example.org", "--keep")
    directory.stop()
    (found,) = cli.done("explain", path, *line).json["recipients"]
    assert (found["action"], found["certificate_source"]) == ("sign+encrypt", "directory-verified")


def test_explain_asks_only_when_told_to(cli: Cli, directory: Directory) -> None:
    line = ("--from", "alice@example.test", "--to", "partner@example.org")
    path = cli.file("m.eml", MAIL)
    (found,) = cli.done("explain", path, *line, "--json").json["recipients"]
    assert (found["action"], found["lookups"]) == ("sign", ["ldap:corp"])
    assert (
        "partner@example.org would be looked up in ldap:corp"
        in cli.done("explain", path, *line).out
    )
    (found,) = cli.done("explain", path, *line, "--discover", "--json").json["recipients"]
    assert (found["action"], found["lookups"]) == ("sign+encrypt", [])
    directory.stop()


def test_without_sources_nobody_is_asked(cli: Cli) -> None:
    assert "discovery.sources is empty" in cli.refused("cert", "discover", "x@example.org")
