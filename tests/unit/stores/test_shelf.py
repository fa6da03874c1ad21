"""Certificates in memory are parsed when asked for, once, also over reloads."""

import pytest

from smime_proxy.stores import partners
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.shelf import Pinned, Shelf, load_shelf
from tests import pki

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
ALICE = pki.person(MIDDLE, "alice@example.com", kind="p256")
BOB = pki.person(MIDDLE, "bob@example.com", kind="p256")


def load(store: Store, before: Shelf | None = None) -> Shelf:
    with store.reading() as connection:
        return load_shelf(connection, before)


def number_of(shelf: Shelf, der: bytes) -> int:
    return next(number for number, known in shelf.ders.items() if known == der)


@pytest.fixture(autouse=True)
def _alice(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, [ALICE.certificate, MIDDLE.certificate])


def test_nothing_is_parsed_until_asked_for_and_then_once(store: Store) -> None:
    shelf = load(store)
    assert len(shelf.ders) == 2
    assert shelf.read == {}
    number = number_of(shelf, ALICE.der)
    assert shelf.certificate(number) == ALICE.certificate
    assert shelf.certificate(number) is shelf.certificate(number)
    assert list(shelf.read) == [number]


def test_chains_and_their_members_are_known(store: Store) -> None:
    shelf = load(store)
    assert shelf.chain(number_of(shelf, ALICE.der)) == (MIDDLE.certificate,)
    assert shelf.chain(number_of(shelf, MIDDLE.der)) == ()
    assert shelf.issuers() == (MIDDLE.certificate,)


def test_a_reload_takes_octets_and_parsed_certificates_over(store: Store, act: Act) -> None:
    before = load(store)
    number = number_of(before, ALICE.der)
    parsed = before.certificate(number)
    partners.import_certificate(store, act, [BOB.certificate])
    after = load(store, before)
    assert after.ders[number] is before.ders[number]
    assert after.certificate(number) is parsed
    assert after.certificate(number_of(after, BOB.der)) == BOB.certificate
    assert BOB.der not in before.ders.values()


def test_what_was_removed_is_forgotten_by_the_new_shelf_only(store: Store, act: Act) -> None:
    before = load(store)
    number = number_of(before, ALICE.der)
    before.certificate(number)
    partners.remove(store, act, ALICE.certificate.fingerprint)
    after = load(store, before)
    assert (dict(after.ders), after.read, after.issuers()) == ({}, {}, ())
    assert before.certificate(number) == ALICE.certificate


def test_a_damaged_certificate_is_a_store_error() -> None:
    shelf = Shelf({1: b"damaged"}, {}, {}, {})
    with pytest.raises(StoreError):
        shelf.certificate(1)


def test_pinned_ones_are_told_octet_for_octet_and_not_read(store: Store) -> None:
    shelf = load(store)
    pinned = Pinned(shelf, frozenset({number_of(shelf, ALICE.der)}), {})
    serial = ALICE.certificate.serial
    twin = pki.person(MIDDLE, "alice@example.com", kind="p256", serial=serial)
    assert ALICE.certificate in pinned
    for other in (twin.certificate, MIDDLE.certificate, BOB.certificate):
        assert other not in pinned
    assert (len(pinned), shelf.read) == (1, {})
    assert list(pinned) == [ALICE.certificate]
