"""Chains as a fact (RFC 5280 6, RFC 8550 4); rows E04, E78, E79, E80, E82."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import (
    MAX_OCTETS_JUDGED,
    MAX_PATHS_JUDGED,
    ChainStatus,
    PathResult,
    Purpose,
    validate,
)
from smime_proxy.certs.pool import MAX_SIGNATURE_CHECKS, Issuers, Pool
from smime_proxy.certs.processing import process
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.signature import is_signed_by
from tests import pki
from tests.unit.certs.answers import Known, crl

ROOT = pki.root(kind="p256")
ISSUING = pki.intermediate(ROOT, kind="p256")
ALICE = pki.person(ISSUING, "alice@example.test", kind="p256")
DAY = timedelta(days=1)


def judged(
    leaf: pki.Identity,
    *anchors: pki.Identity | Anchor,
    at: datetime = pki.NOW,
    pool: tuple[Certificate, ...] | Pool | None = None,
    mailbox: str = "",
    purpose: Purpose = Purpose.SIGN,
) -> PathResult:
    return validate(
        leaf.certificate,
        leaf.chain if pool is None else pool,
        [a if isinstance(a, Anchor) else Anchor(a.certificate) for a in anchors],
        at,
        mailbox=parse_mailbox(mailbox) if mailbox else None,
        purpose=purpose,
    )


def test_a_chain_to_an_anchor_is_trusted() -> None:
    result = judged(ALICE, ROOT)
    assert result.status is ChainStatus.TRUSTED
    assert result.path == (ALICE.certificate, ISSUING.certificate, ROOT.certificate)
    assert result.reason == ""


def test_without_anchor_or_issuer_it_is_untrusted_and_says_why() -> None:
    """E04."""
    assert judged(ALICE).status is ChainStatus.UNTRUSTED
    assert judged(ALICE, pki.root("Other", kind="p256")).status is ChainStatus.UNTRUSTED
    result = judged(ALICE, ROOT, pool=())
    assert result.status is ChainStatus.UNTRUSTED
    assert result.reason.startswith("issuer certificate missing: CN=Test Issuing CA")


def test_a_clone_of_a_trusted_subject_is_untrusted() -> None:
    """E04: `forged_cloned_subject.eml`."""
    forged_root = pki.root(label="forged root", kind="p256")
    forged = pki.person(forged_root, "alice@example.test", label="forged", kind="p256")
    assert judged(forged, ROOT, pool=(forged_root.certificate,)).status is ChainStatus.UNTRUSTED
    alone = pki.person(None, "alice@example.test", label="forged", kind="p256")
    result = judged(alone, ROOT, ALICE)
    assert result.status is ChainStatus.UNTRUSTED
    assert "self-signed" in result.reason


@pytest.mark.parametrize("issuer", [None, ISSUING], ids=["self-signed", "issued"])
def test_a_pinned_certificate_is_trusted_by_itself(issuer: pki.Identity | None) -> None:
    bob = pki.person(issuer, "bob@example.test", kind="p256")
    result = judged(bob, bob, pool=())
    assert (result.status, result.path) == (ChainStatus.TRUSTED, (bob.certificate,))
    assert judged(bob, bob, pool=(), at=pki.NOT_AFTER + DAY).status is ChainStatus.EXPIRED
    twin = pki.person(issuer, "bob@example.test", kind="p256")
    assert judged(twin, bob, pool=()).status is ChainStatus.UNTRUSTED


def test_a_pinned_certificate_speaks_for_the_mailboxes_it_was_pinned_for() -> None:
    """A13: what else a stranger wrote into his own certificate, nobody decided about."""
    mallory = pki.person(None, "mallory@evil.test", "ceo@example.test", kind="p256")
    pin = Anchor(mallory.certificate, pinned=True, pinned_for=frozenset({"mallory@evil.test"}))
    result = judged(mallory, pin, mailbox="Mallory@evil.test")
    assert result.status is ChainStatus.TRUSTED
    result = judged(mallory, pin, mailbox="ceo@example.test")
    assert result.status is ChainStatus.UNTRUSTED
    assert result.reason == "trusted by itself, but not for ceo@example.test"


def test_a_pinned_end_entity_issues_nothing() -> None:
    fake = pki.person(ALICE, "bob@example.test", kind="p256")
    assert judged(fake, ALICE, pool=()).status is ChainStatus.UNTRUSTED


def test_who_is_pinned_issues_nothing_even_with_a_certificate_that_could() -> None:
    """What `openssl req -x509` makes for a person is an authority's by its extensions."""
    own = pki.root("bob@example.test", kind="p256")
    fake = pki.person(own, "alice@example.test", kind="p256")
    pin = Anchor(own.certificate, pinned=True)
    assert judged(fake, own).status is ChainStatus.TRUSTED
    assert judged(fake, pin).status is ChainStatus.UNTRUSTED


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (pki.NOT_BEFORE - DAY, ChainStatus.NOT_YET_VALID),
        (pki.NOT_BEFORE, ChainStatus.TRUSTED),
        (pki.NOT_AFTER, ChainStatus.TRUSTED),
        (pki.NOT_AFTER + DAY, ChainStatus.EXPIRED),
    ],
)
def test_dates_are_told_from_trust(at: datetime, status: ChainStatus) -> None:
    """E80."""
    assert judged(ALICE, ROOT, at=at).status is status


