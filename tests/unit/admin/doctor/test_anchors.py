"""What doctor says of authorities."""

from datetime import timedelta

import pytest

from smime_proxy.admin.doctor.anchors import anchor_findings
from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.stores.anchors import MANUAL, MOZILLA, Scope, StoredAnchor
from tests import pki
from tests.pki import NOW

DAY = timedelta(days=1)


def test_an_anchor_that_lasts_is_no_finding() -> None:
    anchor = StoredAnchor(pki.root().certificate, Scope(), NOW)
    assert list(anchor_findings([anchor], [], NOW)) == []


@pytest.mark.parametrize(
    ("days", "word"), [(29, "expires on 2026-06-30"), (-1, "expired on 2026-05-31")]
)
@pytest.mark.parametrize(
    ("source", "severity"), [(MANUAL, Severity.WARNING), (MOZILLA, Severity.NOTE)]
)
def test_an_anchor_that_ends_is_told(days: int, word: str, source: str, severity: Severity) -> None:
    root = pki.root(not_after=NOW + days * DAY).certificate
    (found,) = anchor_findings([StoredAnchor(root, Scope(), NOW, source)], [], NOW)
    assert found.severity is severity
    assert found.what.startswith(word)


def test_a_weak_anchor_is_told() -> None:
    root = pki.root(kind="rsa1024").certificate
    (found,) = anchor_findings([StoredAnchor(root, Scope(), NOW)], [], NOW)
    assert "1024 bits" in found.what


def test_an_authority_below_that_ends_is_a_note() -> None:
    issuing = pki.intermediate(pki.root(), not_after=NOW + DAY).certificate
    (found,) = anchor_findings([], [issuing], NOW)
    assert (found.severity, found.where) == (Severity.NOTE, f"authority {issuing.subject}")
