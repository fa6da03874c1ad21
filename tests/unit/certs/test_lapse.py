"""What ended is told apart from what never was, or may be some day."""

from datetime import UTC, datetime

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.lapse import MAX_LOOKED_AT, find_lapse
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import MinimumSource, Source
from tests import pki

ROOT = pki.root(kind="p256")
ALICE = parse_mailbox("alice@example.test")
OLD = datetime(2021, 1, 1, tzinfo=UTC)
NEW = datetime(2025, 1, 1, tzinfo=UTC)
FUTURE = datetime(2030, 1, 1, tzinfo=UTC)


def made(*mailboxes: str, issuer: pki.Identity | None = ROOT, **declared: object) -> Certificate:
    named = mailboxes or ("alice@example.test",)
    return pki.person(issuer, *named, **{"label": "alice", **declared}).certificate


def lapse(*candidates: Certificate | PartnerCertificate, anchors: tuple[Anchor, ...] = ()) -> str:
    held = [
        one if isinstance(one, PartnerCertificate) else PartnerCertificate(one)
        for one in candidates
    ]
    found = find_lapse(held, ALICE, pki.NOW, anchors or (Anchor(ROOT.certificate),))
    return found.reason if found else ""


def test_a_trusted_certificate_that_expired_lapsed() -> None:
    assert lapse(made(not_after=NEW)) == "its certificate expired on 2025-01-01"


@pytest.mark.parametrize(
    "never_used",
    [
        made(),
        made(not_before=FUTURE),
        made("bob@example.test", not_after=NEW),
        made(issuer=None, not_after=NEW),
        made(usage=("digital_signature",), not_after=NEW),
        made(kind="rsa1024", not_after=NEW),
        made(kind="ed25519", not_after=NEW),
    ],
)
def test_what_never_was_usable_did_not_lapse(never_used: Certificate) -> None:
    assert lapse(never_used) == ""
    assert lapse() == ""


def test_the_one_that_was_used_last_is_named() -> None:
    older, newer = made(not_after=OLD), made(not_before=OLD, not_after=NEW)
    for order in ((older, newer), (newer, older)):
        assert lapse(*order) == "its certificate expired on 2025-01-01"
    foreign = made(issuer=None, not_before=OLD, not_after=NEW)
    assert lapse(foreign, older) == "its certificate expired on 2021-01-01"


def test_an_authority_issued_anew_since_makes_nobody_forget() -> None:
    """Mail to him would leave in clear text as if he had never had a certificate."""
    anew = pki.root(kind="p256", not_before=datetime(2025, 6, 1, tzinfo=UTC))
    assert anew.certificate != ROOT.certificate
    reason = lapse(made(not_after=NEW), anchors=(Anchor(anew.certificate),))
    assert reason == "its certificate expired on 2025-01-01"


def test_a_pinned_one_needs_no_chain() -> None:
    own = made(issuer=None, not_after=NEW)
    assert lapse(PartnerCertificate(own, pinned=True)) == "its certificate expired on 2025-01-01"
    assert lapse(PartnerCertificate(made(issuer=None), pinned=True)) == ""


def test_an_issuer_that_expired_takes_its_certificates_along() -> None:
    middle = pki.intermediate(ROOT, "Middle", kind="p256", not_after=NEW)
    held = PartnerCertificate(made(issuer=middle), (middle.certificate,))
    assert lapse(held).startswith("its certificate lost its chain: CN=Middle: expired on 2025")
    anew = pki.intermediate(ROOT, "Young", kind="p256", not_before=NEW, not_after=FUTURE)
    apart = PartnerCertificate(made(issuer=anew, not_after=OLD), (anew.certificate,))
    assert lapse(apart) == "its certificate expired on 2021-01-01"


def test_the_certificate_of_a_domain_is_named_so() -> None:
    gate = PartnerCertificate(made("gate@hub.net", not_after=NEW), domains=("example.test",))
    assert lapse(gate) == "the certificate of example.test expired on 2025-01-01"
    limited = Anchor(ROOT.certificate, ("example.test",))
    assert lapse(gate, anchors=(limited,)) == ""  # it never was trusted: it carries another domain


def test_work_is_bounded() -> None:
    many = [made(issuer=None, not_before=OLD, not_after=NEW) for _ in range(MAX_LOOKED_AT)]
    assert lapse(*many[1:], made(not_after=OLD))
    assert lapse(*many, made(not_after=OLD)) == ""


def test_what_the_policy_never_let_in_did_not_lapse() -> None:
    ended = PartnerCertificate(made(issuer=None, not_after=NEW), source=Source.DISCOVERED)
    anchors = (Anchor(ROOT.certificate),)
    for minimum, found in ((MinimumSource.DISCOVERED, True), (MinimumSource.HARVESTED, False)):
        assert bool(find_lapse([ended], ALICE, pki.NOW, anchors, minimum)) is found


def test_a_revoked_one_lapsed_though_its_dates_are_good() -> None:
    held = made()
    revoking = (Anchor(ROOT.certificate, revoked=frozenset({held.fingerprint})),)
    reason = "its certificate is no longer valid: revoked by the authority that issued it"
    assert lapse(held, anchors=revoking) == reason
    gate = PartnerCertificate(made("gate@hub.net"), domains=("example.test",))
    revoking = (Anchor(ROOT.certificate, revoked=frozenset({gate.certificate.fingerprint})),)
    assert lapse(gate, anchors=revoking).startswith("the certificate of example.test is no longer")