def test_expired_means_that_the_chain_is_good_otherwise() -> None:
    """E80: an expired stranger is untrusted."""
    after = pki.NOT_AFTER + DAY
    assert judged(ALICE, pki.root("Other", kind="p256"), at=after).status is ChainStatus.UNTRUSTED
    bad = pki.intermediate(ROOT, "Bad", kind="p256", path_length=0)
    worse = pki.intermediate(bad, "Worse", kind="p256")
    leaf = pki.person(worse, "a@x.y", kind="p256")
    assert judged(leaf, ROOT, at=after).status is ChainStatus.UNTRUSTED


def test_an_expired_intermediate_or_root_expires_the_chain() -> None:
    then = datetime(2024, 1, 1, tzinfo=UTC)
    gone = pki.intermediate(ROOT, "Gone", kind="p256", not_after=then)
    result = judged(pki.person(gone, "a@x.y", kind="p256"), ROOT)
    assert result.status is ChainStatus.EXPIRED
    assert result.reason == "CN=Gone: expired on 2024-01-01"
    old = pki.root("Old", kind="p256", not_after=then)
    assert judged(pki.person(old, "a@x.y", kind="p256"), old).status is ChainStatus.EXPIRED


def test_a_valid_way_is_preferred_to_an_expired_one() -> None:
    """E72: expired certificates never block valid ones."""
    then = datetime(2024, 1, 1, tzinfo=UTC)
    old = pki.intermediate(ROOT, kind="p256", not_after=then)
    for pool in ((old.certificate, ISSUING.certificate), (ISSUING.certificate, old.certificate)):
        assert judged(ALICE, ROOT, pool=pool).status is ChainStatus.TRUSTED
    assert judged(ALICE, ROOT, pool=(old.certificate,)).status is ChainStatus.EXPIRED


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_certificate_not_fit_for_the_purpose_is_untrusted(purpose: Purpose) -> None:
    """E79."""
    usage = ("key_agreement",) if purpose is Purpose.SIGN else ("digital_signature",)
    leaf = pki.person(ISSUING, "a@x.y", kind="p256", usage=usage)
    result = judged(leaf, ROOT, leaf, purpose=purpose)
    assert result.status is ChainStatus.UNTRUSTED
    assert purpose.value in result.reason
    other = Purpose.ENCRYPT if purpose is Purpose.SIGN else Purpose.SIGN
    assert judged(leaf, ROOT, purpose=other).status is ChainStatus.TRUSTED


SCOPED = Anchor(ROOT.certificate, ("Example.TEST",))


def test_a_scoped_anchor_vouches_only_for_addresses_there() -> None:
    """`trust add --for`: a partner's authority must not speak for anybody else."""
    assert judged(ALICE, SCOPED, mailbox="alice@example.test").status is ChainStatus.TRUSTED
    eve = pki.person(ISSUING, "eve@evil.test", "eve@example.test", kind="p256")
    assert judged(eve, SCOPED, mailbox="eve@example.test").status is ChainStatus.TRUSTED
    assert judged(eve, SCOPED, mailbox="eve@evil.test").status is ChainStatus.UNTRUSTED
    below = pki.person(ISSUING, "a@sub.example.test", kind="p256")
    assert judged(below, SCOPED, mailbox="a@sub.example.test").status is ChainStatus.UNTRUSTED


def test_a_scoped_anchor_does_not_vouch_for_an_address_the_certificate_lacks() -> None:
    eve = pki.person(ISSUING, "eve@evil.test", kind="p256")
    assert judged(eve, SCOPED, mailbox="alice@example.test").status is ChainStatus.UNTRUSTED


def test_without_a_mailbox_a_scoped_anchor_wants_all_addresses_inside() -> None:
    assert judged(ALICE, SCOPED).status is ChainStatus.TRUSTED
    eve = pki.person(ISSUING, "eve@evil.test", "eve@example.test", kind="p256")
    assert judged(eve, SCOPED).status is ChainStatus.UNTRUSTED
    nobody = pki.certify(ISSUING, name="nobody", kind="p256")
    assert judged(nobody, SCOPED, pool=ALICE.chain).status is ChainStatus.UNTRUSTED
    assert judged(nobody, ROOT, pool=ALICE.chain).status is ChainStatus.TRUSTED


