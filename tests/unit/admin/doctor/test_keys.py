"""What doctor says of accounts and their keys."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.admin.doctor.keys import key_findings
from smime_proxy.policy.rules import Kind, OnMissingKey, Policy, Rules, Sign
from smime_proxy.stores import accounts, anchors, keys, schema
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW, Identity
from tests.unit.stores.made import ALICE, account, bundle

ADDRESS = "alice@example.com"
DAY = timedelta(days=1)
ROOT = pki.root()
RULES = Rules()
REJECT = Rules(default=Policy(on_missing_key=OnMissingKey.REJECT))


@pytest.fixture(autouse=True)
def _trusted(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope(own_domains=True))
    accounts.add(store, act, account(ADDRESS))


def give(store: Store, act: Act, *identities: Identity) -> None:
    for one in identities:
        keys.import_key(store, act, ALICE, bundle(one))


def person(issuer: Identity | None = ROOT, days: int = 400, **more: Any) -> Identity:
    more = {"kind": "p256", "not_after": NOW + days * DAY, **more}
    return pki.person(issuer, ADDRESS, **more)


def told(found: list[Finding]) -> list[tuple[Severity, str]]:
    return [(one.severity, one.what) for one in found]


def test_a_key_that_is_good_is_no_finding(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person())
    assert list(key_findings(look(), RULES, NOW)) == []


@pytest.mark.parametrize(
    ("rules", "severity", "then"),
    [(RULES, Severity.WARNING, "leaves unsigned"), (REJECT, Severity.ERROR, "is refused")],
)
def test_an_account_without_a_key_is_told_with_what_happens_to_its_mail(
    look: Callable[[], Snapshot], rules: Rules, severity: Severity, then: str
) -> None:
    (found,) = key_findings(look(), rules, NOW)
    assert found.severity is severity
    assert found.where == f"account {ADDRESS}"
    assert "no certificate" in found.what
    assert found.what.endswith(then)
    assert "account import-key" in found.todo


def test_an_account_that_never_signs_needs_no_key(look: Callable[[], Snapshot]) -> None:
    assert list(key_findings(look(), Rules(default=Policy(sign=Sign.NEVER)), NOW)) == []


def test_a_disabled_account_needs_no_key(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    accounts.disable(store, act, ALICE)
    assert list(key_findings(look(), RULES, NOW)) == []


def test_a_key_that_ends_within_thirty_days_is_told_once(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(days=29))
    (found,) = key_findings(look(), RULES, NOW)
    assert found.severity is Severity.WARNING
    assert "expires on 2026-06-30 and no other follows" in found.what


def test_a_key_that_ends_and_has_a_successor_is_not_told(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(days=29), person(days=400, not_before=NOW + 20 * DAY))
    assert list(key_findings(look(), RULES, NOW)) == []


def test_an_expired_key_is_told_with_its_date(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(days=1))
    what = next(key_findings(look(), RULES, NOW + 2 * DAY)).what
    assert "expired on 2026-06-02" in what


def test_an_encryption_certificate_that_ends_alone_is_told(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(
        store,
        act,
        person(usage=("digital_signature",)),
        person(days=10, usage=("key_agreement",), label="enc"),
    )
    (found,) = key_findings(look(), RULES, NOW)
    assert found.what.startswith("the encryption certificate expires on 2026-06-11")
    (found,) = key_findings(look(), RULES, NOW + 11 * DAY)
    assert found.what.startswith("the encryption certificate expired on 2026-06-11")


def test_a_team_needs_no_encryption_certificate(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    accounts.add(store, act, account("team@example.com", kind=Kind.TEAM))
    accounts.disable(store, act, ALICE)
    team = account("team@example.com").address
    signing = {"kind": "p256", "usage": ("digital_signature",)}
    keys.import_key(store, act, team, bundle(pki.person(ROOT, "team@example.com", **signing)))
    ending = {"kind": "p256", "usage": ("key_agreement",), "not_after": NOW + DAY}
    keys.import_key(store, act, team, bundle(pki.person(ROOT, "team@example.com", **ending)))
    assert list(key_findings(look(), RULES, NOW)) == []


def test_a_key_whose_chain_leads_to_no_anchor_is_told(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(pki.root("Elsewhere")))
    (found,) = key_findings(look(), RULES, NOW)
    assert found.severity is Severity.WARNING
    assert "its chain is untrusted" in found.what


def test_a_key_that_is_not_valid_yet_is_judged_at_the_time_it_will_be(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(), person(not_before=NOW + DAY, days=500))
    assert list(key_findings(look(), RULES, NOW)) == []


def test_a_weak_chain_is_told(store: Store, act: Act, look: Callable[[], Snapshot]) -> None:
    issuing = pki.intermediate(ROOT, weak_digest="sha1")
    give(store, act, person(issuing))
    whats = [found.what for found in key_findings(look(), RULES, NOW)]
    assert any("its chain is weak" in what and "sha1" in what for what in whats)


def test_a_weakly_signed_certificate_is_told(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person(weak_digest="sha1"))
    assert (Severity.WARNING, "weak: signed with sha1") in told(
        list(key_findings(look(), RULES, NOW))
    )


def test_a_key_that_does_not_open_is_an_error(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    give(store, act, person())
    with store.engine.begin() as connection:
        connection.execute(update(schema.key).values(wrapped=b"damaged"))
    (found,) = key_findings(look(), RULES, NOW)
    assert found.severity is Severity.ERROR
    assert "does not open with the master key" in found.what
