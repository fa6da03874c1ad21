"""Decisions about certificates found in signed mail: by name, or of those nobody doubts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.gateway.ports import FoundKey, SeenCapabilities
from smime_proxy.policy.harvest import Caution
from smime_proxy.policy.rules import Harvest
from smime_proxy.stores.capabilities import remember
from smime_proxy.stores.connection import Store
from smime_proxy.stores.harvest import take
from smime_proxy.stores.open import open_store
from tests import pki

from .conftest import Cli

NOW = datetime.now(UTC)
ROOT = pki.root("Found CA", kind="p256")
NEW = "new@example.org"

NOTHING = "nothing accepted: no certificate waits that --all takes\n"


@pytest.fixture
def store(cli: Cli) -> Iterator[Store]:
    cli.done("trust", "add", cli.file("found.pem", ROOT.pem()))
    opened = open_store("sqlite", cli.state, None, migrate=False).store
    yield opened
    opened.close()


def comes(
    store: Store, *addresses: str, identity: pki.Identity | None = None, trusted: bool = True
) -> str:
    """Let a key come in mail; gives its id."""
    made = identity or pki.person(ROOT if trusted else None, *addresses, kind="p256")
    anchor = ROOT.certificate.fingerprint if trusted else ""
    found = [
        FoundKey(parse_mailbox(one), made.certificate, (), anchor, "<1@y.org>", NOW, Caution.NONE)
        for one in addresses
    ]
    take(store, Harvest.ASK, found, NOW)
    return made.certificate.fingerprint[:16]


def test_what_waits_is_shown_with_where_it_came_from(cli: Cli, store: Store) -> None:
    key = comes(store, NEW)
    (view,) = cli.done("cert", "pending", "--json").json
    assert (view["id"], view["address"], view["warning"]) == (key, NEW, "")
    assert (view["chain"], view["count"], view["message_id"]) == ("trusted", 1, "<1@y.org>")
    assert view["anchor"] == ROOT.certificate.fingerprint
    assert datetime.fromisoformat(view["first_seen"]) == NOW
    assert view["certificate"]["fingerprint"].startswith(key)
    shown = cli.done("cert", "pending").out
    assert key in shown
    assert "CN=Found CA" in shown


def test_an_accepted_one_is_a_partners_and_waits_no_more(cli: Cli, store: Store) -> None:
    key = comes(store, NEW)
    accepted = cli.done("cert", "accept", key[:8])
    assert (accepted.out, accepted.err) == (f"{key} for {NEW}: accepted\n", "")
    assert cli.done("cert", "pending", "--json").json == []
    (view,) = cli.done("cert", "show", NEW, "--json").json
    assert (view["source"], view["usable"], view["pinned"]) == ("harvested", True, False)
    assert view["decided_by"].startswith("cli:")
    assert view["message_id"] == "<1@y.org>"
    assert "no pending certificate has" in cli.refused("cert", "accept", key)


def test_an_untrusted_one_is_accepted_by_its_name_only_and_pinned(cli: Cli, store: Store) -> None:
    """A13."""
    key = comes(store, NEW, trusted=False)
    (view,) = cli.done("cert", "pending", "--json").json
    assert (view["warning"], view["chain"]) == ("untrusted", "untrusted")
    for line in (["--all"], ["--all", "--trusted"]):
        result = cli.done("cert", "accept", *line)
        assert result.out == NOTHING
        assert result.err == "1 left to be decided by ID; `cert pending` shows them\n"
    refused = cli.refused("cert", "accept", key, "--address", "other@example.org")
    assert "does not wait for other@example.org" in refused
    accepted = cli.done("cert", "accept", key, "--address", NEW)
    assert accepted.out == f"{key} for {NEW}: accepted and pinned\n"
    (view,) = cli.done("cert", "show", NEW, "--json").json
    assert (view["usable"], view["pinned"]) == (True, True)


def test_a13_a_changed_one_is_left_by_all_and_named_it_comes_behind_the_imported(
    cli: Cli, store: Store
) -> None:
    """A13."""
    cli.done("cert", "import", cli.directory / "partner.pem")
    (old,) = cli.done("cert", "list", "--json").json
    changed = comes(store, "partner@example.org")
    fine = comes(store, NEW)
    result = cli.done("cert", "accept", "--all")
    assert result.out == f"{fine} for {NEW}: accepted\n"
    assert result.err.startswith("1 left")
    named = cli.done("cert", "accept", changed)
    older = old["certificate"]["fingerprint"][:16]
    assert f"goes to manual {older} while that is usable; `cert remove {older}`" in named.err


def test_all_takes_what_has_no_warning_and_with_trusted_what_is_trusted_now(
    cli: Cli, store: Store
) -> None:
    key = comes(store, NEW)
    root = ROOT.certificate.fingerprint
    cli.done("trust", "remove", root)
    assert cli.done("cert", "accept", "--all", "--trusted").out == NOTHING
    accepted = cli.done("cert", "accept", "--all")
    assert accepted.out == f"{key} for {NEW}: accepted\n"
    assert f"warning: {key} for {NEW} is not used: its chain is untrusted" in accepted.err
    assert accepted.err.count("\n") == 1


def test_one_certificate_with_a_warning_for_one_address_is_left_for_all(
    cli: Cli, store: Store
) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem")
    comes(store, NEW, "partner@example.org")
    assert cli.done("cert", "accept", "--all").out == NOTHING
    assert len(cli.done("cert", "pending", "--json").json) == 2


def test_one_that_is_pinned_for_another_address_is_left_by_all(cli: Cli, store: Store) -> None:
    """Taken in, it would be pinned for an address that nobody named."""
    identity = pki.person(pki.root("Late", kind="p256"), NEW, "second@example.org", kind="p256")
    key = comes(store, NEW, identity=identity, trusted=False)
    cli.done("cert", "accept", key)
    comes(store, "second@example.org", identity=identity)
    assert NOTHING in cli.done("cert", "accept", "--all").out
    accepted = cli.done("cert", "accept", key).out
    assert accepted == f"{key} for second@example.org: accepted and pinned\n"


def test_a_rejected_one_is_not_asked_about_again(cli: Cli, store: Store) -> None:
    identity = pki.person(ROOT, NEW, kind="p256")
    key = comes(store, NEW, identity=identity)
    assert cli.done("cert", "reject", key).out == f"{key} for {NEW}: rejected\n"
    comes(store, NEW, identity=identity)
    assert cli.done("cert", "pending", "--json").json == []
    assert "no pending certificate has" in cli.refused("cert", "reject", key)
    cli.done("cert", "import", cli.file("new.pem", identity.pem()))
    assert cli.done("cert", "show", NEW, "--json").json[0]["source"] == "manual"


@pytest.mark.parametrize(
    "line",
    [
        ["accept"],
        ["accept", "--trusted"],
        ["accept", "79a8c5db", "--all"],
        ["accept", "--all", "--address", "a@b.test"],
        ["reject"],
    ],
)
def test_what_is_not_named_is_wrong_usage(cli: Cli, line: list[str]) -> None:
    assert cli("cert", *line).code == 2


def test_what_a_partner_can_read_is_shown_and_forgotten(cli: Cli, store: Store) -> None:
    key = comes(store, NEW)
    cli.done("cert", "accept", key)
    said = Capabilities((("2.16.840.1.101.3.4.1.46", b""),))
    remember(store, [SeenCapabilities(parse_mailbox(NEW), said, NOW - timedelta(days=1))])
    assert cli.done("cert", "show", key, "--json").json["reads"] == {NEW: ["aes256_gcm"]}
    assert f"reads: {NEW}: aes256_gcm" in cli.done("cert", "show", key).out
    cli.done("cert", "forget", NEW)
    assert cli.done("cert", "show", key, "--json").json["reads"] == {}
    assert "nothing is remembered" in cli.refused("cert", "forget", NEW)