def test_an_anchor_does_not_speak_for_domains_it_is_kept_from() -> None:
    kept = Anchor(ROOT.certificate, unless=("Example.TEST",))
    result = judged(ALICE, kept, mailbox="alice@example.test")
    assert result.status is ChainStatus.UNTRUSTED
    assert "our own domain example.test (`trust add` with --for-own)" in result.reason
    assert result.reason.startswith("CN=Test Root")
    eve = pki.person(ISSUING, "eve@evil.test", kind="p256")
    assert judged(eve, kept, mailbox="eve@evil.test").status is ChainStatus.TRUSTED
    both = pki.person(ISSUING, "eve@evil.test", "eve@example.test", kind="p256")
    assert judged(both, kept, mailbox="eve@evil.test").status is ChainStatus.TRUSTED
    assert judged(both, kept).status is ChainStatus.UNTRUSTED
    subject = pki.person(ISSUING, kind="p256", dn_address="eve@example.test")
    assert judged(subject, kept).status is ChainStatus.UNTRUSTED


def test_one_anchor_is_enough_where_another_keeps_silent() -> None:
    kept = Anchor(ROOT.certificate, unless=("example.test",))
    assert judged(ALICE, kept, SCOPED, mailbox="alice@example.test").status is ChainStatus.TRUSTED


def test_a_silent_anchor_is_named_only_where_a_way_leads_to_it() -> None:
    assert "trusted only for example.test (`trust add` with --for)" in (
        judged(pki.person(ISSUING, "eve@evil.test", kind="p256"), SCOPED).reason
    )
    forger = pki.root(label="forger", kind="p256")
    forged = pki.person(forger, "alice@example.test", label="forged", kind="p256")
    kept = Anchor(ROOT.certificate, unless=("example.test",))
    result = judged(forged, kept, pool=(), mailbox="alice@example.test")
    assert result.status is ChainStatus.UNTRUSTED
    assert "own domain" not in result.reason


def test_what_was_issued_after_an_anchor_lost_trust_is_untrusted() -> None:
    issued = ALICE.certificate.not_before
    for end, status in (
        (issued, ChainStatus.TRUSTED),
        (issued - timedelta(seconds=1), ChainStatus.UNTRUSTED),
    ):
        anchor = Anchor(ROOT.certificate, distrust_after=end)
        result = judged(ALICE, anchor)
        assert result.status is status
    assert f"not trusted for certificates issued after {end:%Y-%m-%d}" in result.reason


def test_what_an_anchor_took_back_is_revoked() -> None:
    known = Anchor(ROOT.certificate, revoked=frozenset({ALICE.certificate.fingerprint}))
    result = judged(ALICE, known)
    assert (result.status, result.reason) == (
        ChainStatus.REVOKED, "revoked by the authority that issued it",
    )  # fmt: skip
    other = pki.person(ISSUING, "bob@example.test", kind="p256")
    assert judged(other, known).status is ChainStatus.TRUSTED
    above = Anchor(ROOT.certificate, revoked=frozenset({ISSUING.certificate.fingerprint}))
    assert judged(other, above).status is ChainStatus.UNTRUSTED


def test_a_scope_holds_for_pinned_certificates_too() -> None:
    pinned = Anchor(ALICE.certificate, ("example.org",))
    assert judged(ALICE, pinned, mailbox="alice@example.test").status is ChainStatus.UNTRUSTED


def test_an_authority_signs_no_mail_unless_it_is_pinned() -> None:
    leaf = pki.certify(ISSUING, name="a", mailboxes=["a@x.y"], kind="p256", ca=True)
    assert judged(leaf, ROOT).status is ChainStatus.UNTRUSTED
    assert judged(leaf, leaf).status is ChainStatus.TRUSTED


def test_a_hostile_pool_does_not_keep_a_good_chain_from_being_found() -> None:
    """E82: the signer's own chain comes first, the rest is bounded."""
    junk = [
        pki.intermediate(ROOT, label=f"junk {number % 3}", kind="p256").certificate
        for number in range(80)
    ]
    result = judged(ALICE, ROOT, pool=(*ALICE.chain, *junk))
    assert result.status is ChainStatus.TRUSTED


@dataclass
class Library(Mapping[bytes, Sequence[Certificate]]):
    """Ten thousand issuers by subject, of which one is real."""

    real: Certificate
    asked: int = 0

    def __getitem__(self, subject_key: bytes) -> Sequence[Certificate]:
        self.asked += 1
        if subject_key != self.real.subject_key:
            raise KeyError(subject_key)
        return [self.real]

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("nobody goes through all issuers")

    def __len__(self) -> int:
        return 10_000


