"""Choice of certificates (RFC 8550, RFC 8551 2.3); rows E72, E73, E75, E77."""

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.keys import USABLE_CURVES
from smime_proxy.certs.selection import (
    Choice,
    PartnerCertificate,
    choose_recipient,
    choose_signing,
)
from smime_proxy.certs.source import MinimumSource, Source
from smime_proxy.cms.key_protection import CURVES
from tests import pki

ROOT = pki.root(kind="p256")
ANCHORS = [Anchor(ROOT.certificate)]
ALICE = parse_mailbox("alice@example.test")
OLD = datetime(2021, 1, 1, tzinfo=UTC)
NEW = datetime(2025, 1, 1, tzinfo=UTC)
FUTURE = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Key:
    certificate: Certificate
    former: bool = False
    chain: tuple[Certificate, ...] = ()


def made(*mailboxes: str, **declared: object) -> Certificate:
    return pki.person(
        ROOT, *mailboxes or ("alice@example.test",), **{"label": "alice", **declared}
    ).certificate


def signing(*entries: Key) -> Choice[Key]:
    return choose_signing(entries, ALICE, pki.NOW)


def partner(certificate: Certificate, *, pinned: bool = False) -> PartnerCertificate:
    return PartnerCertificate(certificate, pinned=pinned)


def recipient(*candidates: PartnerCertificate) -> Choice[PartnerCertificate]:
    return choose_recipient(candidates, ALICE, pki.NOW, ANCHORS)


def test_the_newest_valid_certificate_signs() -> None:
    """E72: and an expired or future one never blocks it."""
    entries = [
        Key(made(not_before=OLD)),
        Key(made(not_before=NEW)),
        Key(made(not_before=FUTURE)),
        Key(made(not_before=NEW, not_after=datetime(2026, 1, 1, tzinfo=UTC))),
    ]
    for order in itertools.permutations(entries):
        choice = signing(*order)
        assert choice.chosen == entries[1]
        assert [passed.reason.split()[0] for passed in choice.passed_over] == [
            "valid",
            "expired",
            "older",
        ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Key(made("bob@example.test")), "does not carry alice@example.test"),
        (Key(made("alice+tag@example.test")), "does not carry alice@example.test"),
        (Key(made(), former=True), "a former key, which only decrypts"),
        (Key(made(not_after=NEW)), "expired on 2025-01-01"),
        (Key(made(not_before=FUTURE)), "valid only from 2030-01-01"),
        (Key(made(usage=("key_encipherment",))), "its key usage does not allow signing mail"),
        (Key(made(eku=(pki.TLS_CLIENT,))), "its key usage does not allow signing mail"),
        (Key(made(kind="rsa1024")), "RSA key of 1024 bits, under 2048"),
        (Key(made(kind="x25519")), "its key usage does not allow signing mail"),
        (Key(made(kind="dsa")), "a key of type dsa cannot sign"),
    ],
)
def test_what_cannot_sign_is_passed_over_with_the_reason(entry: Key, reason: str) -> None:
    """E72, E75."""
    choice = signing(entry)
    assert choice.chosen is None
    assert choice.why_none == reason
    good = Key(made(not_before=OLD))
    assert signing(entry, good).chosen == good


@pytest.mark.parametrize(
    "kind",
    [
        *("rsa", "p256", "p384", "p521", "brainpool", "brainpool384", "brainpool512"),
        *("ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87"),
    ],
)
def test_supported_keys_sign(kind: str) -> None:
    assert signing(Key(made(kind=kind))).why_none == ""


def test_trust_is_not_asked_of_our_own_certificates() -> None:
    alone = pki.person(None, "alice@example.test", label="alice").certificate
    assert signing(Key(alone)).chosen == Key(alone)


def test_one_of_several_addresses_is_enough() -> None:
    """E77, E74."""
    entry = Key(made("sales@example.test", "ALICE@Example.test"))
    assert signing(entry).chosen == entry


def test_an_address_only_in_the_subject_does_not_sign() -> None:
    """E73."""
    entry = Key(pki.certify(ROOT, name="x", label="alice", dn_address=ALICE.text).certificate)
    assert signing(entry).chosen is None


def test_no_entry_is_no_certificate() -> None:
    assert signing().why_none == "no certificate"
    assert recipient().why_none == "no certificate"


def test_equal_dates_are_decided_the_same_way_every_time() -> None:
    entries = [Key(made(not_before=NEW)) for _ in range(4)]
    chosen = {signing(*order).chosen for order in itertools.permutations(entries)}
    assert len(chosen) == 1


