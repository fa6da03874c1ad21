"""A new certificate of somebody known: of the same trust, of another, or the first."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.certs.succession import Succession, succession
from tests import pki

ADDRESS = "partner@example.org"
MAILBOX = parse_mailbox(ADDRESS)
ENDED = datetime(2026, 1, 1, tzinfo=UTC)


def root(name: str, **named: str) -> pki.Identity:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if "country" in named:
        attributes.append(x509.NameAttribute(NameOID.COUNTRY_NAME, named["country"]))
    if "organisation" in named:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, named["organisation"]))
    return pki.root(name, kind="p256", subject=x509.Name(attributes))


A = root("A", country="DE", organisation="Trust  Us GmbH")
A_NEXT = root("A next", country="DE", organisation="TRUST us gmbh")
A_ABROAD = root("A abroad", country="FR", organisation="Trust Us GmbH")
B, NAMELESS, NAMELESS_TOO = root("B", country="DE", organisation="Other"), root("C"), root("D")
ROOTS = (A, A_NEXT, A_ABROAD, B, NAMELESS, NAMELESS_TOO)
ANCHORS = [Anchor(one.certificate) for one in ROOTS]


def known(
    issuer: pki.Identity | None, *, pinned: bool = False, **more: object
) -> PartnerCertificate:
    made = pki.person(issuer, ADDRESS, kind="p256", **more)
    return PartnerCertificate(made.certificate, made.chain, pinned=pinned)


def stands(
    anchor: pki.Identity | None,
    *before: PartnerCertificate,
    pool: tuple[Certificate, ...] = (),
    anchors: list[Anchor] | None = None,
) -> str:
    at = anchor.certificate if anchor else None
    found = succession(before, at, MAILBOX, pki.NOW, ANCHORS if anchors is None else anchors, pool)
    return found.value


def test_where_nothing_is_known_or_nothing_of_it_trusted_a_key_is_the_first() -> None:
    assert stands(A) == "first"
    assert stands(A, known(None)) == "first"
    other = PartnerCertificate(pki.person(A, "x@example.org", kind="p256").certificate)
    assert stands(B, other) == "first"


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        (A, A, "same trust"),
        (A, A_NEXT, "same trust"),
        (A, A_ABROAD, "other trust"),
        (A, B, "other trust"),
        (A, None, "other trust"),
        (NAMELESS, NAMELESS, "same trust"),
        (NAMELESS, NAMELESS_TOO, "other trust"),
    ],
)
def test_the_same_anchor_or_one_organisation_is_the_same_trust(
    before: pki.Identity, now: pki.Identity | None, found: str
) -> None:
    assert stands(now, known(before)) == found


def test_an_anchor_whose_name_cannot_be_read_is_of_no_organisation() -> None:
    odd = B.der.replace(b"\x0c\x05Other", b"\x03\x05\x00ther")  # a BIT STRING
    assert odd != B.der
    assert stands(replace(B, certificate=Certificate.from_der(odd)), known(A)) == "other trust"


def test_one_of_several_is_enough() -> None:
    assert stands(A, known(B), known(A)) == "same trust"
    assert stands(A, known(None), known(B)) == "other trust"


def test_an_expired_one_still_tells_where_the_partner_gets_his_certificates() -> None:
    assert stands(A, known(A, not_after=ENDED)) == "same trust"
    assert stands(B, known(A, not_after=ENDED)) == "other trust"


def test_so_does_a_revoked_one() -> None:
    """A13: else the first who comes after it would be the first."""
    lost = known(A)
    revoked = frozenset({lost.certificate.fingerprint})
    anchors = [Anchor(A.certificate, revoked=revoked), Anchor(B.certificate)]
    assert stands(A, lost, anchors=anchors) == "same trust"
    assert stands(B, lost, anchors=anchors) == "other trust"


def test_a_pinned_one_vouches_for_itself_alone() -> None:
    assert stands(A, known(A, pinned=True)) == "other trust"
    alone = known(None, pinned=True)
    anchors = [*ANCHORS, Anchor(alone.certificate, pinned=True)]
    assert stands(A, alone, anchors=anchors) == "other trust"
    assert stands(None, alone, anchors=anchors) == "other trust"


def test_an_authority_below_counts_by_its_anchor_and_not_by_its_name() -> None:
    named = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Trust Us GmbH")])
    below = pki.intermediate(B, kind="p256", subject=named)
    made = pki.person(below, ADDRESS, kind="p256")
    assert stands(A, PartnerCertificate(made.certificate, made.chain)) == "other trust"
    assert stands(B, PartnerCertificate(made.certificate, made.chain)) == "same trust"
    # Without its chain only the pool shows where it leads.
    alone = PartnerCertificate(made.certificate)
    assert stands(B, alone) == "first"
    assert stands(B, alone, pool=made.chain) == "same trust"
    assert Succession("same trust") is Succession.SAME_TRUST


def test_the_certificate_of_his_domain_never_makes_his_first_key_a_known_one() -> None:
    """Mail goes there until he has one of his own: nobody takes it over by another authority."""
    gateway = pki.person(A, "gateway@example.org", kind="p256")
    of_domain = PartnerCertificate(gateway.certificate, domains=("example.org",))
    assert stands(A, of_domain) == "first"
    assert stands(B, of_domain) == "other trust"
    assert stands(A, of_domain, known(A)) == "same trust"
    assert stands(A, known(B), of_domain) == "other trust"
    # Who carries the address he has it for is a person to himself.
    his = PartnerCertificate(known(A).certificate, domains=("example.org",))
    assert stands(A, his) == "same trust"


def test_what_nothing_vouches_for_says_nothing_of_trust() -> None:
    found = replace(known(A), source=Source.DISCOVERED)
    assert stands(B, found) == "first"
