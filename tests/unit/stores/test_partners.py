"""Partner certificates: imported with their chain, bound, pinned, never silently loosened."""

from dataclasses import replace

import pytest
from sqlalchemy import event, update

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.source import Source
from smime_proxy.stores import accounts, partners, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE, BOB, PARTNER, account, audited

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
SOMEONE = pki.person(MIDDLE, "partner@example.org", "Second@example.org", kind="p256")
NAMELESS = pki.certify(MIDDLE, name="Gateway", kind="p256")
FILE = (ROOT.certificate, SOMEONE.certificate, MIDDLE.certificate)


def test_the_persons_certificate_is_the_partners_and_the_others_are_its_chain(
    store: Store, act: Act
) -> None:
    imported = partners.import_certificate(store, act, FILE)
    assert imported.is_new
    known = imported.partner
    assert known.certificate == SOMEONE.certificate
    assert set(known.chain) == {ROOT.certificate, MIDDLE.certificate}
    assert [m.text for m in known.addresses] == ["partner@example.org", "Second@example.org"]
    assert (known.bound, known.pinned) == ((), False)
    assert (known.source, known.imported_at) == (Source.MANUAL, NOW)
    assert partners.listing(store) == (known,)


def test_the_same_file_again_is_no_error_and_no_change(store: Store, act: Act) -> None:
    first = partners.import_certificate(store, act, FILE, PARTNER, pinned=True)
    before = audited(store)
    again = partners.import_certificate(store, act, FILE, PARTNER, pinned=True)
    assert (again.is_new, again.partner) == (False, first.partner)
    assert audited(store) == before


def test_a_later_import_adds_and_takes_nothing_away(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, FILE[1:2], BOB, pinned=True)
    known = partners.import_certificate(store, act, FILE).partner
    assert known.pinned
    assert known.bound == (BOB,)
    assert len(known.chain) == 2
    assert partners.import_certificate(store, act, FILE, ALICE).partner.bound == (ALICE, BOB)


def test_a_later_import_can_pin(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, FILE)
    imported = partners.import_certificate(store, act, FILE, pinned=True)
    assert imported.is_new
    assert imported.partner.pinned


def test_a_self_made_authority_is_a_partners_when_the_address_is_said(
    store: Store, act: Act
) -> None:
    with pytest.raises(StoreError, match=r"trust add.*--address"):
        partners.import_certificate(store, act, [ROOT.certificate], pinned=True)
    known = partners.import_certificate(store, act, [ROOT.certificate], BOB, pinned=True).partner
    assert (known.certificate, known.addresses, known.pinned) == (ROOT.certificate, (BOB,), True)


def test_a_certificate_without_an_address_needs_one(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match=r"carries no e-mail address.*--address"):
        partners.import_certificate(store, act, [NAMELESS.certificate])
    imported = partners.import_certificate(store, act, [NAMELESS.certificate], BOB)
    assert imported.partner.bound == imported.partner.addresses == (BOB,)


def test_an_address_the_certificate_carries_can_be_bound_too(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, FILE)
    known = partners.import_certificate(store, act, FILE, PARTNER).partner
    assert known.bound == (PARTNER,)
    assert len(known.addresses) == 2


def test_of_several_persons_the_one_asked_for_is_taken(store: Store, act: Act) -> None:
    bob = pki.person(MIDDLE, "bob@example.com", kind="p256")
    file = (SOMEONE.certificate, bob.certificate)
    assert partners.import_certificate(store, act, file, BOB).partner.certificate == file[1]


def test_a_self_made_certificate_that_calls_itself_an_authority_is_a_persons(
    store: Store, act: Act
) -> None:
    own = pki.person(None, "own@example.org", ca=True, kind="p256")
    assert partners.import_certificate(store, act, [own.certificate]).is_new


def test_a_file_of_authorities_is_refused(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="`trust add`"):
        partners.import_certificate(store, act, [ROOT.certificate, MIDDLE.certificate], BOB)
    assert partners.listing(store) == ()


def test_certificates_are_found_by_the_address_they_serve(store: Store, act: Act) -> None:
    known = partners.import_certificate(store, act, FILE).partner
    partners.import_certificate(store, act, [NAMELESS.certificate], BOB)
    assert partners.listing(store, parse_mailbox("SECOND@example.org")) == (known,)
    assert partners.listing(store, ALICE) == ()


def test_a_certificate_is_found_by_the_start_of_its_fingerprint(store: Store, act: Act) -> None:
    known = partners.import_certificate(store, act, FILE).partner
    assert partners.find(store, known.certificate.fingerprint[:10]) == known
    with pytest.raises(StoreError, match="no partner certificate has"):
        partners.find(store, "0" * 20)


def test_an_authority_in_a_chain_is_no_partner(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, FILE)
    with pytest.raises(StoreError, match="no partner certificate has"):
        partners.find(store, ROOT.certificate.fingerprint)


def test_a_removed_certificate_leaves_nothing_behind(store: Store, act: Act) -> None:
    known = partners.import_certificate(store, act, FILE, BOB, pinned=True).partner
    assert partners.remove(store, act, known.certificate.fingerprint) == known
    with store.reading() as connection:
        for table in (schema.certificate, schema.chain, schema.partner, schema.partner_address):
            assert connection.execute(table.select()).all() == []
    assert audited(store)[-1] == f"cert remove: {known.certificate.fingerprint}"


