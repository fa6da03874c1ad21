"""Declared keys sign, those of the store beside them decrypt, and what was made of keys is kept."""

from dataclasses import replace

import pytest

from smime_proxy.certs.selection import choose_signing
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.stores import accounts, keys
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.keyring import Opened
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE, account, bundle
from tests.unit.stores.test_declared import declared, key

ROOT = pki.root(kind="p256")
NEW = pki.person(ROOT, "alice@example.com", label="new")
OLD = pki.person(ROOT, "alice@example.com", label="old")
STORED = pki.person(ROOT, "alice@example.com", label="stored")
WE = account("alice@example.com")


def load(store: Store, before: Snapshot | None = None) -> Snapshot:
    with store.reading() as connection:
        return Snapshot.of(store, connection, before)


def test_a_declared_key_needs_nothing_in_the_store(store: Store) -> None:
    store.declared.current = declared(WE, key(NEW), key(OLD, former=True))
    snapshot = load(store)
    found = snapshot.account(ALICE)
    assert found == WE
    chosen = choose_signing(snapshot.keys(WE), ALICE, NOW).chosen
    assert chosen is not None
    assert snapshot.signer(WE, chosen, NOW).certificate == NEW.certificate.der
    assert snapshot.open_key(WE, chosen) is NEW.key
    assert snapshot.known_certificates(
        NEW.certificate.x509().issuer.public_bytes(), NEW.certificate.serial
    ) == (NEW.der,)
    assert len(snapshot.decryption_keys(WE)) == 2


def test_keys_of_the_store_only_decrypt_beside_declared_ones(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    keys.import_key(store, act, ALICE, bundle(STORED))
    store.declared.current = declared(WE, key(NEW))
    snapshot = load(store)
    assert [(one.certificate, one.former) for one in snapshot.keys(WE)] == [
        (NEW.certificate, False),
        (STORED.certificate, True),
    ]
    assert len(snapshot.decryption_keys(WE)) == 2


def test_what_was_made_of_a_declared_key_is_kept_until_the_files_change(store: Store) -> None:
    store.declared.current = declared(WE, key(NEW))
    first = load(store)
    signer = first.signer(WE, first.keys(WE)[0], NOW)
    again = load(store, first)
    assert again.signer(WE, again.keys(WE)[0], NOW) is signer
    # The same certificate may come with another chain.
    store.declared.current = declared(WE, replace(key(NEW), chain=(ROOT.certificate,)))
    changed = load(store, again)
    assert changed.signer(WE, changed.keys(WE)[0], NOW) is not signer


def test_a_key_that_is_gone_is_unavailable(store: Store) -> None:
    store.declared.current = declared(WE, key(NEW))
    (entry,) = load(store).keys(WE)
    store.declared.current = declared(WE)
    with pytest.raises(KeyUnavailable, match="no longer has this key"):
        load(store).open_key(WE, entry)


def test_no_key_is_shown(store: Store) -> None:
    store.declared.current = declared(WE, key(NEW))
    assert repr(load(store).keyring) == "Keyring()"


def test_keys_that_are_opened_during_a_reload_do_not_disturb_it(store: Store) -> None:
    store.declared.current = declared(WE, key(NEW))
    (made,) = load(store).decryption_keys(WE)
    opened = Opened(decryption={"one": made, "two": made})

    class Meanwhile(frozenset[str]):
        """Another thread opens a key between two looks."""

        def __contains__(self, key_id: object) -> bool:
            opened.decryption[f"after {key_id}"] = made
            return super().__contains__(key_id)

    assert opened.of(Meanwhile({"one"})).decryption == {"one": made}
