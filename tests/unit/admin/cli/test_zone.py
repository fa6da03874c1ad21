"""The records that are published load in NSD, and our own search finds what they say."""

import asyncio
from pathlib import Path

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.association import owner_name
from smime_proxy.lookup.smimea import SmimeaSource
from tests import pki
from tests.zones import HOST, Zone, loads, resolver

from .conftest import Cli


def records(cli: Cli, *options: str) -> str:
    return cli.done("account", "smimea", "alice@example.test", *options).out


def test_a_server_loads_what_is_printed_and_the_search_finds_it(cli: Cli, tmp_path: Path) -> None:
    every = [
        records(cli, "--selector", str(selector), "--matching", str(matching))
        for selector in (0, 1)
        for matching in (0, 1, 2)
    ]
    zone = Zone("example.test", every)
    assert loads(tmp_path, zone) == ""
    with resolver(tmp_path / "dns", [zone]) as running:
        source = SmimeaSource(HOST, running.port, 10.0)
        told = asyncio.run(source.ask(parse_mailbox("alice@example.test")))
    assert len(told.associations) == len(every)
    (certificate,) = (one for one in (a.certificate() for a in told.associations) if one)
    (key,) = cli.done("account", "keys", "alice@example.test", "--json").json
    assert certificate.fingerprint == key["certificate"]["fingerprint"]
    assert all(one.means(certificate) for one in told.associations)


def test_names_are_written_as_the_address_is_and_in_lower_case(cli: Cli) -> None:
    cli.done("account", "add", "Carol@example.test")
    cli.done("ca", "issue", "Carol@example.test")
    printed = cli.done("account", "smimea", "Carol@example.test").out
    for address in ("Carol@example.test", "carol@example.test"):
        assert f"{owner_name(parse_mailbox(address))}. 3600 IN SMIMEA 3 0 0 (" in printed
    assert printed.count("SMIMEA") == 2
    # Alice has an alias that her certificate does not carry.
    assert records(cli).count("SMIMEA") == 1


def test_issuers_are_named_where_the_chain_has_one(cli: Cli) -> None:
    printed = records(cli, "--usage", "2", "--matching", "1")
    (issued,) = cli.done("account", "keys", "alice@example.test", "--json").json
    digest = printed.partition("(")[2].replace(")", "").strip()
    assert "SMIMEA 2 0 1 (" in printed
    assert len(digest) == 64
    assert digest != issued["certificate"]["fingerprint"]
    self_made = pki.person(None, "carol@example.test", kind="p256")
    cli.done("account", "add", "carol@example.test")
    password = cli.file("password", "secret")
    file = cli.file("carol.p12", self_made.pkcs12())
    cli.done("account", "import-key", "carol@example.test", file, "--password-file", password)
    line = cli.refused("account", "smimea", "carol@example.test", "--usage", "2")
    assert "no chain is kept" in line


def test_there_is_nothing_to_publish_for_teams_and_without_keys(cli: Cli) -> None:
    cli.done("account", "add", "team@example.test", "--kind", "team")
    assert "nobody encrypts to it" in cli.refused("account", "smimea", "team@example.test")
    cli.done("account", "add", "new@example.test")
    assert "no current certificate" in cli.refused("account", "smimea", "new@example.test")
    assert cli("account", "smimea", "alice@example.test", "--usage", "4").code == 2


def test_former_keys_are_not_published(cli: Cli) -> None:
    (key,) = cli.done("account", "keys", "alice@example.test", "--json").json
    cli.done("account", "retire-key", "alice@example.test", key["id"])
    assert "no current certificate" in cli.refused("account", "smimea", "alice@example.test")
