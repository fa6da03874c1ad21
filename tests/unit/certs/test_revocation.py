"""Whether somebody was revoked, by lists and answers; RFC 5280 6.3, E81. PKITS has many more."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.path import ChainStatus, PathResult, Purpose, revoked, validate
from smime_proxy.certs.revocation import MAX_SIGNERS_TRIED, Revocation, Status, standing
from smime_proxy.certs.revocation_list import _is_signed
from smime_proxy.certs.revocation_mode import Mode
from tests import pki

from .answers import DAY, NOW, Known, answer, crl

ROOT = pki.root(kind="p256")
ISSUING = pki.intermediate(ROOT, kind="p256")
ALICE = pki.person(ISSUING, "alice@example.test", kind="p256")
OTHER = pki.root("Other", kind="p256")
REVOKED = ocsp.OCSPCertStatus.REVOKED
UNKNOWN = ocsp.OCSPCertStatus.UNKNOWN


def told(known: Known) -> tuple[Status, str]:
    found = standing(ALICE.certificate, ISSUING.certificate, known, NOW)
    return found.status, found.reason


def judged(mode: Mode, known: Known, *, leaf: pki.Identity = ALICE) -> PathResult:
    return validate(
        leaf.certificate,
        [ISSUING.certificate],
        [Anchor(ROOT.certificate)],
        NOW,
        purpose=Purpose.SIGN,
        revocation=Revocation(mode, known),
    )


def test_a_list_that_names_it_revokes_and_one_that_does_not_clears() -> None:
    status, reason = told(Known([crl(ISSUING, ALICE)]))
    assert status is Status.REVOKED
    assert reason == "CN=alice@example.test: revoked on 2026-05-31 (keyCompromise)"
    assert told(Known([crl(ISSUING)])) == (Status.GOOD, "")


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"next_update": NOW - DAY / 2, "this_update": NOW - 2 * DAY}, "out of date"),
        ({"this_update": NOW + DAY, "next_update": NOW + 2 * DAY}, "out of date"),
        ({"signer": OTHER}, "not signed by anybody known"),
    ],
)
def test_a_list_that_does_not_hold_clears_nobody(declared: dict[str, Any], why: str) -> None:
    status, reason = told(Known([crl(ISSUING, **declared)]))
    assert status is Status.UNKNOWN
    assert why in reason


def test_what_never_ends_holds() -> None:
    """RFC 5280 4.1.2.5: the last second that can be written stands for no end."""
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert told(Known([crl(ISSUING, next_update=never)])) == (Status.GOOD, "")
    assert told(Known([crl(ISSUING, ALICE, next_update=never)]))[0] is Status.REVOKED
    assert told(Known([], [answer(ALICE, ISSUING, next_update=never)])) == (Status.GOOD, "")


@pytest.mark.parametrize("of_list", [b"", b"what they say their key is"])
def test_what_mail_brings_does_not_crowd_the_issuer_out(of_list: bytes) -> None:
    """Whoever was revoked would bring certificates with the name of his issuer."""
    name = ISSUING.certificate.x509().subject
    brought = [
        pki.certify(
            None,
            label=f"twin {number}",
            subject=name,
            ca=True,
            kind="p256",
            identifiers=False,
            extra=[(x509.SubjectKeyIdentifier(of_list), False)] if of_list else [],
        ).certificate
        for number in range(MAX_SIGNERS_TRIED)
    ]
    hint = [(x509.AuthorityKeyIdentifier(of_list, None, None), False)] if of_list else []
    known = Known([crl(ISSUING, ALICE, extra=hint)])
    found = standing(
        ALICE.certificate, ISSUING.certificate, known, NOW, signers=lambda _name: brought
    )
    assert found.status is Status.REVOKED


def test_an_old_list_still_revokes_and_a_forged_one_does_not() -> None:
    old = crl(ISSUING, ALICE, next_update=NOW - DAY / 2, this_update=NOW - 2 * DAY)
    assert told(Known([old]))[0] is Status.REVOKED
    assert told(Known([crl(ISSUING, ALICE, signer=OTHER)]))[0] is Status.UNKNOWN


def test_what_is_revoked_later_is_not_revoked_yet() -> None:
    later = crl(ISSUING, ALICE, at=NOW + DAY)
    assert told(Known([later]))[0] is Status.GOOD


def test_no_list_and_a_list_of_another_say_nothing() -> None:
    assert told(Known()) == (Status.UNKNOWN, "no revocation list is at hand")
    assert told(Known([crl(ROOT)])) == (Status.UNKNOWN, "the revocation list is not about it")


def scope(**declared: Any) -> tuple[x509.ExtensionType, bool]:
    values: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(values | declared)), True


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        ({"only_contains_user_certs": True}, Status.GOOD),
        ({"only_contains_ca_certs": True}, Status.UNKNOWN),
        ({"only_contains_attribute_certs": True}, Status.UNKNOWN),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, Status.UNKNOWN),
        ({"full_name": [x509.UniformResourceIdentifier("http://a.test/1.crl")]}, Status.UNKNOWN),
        ({"full_name": [x509.DNSName("a.test")]}, Status.UNKNOWN),
    ],
)
def test_a_list_clears_only_what_it_is_about(declared: dict[str, Any], status: Status) -> None:
    assert told(Known([crl(ISSUING, extra=[scope(**declared)])]))[0] is status


def test_a_key_that_may_not_sign_lists_signs_none() -> None:
    issuing = pki.intermediate(ROOT, "No lists", kind="p256", usage=("key_cert_sign",))
    leaf = pki.person(issuing, "a@x.y", kind="p256").certificate
    found = standing(leaf, issuing.certificate, Known([crl(issuing)]), NOW)
    assert found.status is Status.UNKNOWN
    assert "may not" in found.reason


def delta(base: int) -> tuple[x509.ExtensionType, bool]:
    return x509.DeltaCRLIndicator(base), True


def test_a_delta_adds_and_takes_away() -> None:
    """RFC 5280 5.2.4."""
    complete = crl(ISSUING, number=5)
    adding = crl(ISSUING, ALICE, number=6, extra=[delta(5)])
    assert told(Known([complete, adding]))[0] is Status.REVOKED
    held = crl(ISSUING, ALICE, number=5, reason=x509.ReasonFlags.certificate_hold)
    assert told(Known([held]))[0] is Status.REVOKED
    freeing = crl(
        ISSUING, ALICE, number=6, extra=[delta(4)], reason=x509.ReasonFlags.remove_from_crl
    )
    assert told(Known([held, freeing]))[0] is Status.GOOD
    foreign = crl(
        ISSUING, ALICE, number=6, extra=[delta(6)], reason=x509.ReasonFlags.remove_from_crl
    )
    assert told(Known([held, foreign]))[0] is Status.REVOKED
    forged = crl(
        ISSUING,
        ALICE,
        number=6,
        extra=[delta(4)],
        reason=x509.ReasonFlags.remove_from_crl,
        signer=OTHER,
    )
    assert told(Known([held, forged]))[0] is Status.REVOKED
    assert told(Known([adding]))[0] is Status.UNKNOWN


def test_an_ocsp_answer_decides_before_a_list() -> None:
    good, bad = answer(ALICE, ISSUING), answer(ALICE, ISSUING, status=REVOKED)
    assert told(Known([crl(ISSUING, ALICE)], [good]))[0] is Status.GOOD
    status, reason = told(Known([crl(ISSUING)], [bad]))
    assert status is Status.REVOKED
    assert "superseded" in reason


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"status": UNKNOWN}, "does not know it"),
        ({"next_update": NOW - DAY / 2}, "out of date"),
        (
            {"responder": pki.person(ISSUING, "r@x.y", kind="p256")},
            "not certified to sign OCSP answers",
        ),
    ],
)
def test_an_answer_that_does_not_hold_leaves_it_to_the_lists(
    declared: dict[str, Any], why: str
) -> None:
    weak = answer(ALICE, ISSUING, **declared)
    status, reason = told(Known((), [weak]))
    assert status is Status.UNKNOWN
    assert why in reason
    assert told(Known([crl(ISSUING)], [weak]))[0] is Status.GOOD
    assert told(Known([crl(ISSUING, ALICE)], [weak]))[0] is Status.REVOKED


def test_an_answer_about_another_is_none() -> None:
    other = pki.person(ISSUING, "bob@example.test", kind="p256")
    status, reason = told(Known((), [answer(other, ISSUING)]))
    assert (status, "another certificate" in reason) == (Status.UNKNOWN, True)


def test_the_modes_say_what_becomes_of_the_unknown() -> None:
    """V8, V9."""
    clear = Known([crl(ISSUING), crl(ROOT)])
    assert judged(Mode.HARD, clear).status is ChainStatus.TRUSTED
    assert judged(Mode.HARD, Known()).status is ChainStatus.UNKNOWN
    assert judged(Mode.SOFT, Known()).status is ChainStatus.TRUSTED
    bad = Known([crl(ISSUING, ALICE), crl(ROOT)])
    for mode in (Mode.HARD, Mode.SOFT):
        result = judged(mode, bad)
        assert result.status is ChainStatus.REVOKED
        assert "revoked on 2026-05-31" in result.reason
    assert judged(Mode.OFF, bad).status is ChainStatus.TRUSTED


def test_a_revoked_authority_takes_everybody_below_with_it() -> None:
    result = judged(Mode.SOFT, Known([crl(ISSUING), crl(ROOT, ISSUING)]))
    assert result.status is ChainStatus.REVOKED
    assert "Test Issuing CA" in result.reason


def test_who_is_expired_and_revoked_is_revoked() -> None:
    leaf = pki.person(ISSUING, "e@x.y", kind="p256", not_after=NOW - DAY)
    assert judged(Mode.SOFT, Known(), leaf=leaf).status is ChainStatus.EXPIRED
    bad = Known([crl(ISSUING, leaf, at=NOW - 2 * DAY)])
    assert judged(Mode.SOFT, bad, leaf=leaf).status is ChainStatus.REVOKED


def test_a_pinned_certificate_is_revoked_too_where_its_issuer_is_known() -> None:
    """The contract: usable when not revoked, pinned or not; unknown does not unpin it."""
    bad = Revocation(Mode.HARD, Known([crl(ISSUING, ALICE)]))
    unknown = Revocation(Mode.HARD, Known())
    pin = [Anchor(ALICE.certificate, pinned=True)]
    for revocation, pool, status in (
        (bad, [ISSUING.certificate], ChainStatus.REVOKED),
        (bad, [], ChainStatus.TRUSTED),
        (unknown, [ISSUING.certificate], ChainStatus.TRUSTED),
    ):
        result = validate(
            ALICE.certificate, pool, pin, NOW, purpose=Purpose.SIGN, revocation=revocation
        )
        assert result.status is status
    told = revoked(ALICE.certificate, [ISSUING.certificate], (), NOW, bad)
    assert "revoked on" in told
    assert revoked(ALICE.certificate, [ISSUING.certificate], (), NOW, None) == ""
    assert "revoked on" in revoked(ALICE.certificate, (), [Anchor(ISSUING.certificate)], NOW, bad)
    assert revoked(ALICE.certificate, [OTHER.certificate], (), NOW, bad) == ""


def test_a_list_of_a_delegate_needs_a_trusted_way_to_him() -> None:
    """RFC 5280 6.3.3 (f): the same name is not enough."""
    signing = pki.certify(
        ROOT, name="Test Issuing CA", label="lists", kind="p256", usage=("crl_sign",), eku=None
    )
    foreign = pki.certify(
        OTHER, name="Test Issuing CA", label="lists", kind="p256", usage=("crl_sign",), eku=None
    )
    known = Known([crl(ISSUING, ALICE, signer=signing)])
    for delegate, status in ((signing, ChainStatus.REVOKED), (foreign, ChainStatus.TRUSTED)):
        result = validate(
            ALICE.certificate,
            [ISSUING.certificate, delegate.certificate],
            [Anchor(ROOT.certificate)],
            NOW,
            purpose=Purpose.SIGN,
            revocation=Revocation(Mode.SOFT, known),
        )
        assert result.status is status


def test_a_list_of_a_delegate_below_another_anchor_says_nothing() -> None:
    """RFC 5280 6.3.3 (f): whoever is trusted for others has not the word about these."""
    foreign = pki.certify(
        OTHER, name="Test Issuing CA", label="lists", kind="p256", usage=("crl_sign",), eku=None
    )
    for known, mode, status in (
        (Known([crl(ISSUING, ALICE, signer=foreign)]), Mode.SOFT, ChainStatus.TRUSTED),
        (Known([crl(ROOT), crl(ISSUING, signer=foreign)]), Mode.HARD, ChainStatus.UNKNOWN),
    ):
        result = validate(
            ALICE.certificate,
            [ISSUING.certificate, foreign.certificate],
            [Anchor(ROOT.certificate), Anchor(OTHER.certificate)],
            NOW,
            purpose=Purpose.SIGN,
            revocation=Revocation(mode, known),
        )
        assert result.status is status


def test_only_a_few_of_a_name_are_tried_for_a_list_the_likelier_first() -> None:
    """Each try hashes the list, which may have megabytes; a stranger's mail may bring twenty."""
    delegate = pki.certify(
        ROOT, name="Test Issuing CA", label="delegate", kind="p256", usage=("crl_sign",), eku=None
    )
    named = [
        pki.intermediate(ROOT, label=f"named {number}", kind="p256").certificate
        for number in range(MAX_SIGNERS_TRIED)
    ]
    hint = (x509.AuthorityKeyIdentifier(delegate.certificate.ski, None, None), False)
    for extra, status, tries in (([hint], Status.REVOKED, 1), ([], Status.UNKNOWN, None)):
        known = Known([crl(ISSUING, ALICE, signer=delegate, extra=extra)])
        before = _is_signed.cache_info().misses
        found = standing(
            ALICE.certificate,
            ISSUING.certificate,
            known,
            NOW,
            signers=lambda _name: (*named, delegate.certificate),
            vouch=lambda _signer: "",
        )
        assert found.status is status
        assert _is_signed.cache_info().misses - before == (tries or MAX_SIGNERS_TRIED)