def test_the_issuers_of_the_store_are_asked_for_by_name_only() -> None:
    library = Library(ISSUING.certificate)
    pool = Pool.of((), Issuers(library))
    assert judged(ALICE, ROOT, pool=pool).status is ChainStatus.TRUSTED
    stranger = pki.person(pki.root("Other", kind="p256"), "eve@example.test", kind="p256")
    assert judged(stranger, ROOT, pool=pool).status is ChainStatus.UNTRUSTED
    assert library.asked <= 4


def test_all_signers_of_a_message_share_what_looking_for_issuers_may_cost() -> None:
    """E82: sixteen signers who may each be issued by twenty others are 300 checks of signatures."""
    first = pki.root("Loop", kind="p256")
    loop = [
        pki.certify(
            first,
            name="Loop",
            label="looping",
            kind="p256",
            ca=True,
            usage=("key_cert_sign", "digital_signature"),
            identifiers=False,
        )
        for _ in range(20)
    ]
    pool = Pool.of([one.certificate for one in loop])
    before = is_signed_by.cache_info().misses
    for signer in loop[:16]:
        assert judged(signer, ROOT, pool=pool).status is ChainStatus.UNTRUSTED
    assert is_signed_by.cache_info().misses - before <= MAX_SIGNATURE_CHECKS


def test_what_is_read_of_many_long_ways_is_bounded() -> None:
    """E82: each way costs reading its extensions, as long as a stranger likes them."""
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"x" * 90_000)
    ways = [
        pki.intermediate(
            ROOT, "Long", kind="p256", path_length=0, not_after=pki.NOW, extra=[(filler, False)]
        ).certificate
        for _ in range(MAX_PATHS_JUDGED)
    ]
    leaf = pki.person(pki.intermediate(ROOT, "Long", kind="p256"), "a@x.y", kind="p256")
    before = process.cache_info().misses
    assert judged(leaf, ROOT, pool=tuple(ways), at=pki.NOW + DAY).status is ChainStatus.EXPIRED
    assert process.cache_info().misses - before == MAX_OCTETS_JUDGED // 90_000 + 1


def test_an_issuer_the_library_cannot_read_is_no_crash() -> None:
    """M18."""
    der = ISSUING.der.replace(b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x13")
    odd = Certificate.from_der(der)
    assert odd.defects
    assert judged(ALICE, ROOT, pool=(odd,)).status is ChainStatus.UNTRUSTED
    assert judged(ALICE, Anchor(odd), pool=()).status is ChainStatus.UNTRUSTED


def test_the_words_are_those_of_the_contract() -> None:
    assert {status.value for status in ChainStatus} == {
        "trusted",
        "untrusted",
        "expired",
        "not-yet-valid",
        "revoked",
        "unknown",
    }


@pytest.mark.parametrize("mode", [Mode.SOFT, Mode.HARD])
@pytest.mark.parametrize("anchored", [True, False])
def test_all_that_is_not_known_of_a_trusted_way_is_wanted_at_once(
    mode: Mode, anchored: bool
) -> None:
    """So that mail that waits, waits once; A14: nothing on the word of strangers."""
    wanted: list[tuple[Certificate, Certificate]] = []
    revocation = Revocation(mode, Known(), lambda one, its: wanted.append((one, its)))
    anchors = [Anchor(ROOT.certificate)] if anchored else []
    validate(
        ALICE.certificate,
        [ISSUING.certificate],
        anchors,
        pki.NOW,
        purpose=Purpose.SIGN,
        revocation=revocation,
    )
    pairs = [(ISSUING.certificate, ROOT.certificate), (ALICE.certificate, ISSUING.certificate)]
    assert wanted == (pairs if anchored else [])


def test_what_is_revoked_comes_before_what_is_not_known() -> None:
    answers = Known([crl(ISSUING, ALICE)])  # and none of the root
    result = validate(
        ALICE.certificate,
        [ISSUING.certificate],
        [Anchor(ROOT.certificate)],
        pki.NOW,
        purpose=Purpose.SIGN,
        revocation=Revocation(Mode.HARD, answers),
    )
    assert result.status is ChainStatus.REVOKED


def test_of_a_pinned_certificate_nothing_is_asked() -> None:
    """Whoever pinned it decided without asking anybody, and its issuer may be no one's anchor."""
    wanted: list[Certificate] = []
    revocation = Revocation(Mode.HARD, Known(), lambda one, _: wanted.append(one))
    result = validate(
        ALICE.certificate,
        [ISSUING.certificate],
        [Anchor(ALICE.certificate)],
        pki.NOW,
        purpose=Purpose.SIGN,
        revocation=revocation,
    )
    assert (result.status, wanted) == (ChainStatus.TRUSTED, [])