def test_of_equal_beginnings_the_later_end_wins() -> None:
    short, long = made(not_before=NEW, not_after=FUTURE), made(not_before=NEW)
    assert signing(Key(short), Key(long)).chosen == Key(long)


def test_mail_is_encrypted_to_the_newest_usable_certificate() -> None:
    """E72."""
    candidates = [
        partner(made(not_before=OLD)),
        partner(made(not_before=NEW)),
        partner(made(not_before=OLD, not_after=NEW)),
    ]
    for order in itertools.permutations(candidates):
        assert recipient(*order).chosen == candidates[1]


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (made("bob@example.test"), "does not carry alice@example.test"),
        (made(not_after=NEW), "expired on 2025-01-01"),
        (made(not_before=FUTURE), "valid only from 2030-01-01"),
        (made(usage=("digital_signature",)), "its key usage does not allow encrypting mail"),
        (made(kind="rsa1024"), "RSA key of 1024 bits, under 2048"),
        (made(kind="ed25519"), "a key of type ed25519 cannot encrypt"),
        (
            replace(made(kind="p256"), curve="secp256k1"),
            "mail is not encrypted to keys on secp256k1",
        ),
    ],
)
@pytest.mark.parametrize("pinned", [False, True])
def test_what_mail_cannot_be_encrypted_to_is_passed_over_even_pinned(
    certificate: Certificate, reason: str, pinned: bool
) -> None:
    """E72: pinning is trust, not fitness."""
    candidate = partner(certificate, pinned=pinned)
    assert recipient(candidate).why_none == reason
    good = partner(made(not_before=OLD))
    assert recipient(candidate, good).chosen == good


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "brainpool"])
def test_mail_is_encrypted_to_supported_keys(kind: str) -> None:
    assert recipient(partner(made(kind=kind))).why_none == ""


def test_the_curves_are_those_that_are_encrypted_to() -> None:
    """Two tables, because the packages do not know each other."""
    assert CURVES.keys() == USABLE_CURVES


def test_an_untrusted_certificate_is_used_only_when_pinned() -> None:
    """E04: the newer stranger does not displace the trusted one."""
    stranger = pki.person(None, "alice@example.test", label="eve", not_before=NEW).certificate
    trusted = partner(made(not_before=OLD))
    choice = recipient(partner(stranger), trusted)
    assert choice.chosen == trusted
    assert choice.passed_over[0].reason.startswith("its chain is untrusted: a self-signed")
    assert recipient(partner(stranger, pinned=True)).chosen is not None


def test_the_chain_that_came_with_it_is_used() -> None:
    issuing = pki.intermediate(ROOT, kind="p256")
    leaf = pki.person(issuing, "alice@example.test", label="alice")
    assert recipient(PartnerCertificate(leaf.certificate)).chosen is None
    with_chain = PartnerCertificate(leaf.certificate, leaf.chain)
    assert recipient(with_chain).chosen == with_chain


def test_a_certificate_bound_to_an_address_needs_not_carry_it() -> None:
    """`cert import --address`; trust is still asked."""
    certificate = made("shared@example.test")
    bound = PartnerCertificate(certificate, bound_to=(ALICE,))
    assert recipient(bound).chosen == bound
    bob = choose_recipient([bound], parse_mailbox("bob@example.test"), pki.NOW, ANCHORS)
    assert bob.chosen is None
    stranger = pki.person(None, "x@example.test", label="eve").certificate
    assert recipient(PartnerCertificate(stranger, bound_to=(ALICE,))).chosen is None


def test_the_nearest_miss_is_one_whose_dates_alone_are_wrong() -> None:
    """A renewal that only encrypts must not hide that the key which signed has expired."""
    end = datetime(2026, 1, 1, tzinfo=UTC)
    signs = Key(made(not_before=OLD, not_after=end), former=True)
    decrypts = Key(made(not_before=NEW, usage=("key_encipherment",)))
    choice = choose_signing([signs, decrypts], ALICE, pki.NOW)
    assert choice.why_none == "expired on 2026-01-01"
    assert choose_signing([decrypts], ALICE, pki.NOW).why_none.startswith("its key usage")