def test_an_import_says_who_did_it_and_makes_a_harvested_one_his(store: Store, act: Act) -> None:
    known = partners.import_certificate(store, act, FILE).partner
    assert (known.source, known.decided_by, known.message_id) == (Source.MANUAL, act.who, "")
    with store.writing(act) as writing:
        change = {"source": "harvested", "decided_by": "harvest", "message_id": "<1@y.org>"}
        writing.connection.execute(update(schema.partner).values(**change))
        writing.record("test", "")
    assert partners.listing(store)[0].source is Source.HARVESTED
    again = partners.import_certificate(store, act, FILE)
    assert again.is_new
    assert (again.partner.source, again.partner.decided_by) == (Source.MANUAL, act.who)
    assert again.partner.message_id == "<1@y.org>"


def test_a_certificate_can_stand_for_a_domain_whatever_it_carries(store: Store, act: Act) -> None:
    imported = partners.import_certificate(
        store, act, [NAMELESS.certificate, MIDDLE.certificate], domains=["Example.NET", "b.org"]
    )
    known = imported.partner
    assert (known.addresses, known.domains) == ((), ("b.org", "example.net"))
    assert audited(store)[-1] == f"cert import: {known.certificate.fingerprint} b.org example.net"
    again = partners.import_certificate(store, act, [NAMELESS.certificate], domains=["b.org"])
    assert not again.is_new
    more = partners.import_certificate(store, act, [NAMELESS.certificate], domains=["c.org"])
    assert more.partner.domains == ("b.org", "c.org", "example.net")
    assert partners.listing_of_domain(store, "EXAMPLE.net") == (more.partner,)
    assert partners.listing_of_domain(store, "sub.example.net") == ()
    partners.remove(store, act, known.certificate.fingerprint)
    with store.reading() as connection:
        assert connection.execute(schema.partner_domain.select()).all() == []


def test_what_is_no_domain_is_refused(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="--domain takes a domain"):
        partners.import_certificate(store, act, FILE, domains=["not a domain"])
    with pytest.raises(StoreError, match="--domain takes a domain"):
        partners.listing_of_domain(store, "")


def test_of_several_persons_the_one_in_the_domain_stands_for_it(store: Store, act: Act) -> None:
    gate = pki.person(MIDDLE, "domain-confidentiality-authority@example.com", kind="p256")
    file = (SOMEONE.certificate, gate.certificate)
    taken = partners.import_certificate(store, act, file, domains=["example.com"]).partner
    assert taken.certificate == gate.certificate


def test_an_address_is_served_by_the_certificate_of_its_domain_too(store: Store, act: Act) -> None:
    own = partners.import_certificate(store, act, FILE).partner
    partners.import_certificate(store, act, [NAMELESS.certificate], domains=["example.org"])
    both = partners.listing(store, PARTNER)
    assert {one.certificate for one in both} == {own.certificate, NAMELESS.certificate}
    assert len(partners.listing(store, parse_mailbox("x@example.org"))) == 1
    assert partners.listing(store, parse_mailbox("x@sub.example.org")) == ()


OURS = parse_mailbox("ceo@example.com")


def test_a_pin_vouches_for_our_own_people_only_where_they_are_named(store: Store, act: Act) -> None:
    """ADR 16: who trusts a stranger's certificate as it is has not said that he is our own."""
    accounts.add(store, act, account("alice@example.com"))
    mine = pki.person(None, PARTNER.text, OURS.text, kind="p256").certificate
    for bound_to in (None, PARTNER):
        with pytest.raises(StoreError, match=r"say --address ceo@example\.com"):
            partners.import_certificate(store, act, (mine,), bound_to, pinned=True)
    assert partners.listing(store) == ()
    # Without a pin it vouches for nobody; a pin that follows is held against all it serves.
    partners.import_certificate(store, act, (mine,), PARTNER)
    with pytest.raises(StoreError, match="--address"):
        partners.import_certificate(store, act, (mine,), pinned=True)
    assert not partners.listing(store)[0].pinned
    assert partners.import_certificate(store, act, (mine,), OURS, pinned=True).partner.pinned
    assert not partners.import_certificate(store, act, (mine,)).is_new


def test_a_later_import_gives_a_pin_none_of_our_own_people(store: Store, act: Act) -> None:
    own = replace(store, own_domains=frozenset({"example.com"}))
    mine = pki.person(None, PARTNER.text, OURS.text, kind="p256").certificate
    found = partners.Provenance(Source.HARVESTED, "admin", act.at, pinned=True)
    with store.writing(act) as writing:
        partners.add_found(writing.connection, PARTNER, mine, (), found)
        writing.record("test", "")
    with pytest.raises(StoreError, match="our own domains"):
        partners.import_certificate(own, act, (mine,))
    assert partners.listing(store)[0].addresses == (PARTNER,)
    partners.import_certificate(store, act, (mine,))
    # What was so before this was asked stays so.
    assert not partners.import_certificate(own, act, (mine,)).is_new


def test_a_listing_asks_the_store_as_often_for_many_as_for_one(store: Store, act: Act) -> None:
    def asked() -> int:
        statements: list[str] = []

        def note(*told: object) -> None:
            statements.append(str(told[2]))

        event.listen(store.engine, "before_cursor_execute", note)
        found = partners.listing(store)
        event.remove(store.engine, "before_cursor_execute", note)
        assert all(one.chain == (MIDDLE.certificate,) for one in found)
        return len(statements)

    numbers = []
    for number in range(5):
        someone = pki.person(MIDDLE, f"p{number}@example.org", kind="p256").certificate
        partners.import_certificate(store, act, (someone, MIDDLE.certificate))
        numbers.append(asked())
    assert set(numbers) == {numbers[0]}
