"""Many at once come out as one by one: the same rows, nothing twice, nothing taken away."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select, update

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.source import Source
from smime_proxy.stores import partners, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.open import open_store
from smime_proxy.stores.partner_batch import Candidate, import_batch
from tests import pki

from .made import BOB, audited

MIDDLE = pki.intermediate(pki.root(kind="p256"), kind="p256")
OTHER = pki.intermediate(pki.root(kind="p256"), "Other CA", kind="p256")


def candidate(number: int, *, issuer: pki.Identity = MIDDLE, chain: bool = True) -> Candidate:
    names = (f"someone{number}@example.org", f"alias{number}@example.org")
    someone = pki.person(issuer, *names, kind="p256", label="all", serial=10_000 + number)
    return Candidate(someone.certificate, someone.chain if chain else ())


MANY = [candidate(number) for number in range(20)]


def rows(store: Store) -> dict[str, list[Any]]:
    """Give what partners are made of, without the ids, which differ."""
    with store.reading() as connection:
        number = schema.certificate.c.id
        names = dict(connection.execute(select(number, schema.certificate.c.fingerprint)).all())

        def of(table: Any) -> list[Any]:
            found = connection.execute(select(table)).mappings().all()
            ids = {"certificate_id", "issuer_id"}
            plain = [{k: names[v] if k in ids else v for k, v in row.items()} for row in found]
            return sorted(plain, key=str)

        return {t.name: of(t) for t in (schema.chain, schema.partner, schema.partner_address)}


def test_many_at_once_are_what_they_are_one_by_one(store: Store, act: Act, tmp_path: Any) -> None:
    other = open_store("sqlite", tmp_path / "other", None, migrate=False).store
    assert import_batch(store, act, MANY) == [True] * len(MANY)
    for one in MANY:
        partners.import_certificate(other, act, (one.certificate, *one.chain))
    assert rows(store) == rows(other)
    assert sorted(audited(store)) == sorted(audited(other))
    assert partners.listing(store) == partners.listing(other)


def test_again_they_are_known_and_nothing_is_written(store: Store, act: Act) -> None:
    import_batch(store, act, MANY)
    before = rows(store), audited(store)
    assert import_batch(store, act, MANY) == [False] * len(MANY)
    assert (rows(store), audited(store)) == before


def test_one_that_is_twice_in_a_batch_is_taken_once(store: Store, act: Act) -> None:
    assert import_batch(store, act, [MANY[0], MANY[0]]) == [True, False]
    assert len(partners.listing(store)) == 1


def test_a_pin_and_bindings_stay(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, [MANY[0].certificate], BOB, pinned=True)
    import_batch(store, act, MANY[:2])
    (kept,) = partners.listing(store, BOB)
    assert (kept.pinned, kept.bound) == (True, (BOB,))


def test_a_chain_that_was_missing_is_added(store: Store, act: Act) -> None:
    bare = Candidate(MANY[0].certificate)
    import_batch(store, act, [bare])
    assert import_batch(store, act, [MANY[0]]) == [True]
    (known,) = partners.listing(store)
    assert known.chain == MANY[0].chain
    assert import_batch(store, act, [bare]) == [False]
    assert partners.listing(store) == (known,)


def test_what_was_harvested_becomes_the_administrators(store: Store, act: Act) -> None:
    import_batch(store, act, MANY[:1])
    with store.engine.begin() as connection:
        connection.execute(update(schema.partner).values(source=Source.HARVESTED.value))
        names = schema.partner_address
        connection.execute(delete(names).where(names.c.key.startswith("alias")))
    assert import_batch(store, act, MANY[:1]) == [True]
    (known,) = partners.listing(store)
    assert (known.source, known.decided_by, len(known.addresses)) == (Source.MANUAL, "admin", 2)


def test_what_was_found_for_one_of_its_addresses_becomes_the_administrators_too(
    store: Store, act: Act
) -> None:
    import_batch(store, act, MANY[:1])
    names = schema.partner_address
    with store.engine.begin() as connection:
        found = update(names).where(names.c.key.startswith("alias"))
        connection.execute(found.values(source=Source.HARVESTED.value))
    assert set(partners.listing(store)[0].sources.values()) == {Source.MANUAL, Source.HARVESTED}
    assert import_batch(store, act, MANY[:1]) == [True]
    assert set(partners.listing(store)[0].sources.values()) == {Source.MANUAL}
    assert import_batch(store, act, MANY[:1]) == [False]


def test_what_waited_for_a_decision_is_decided(store: Store, act: Act) -> None:
    row = {
        "key": "someone0@example.org",
        "fingerprint": MANY[0].certificate.fingerprint,
        "declined_at": act.at,
    }
    with store.engine.begin() as connection:
        connection.execute(insert(schema.declined).values(row))
    import_batch(store, act, MANY)
    with store.reading() as connection:
        assert connection.execute(select(schema.declined)).all() == []


def test_authorities_are_kept_once(store: Store, act: Act) -> None:
    import_batch(store, act, [*MANY, candidate(99, issuer=OTHER)])
    with store.reading() as connection:
        fingerprints = connection.execute(select(schema.certificate.c.fingerprint)).scalars().all()
    assert len(fingerprints) == len(set(fingerprints)) == len(MANY) + 3


@pytest.mark.parametrize("known", [False, True])
def test_the_number_of_statements_does_not_grow(store: Store, act: Act, known: bool) -> None:
    counted: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *said: counted.append(said[2]))
    bare = [candidate(number, chain=False) for number in range(40)]
    if known:
        import_batch(store, act, bare)
        counted.clear()
    import_batch(store, act, bare[:4])
    few = len(counted)
    counted.clear()
    import_batch(store, act, bare)
    assert len(counted) <= few + 2


def test_a_pinned_certificate_gets_no_address_in_our_own_domains(store: Store, act: Act) -> None:
    ours = replace(store, own_domains=frozenset({"example.org"}))
    both = pki.person(MIDDLE, "ceo@example.org", "them@example.net", kind="p256").certificate
    them = parse_mailbox("them@example.net")
    partners.import_certificate(store, act, [both], them)
    with store.writing(act) as writing:
        writing.connection.execute(update(schema.partner).values(pinned=True))
        gone = schema.partner_address.c.bound.is_(False)
        writing.connection.execute(delete(schema.partner_address).where(gone))
        writing.record("pinned", "them")
    assert import_batch(ours, act, [Candidate(both)]) == [False]
    (known,) = partners.listing(ours)
    assert (known.pinned, known.addresses) == (True, (them,))