def test_what_lacks_trust_is_nearer_than_what_has_expired() -> None:
    """It is the newest, and what is to be done about it comes first."""
    stranger = pki.person(None, "alice@example.test", label="eve", not_before=NEW).certificate
    old = made(not_before=OLD, not_after=datetime(2026, 1, 1, tzinfo=UTC))
    choice = recipient(partner(old), PartnerCertificate(stranger))
    assert choice.why_none.startswith("its chain is untrusted")


def test_a_scoped_anchor_counts_only_for_its_domain() -> None:
    scoped = [Anchor(ROOT.certificate, ("example.test",))]
    both = partner(made("alice@example.test", "alice@example.org"))
    assert choose_recipient([both], ALICE, pki.NOW, scoped).chosen == both
    outside = parse_mailbox("alice@example.org")
    assert choose_recipient([both], outside, pki.NOW, scoped).chosen is None


def test_a_better_source_is_taken_first_and_the_lesser_when_it_is_not_usable() -> None:
    old = PartnerCertificate(made(not_before=OLD))
    new = PartnerCertificate(made(not_before=NEW), source=Source.HARVESTED)
    choice = recipient(new, old)
    assert choice.chosen == old
    reason = f"of a lesser source than serial {old.certificate.serial:x}"
    assert [one.reason for one in choice.passed_over] == [reason]
    expired = PartnerCertificate(
        made(not_before=OLD, not_after=datetime(2026, 1, 1, tzinfo=UTC)), source=Source.MANUAL
    )
    assert recipient(new, expired).chosen == new


def test_of_sources_of_one_rank_the_newest_certificate_wins() -> None:
    old = PartnerCertificate(made(not_before=OLD), source=Source.DIRECTORY)
    new = PartnerCertificate(made(not_before=NEW), source=Source.SMIMEA)
    assert recipient(old, new).chosen == new


@pytest.mark.parametrize("minimum", MinimumSource)
@pytest.mark.parametrize("source", Source)
def test_a_source_below_the_minimum_is_not_used(minimum: MinimumSource, source: Source) -> None:
    candidate = PartnerCertificate(made(), source=source)
    choice = choose_recipient([candidate], ALICE, pki.NOW, ANCHORS, minimum)
    assert (choice.chosen is not None) is minimum.admits(source)
    if not minimum.admits(source):
        assert choice.why_none == f"{source.value}, and minimum_source is {minimum.value}"


def test_only_what_is_let_in_unproven_needs_no_chain() -> None:
    """E04: harvested and verified ones are judged like those an administrator imported."""
    stranger = pki.person(None, "alice@example.test", label="eve").certificate
    for source in Source:
        choice = choose_recipient(
            [PartnerCertificate(stranger, source=source)],
            ALICE,
            pki.NOW,
            ANCHORS,
            MinimumSource.DISCOVERED,
        )
        assert (choice.chosen is not None) is (source is Source.DISCOVERED)


def test_the_certificate_of_a_domain_serves_that_domain_and_none_below_it() -> None:
    gate = PartnerCertificate(made("gate@hub.net"), domains=("example.test",))
    assert recipient(gate).chosen == gate
    assert not gate.is_personal(ALICE)
    for address in ("alice@sub.example.test", "alice@test", "alice@hub.net"):
        choice = choose_recipient([gate], parse_mailbox(address), pki.NOW, ANCHORS)
        assert choice.why_none == f"does not carry {address}"


@pytest.mark.parametrize(
    ("carried", "vouches_for", "trusted"),
    [
        ("gate@example.test", ("example.test",), True),
        ("gate@example.test", ("example.test", "other.test"), True),
        ("gate@hub.net", ("hub.net", "example.test"), True),
        ("gate@hub.net", ("hub.net",), False),
        ("gate@hub.net", ("example.test",), False),
        ("", ("example.test",), False),
    ],
)
def test_an_anchor_of_some_domains_vouches_for_a_domain_only_if_it_is_one_of_them(
    carried: str, vouches_for: tuple[str, ...], trusted: bool
) -> None:
    own = pki.person(ROOT, *filter(None, [carried]), label="gate").certificate
    gate = PartnerCertificate(own, domains=("example.test",))
    anchors = [Anchor(ROOT.certificate, vouches_for)]
    choice = choose_recipient([gate], ALICE, pki.NOW, anchors)
    assert (choice.chosen == gate) is trusted
    assert choose_recipient([replace(gate, pinned=True)], ALICE, pki.NOW, anchors).chosen
    outsider = [Anchor(ROOT.certificate, unless=("example.test",))]
    assert choose_recipient([gate], ALICE, pki.NOW, outsider).chosen is None
