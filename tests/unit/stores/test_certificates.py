"""Certificates are kept once, with their chain, and go when nothing needs them."""

import pytest
from sqlalchemy import Connection, delete, select, true

from smime_proxy.certs.names import name_key
from smime_proxy.stores import certificates, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.pki import NOW

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
ALICE = pki.person(MIDDLE, "alice@example.com", kind="p256")
BOB = pki.person(MIDDLE, "bob@example.com", kind="p256")
CHAIN = (MIDDLE.certificate, ROOT.certificate)


def held(connection: Connection) -> set[str]:
    return set(connection.execute(select(schema.certificate.c.fingerprint)).scalars())


def trust(connection: Connection, number: int) -> None:
    connection.execute(schema.anchor.insert().values(certificate_id=number, added_at=NOW))


def test_the_same_certificate_is_kept_once(store: Store, act: Act) -> None:
    with store.writing(act) as writing:
        first = certificates.keep(writing.connection, ALICE.certificate, CHAIN)
        assert certificates.keep(writing.connection, ALICE.certificate, CHAIN) == first
        assert len(held(writing.connection)) == 3
        assert certificates.chain_of(writing.connection, first) == CHAIN


def test_a_chain_is_replaced_by_another_but_not_by_none(store: Store, act: Act) -> None:
    with store.writing(act) as writing:
        number = certificates.keep(writing.connection, ALICE.certificate, CHAIN)
        certificates.keep(writing.connection, ALICE.certificate)
        assert certificates.chain_of(writing.connection, number) == CHAIN
        certificates.keep(writing.connection, ALICE.certificate, CHAIN[:1])
        assert certificates.chain_of(writing.connection, number) == CHAIN[:1]
        assert ROOT.certificate.fingerprint not in held(writing.connection)


def test_a_certificate_is_no_part_of_its_own_chain(store: Store, act: Act) -> None:
    with store.writing(act) as writing:
        number = certificates.keep(writing.connection, ROOT.certificate, (ROOT.certificate,))
        assert certificates.chain_of(writing.connection, number) == ()


def test_what_is_released_goes_with_the_part_of_its_chain_nobody_else_has(
    store: Store, act: Act
) -> None:
    with store.writing(act) as writing:
        alice = certificates.keep(writing.connection, ALICE.certificate, CHAIN)
        certificates.keep(writing.connection, BOB.certificate, CHAIN[:1])
        certificates.release(writing.connection, alice)
        assert held(writing.connection) == {
            BOB.certificate.fingerprint,
            MIDDLE.certificate.fingerprint,
        }


def test_many_chains_are_read_as_one_by_one(store: Store, act: Act) -> None:
    table = schema.certificate
    with store.writing(act) as writing:
        connection = writing.connection
        alice = certificates.keep(connection, ALICE.certificate, CHAIN)
        bob = certificates.keep(connection, BOB.certificate, CHAIN[::-1])
        every = certificates.chains_of(connection, true())
        assert every == {n: certificates.chain_of(connection, n) for n in (alice, bob)}
        assert every[bob] == CHAIN[::-1]
        assert certificates.chains_of(connection, table.c.id == alice) == {alice: CHAIN}
        assert certificates.chains_of(connection, table.c.id == 0) == {}


def test_what_is_still_trusted_is_not_released(store: Store, act: Act) -> None:
    with store.writing(act) as writing:
        root = certificates.keep(writing.connection, ROOT.certificate)
        alice = certificates.keep(writing.connection, ALICE.certificate, CHAIN)
        trust(writing.connection, root)
        for number in (alice, root):
            certificates.release(writing.connection, number)
        assert held(writing.connection) == {ROOT.certificate.fingerprint}


def test_ids_are_never_used_twice(store: Store, act: Act) -> None:
    with store.writing(act) as writing:
        first = certificates.keep(writing.connection, ALICE.certificate)
        writing.connection.execute(delete(schema.certificate))
        assert certificates.keep(writing.connection, BOB.certificate) > first


def test_a_locator_tells_issuers_and_serial_numbers_apart() -> None:
    names = [name_key(c.certificate.x509().issuer.public_bytes()) for c in (ALICE, MIDDLE)]
    located = {certificates.locator(name, serial) for name in names for serial in (1, 11)}
    assert len(located) == 4


def test_a_fingerprint_may_be_shortened_and_written_with_colons(store: Store, act: Act) -> None:
    fingerprint = ALICE.certificate.fingerprint
    pairs = ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    with store.writing(act) as writing:
        certificates.keep(writing.connection, ALICE.certificate)
        for written in (fingerprint, fingerprint[:8], pairs, f" {pairs[:12]}"):
            found = select(schema.certificate.c.id).where(certificates.begins_with(written))
            assert len(writing.connection.execute(found).all()) == 1


@pytest.mark.parametrize("written", ["", "1234567", "alice@example.com", "%%%%%%%%"])
def test_what_is_no_fingerprint_is_refused(written: str) -> None:
    with pytest.raises(StoreError, match="is not a fingerprint"):
        certificates.begins_with(written)


def test_a_damaged_certificate_is_one_line() -> None:
    with pytest.raises(StoreError, match="is damaged"):
        certificates.stored(ALICE.der[:-1])
