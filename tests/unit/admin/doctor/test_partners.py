"""What doctor says of partners: ended, ending without a successor, and how much it matters."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.admin.doctor.partners import partner_findings
from smime_proxy.policy.rules import Encrypt, OnLapsedCertificate, PartnerRule, Policy, Rules
from smime_proxy.stores import accounts, anchors, partners
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW, Identity
from tests.unit.stores.made import account

ADDRESS = "partner@example.org"
DAY = timedelta(days=1)
ROOT = pki.root()
POSSIBLE = Rules()
DEMANDED = Rules(partners={"example.org": PartnerRule(encrypt=Encrypt.REQUIRED)})
CLEAR = Rules(default=Policy(on_lapsed_certificate=OnLapsedCertificate.SEND_CLEAR))
REQUIRED = Rules(default=Policy(encrypt=Encrypt.REQUIRED))


@pytest.fixture(autouse=True)
def _trusted(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope())


def know(store: Store, act: Act, *identities: Identity, pinned: bool = False) -> None:
    for one in identities:
        file = (one.certificate, *one.chain)
        partners.import_certificate(store, act, file, pinned=pinned)


def person(first: int = -10, last: int = 400, issuer: Identity | None = ROOT, **more: Any) -> Any:
    dates = {"not_before": NOW + first * DAY, "not_after": NOW + last * DAY}
    return pki.person(issuer, ADDRESS, kind="p256", **dates, **more)


def test_a_usable_certificate_is_no_finding(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    know(store, act, person())
    assert list(partner_findings(look(), POSSIBLE, NOW)) == []


@pytest.mark.parametrize(
    ("rules", "severity", "then"),
    [
        (POSSIBLE, Severity.WARNING, "is refused (on_lapsed_certificate)"),
        (CLEAR, Severity.WARNING, "leaves unencrypted"),
        (DEMANDED, Severity.ERROR, "is refused, for encryption is required"),
        (REQUIRED, Severity.ERROR, "is refused, for encryption is required"),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(-10, 20), (-10, -1)])
def test_an_end_without_a_successor_is_told_louder_where_encryption_is_required(
    store: Store,
    act: Act,
    look: Callable[[], Snapshot],
    rules: Rules,
    severity: Severity,
    then: str,
    first: int,
    last: int,
) -> None:
    know(store, act, person(first, last))
    (found,) = partner_findings(look(), rules, NOW)
    assert (found.severity, found.where) == (severity, f"partner {ADDRESS}")
    assert found.what.endswith(then)
    assert f"expired on {NOW + last * DAY:%Y-%m-%d}" in found.what


def test_a_successor_makes_it_good(store: Store, act: Act, look: Callable[[], Snapshot]) -> None:
    know(store, act, person(-10, 20), person(-5, 300))
    assert list(partner_findings(look(), REQUIRED, NOW)) == []


def test_the_certificate_of_the_domain_makes_it_good(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    know(store, act, person(-10, 20))
    gateway = pki.person(ROOT, "gateway@example.org", kind="p256")
    partners.import_certificate(store, act, [gateway.certificate], domains=["example.org"])
    assert list(partner_findings(look(), REQUIRED, NOW)) == []


def test_a_successor_that_is_not_trusted_does_not(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    know(store, act, person(-10, 20), person(-20, 300, pki.root("Elsewhere")))
    (found,) = partner_findings(look(), REQUIRED, NOW)
    assert found.severity is Severity.ERROR


def test_what_was_never_usable_is_a_note(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    know(store, act, person(issuer=pki.root("Elsewhere")))
    (found,) = partner_findings(look(), POSSIBLE, NOW)
    assert found.severity is Severity.NOTE


def test_an_issuer_that_ends_is_seen_on_the_path(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    issuing = pki.intermediate(ROOT, not_after=NOW + 10 * DAY)
    know(store, act, person(issuer=issuing))
    (found,) = partner_findings(look(), POSSIBLE, NOW)
    assert found.severity is Severity.WARNING


def test_an_address_of_ours_is_no_partner(
    store: Store, act: Act, look: Callable[[], Snapshot]
) -> None:
    know(store, act, person(-10, -1))
    accounts.add(store, act, account(ADDRESS))
    assert list(partner_findings(look(), REQUIRED, NOW)) == []
