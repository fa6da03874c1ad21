"""Accounts and keys of store and settings are shown together, with where they are from."""

import pytest

from smime_proxy.stores import accounts, holdings, keys
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.unit.stores.made import ALICE, BOB, account, bundle
from tests.unit.stores.test_declared import BILLS, SHOP, declared, key

OLD = pki.person(None, "bills@example.com", kind="p256", label="old")


def test_accounts_of_both_are_listed_by_address(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com", "bills@example.com"))
    store.declared.current = declared(SHOP, key())
    assert [(one.account, one.origin) for one in holdings.listing(store)] == [
        (account_with_login("alice@example.com"), "store"),
        (SHOP, "settings"),
    ]
    assert holdings.find(store, BILLS.certificate.identities()[0]).account == SHOP
    assert holdings.find(store, ALICE).created_at == act.at
    with pytest.raises(StoreError, match=r"no account bob@example\.com"):
        holdings.find(store, BOB)


def test_keys_say_which_file_they_are_from_and_hidden_ones_are_former(
    store: Store, act: Act
) -> None:
    hidden = account("bills@example.com", "bob@example.com")
    accounts.add(store, act, hidden)
    keys.import_key(store, act, hidden.address, bundle(OLD))
    assert [one.origin for one in holdings.keys_of(store, BOB)] == ["store"]
    store.declared.current = declared(SHOP, key())
    found = holdings.keys_of(store, hidden.address)
    assert [(one.certificate, one.former, one.origin) for one in found] == [
        (BILLS.certificate, False, "/run/secrets/bills.p12"),
        (OLD.certificate, True, "store"),
    ]
    assert [(one.provenance, one.imported_at) for one in found] == [
        ("declared", None),
        ("imported", act.at),
    ]
    with pytest.raises(StoreError, match=r"no account bob@example\.com"):
        holdings.keys_of(store, BOB)  # an alias of what is hidden


def account_with_login(address: str) -> object:
    """Give an account as the store has it."""
    known = account(address)
    return type(known)(known.address, logins=frozenset({address}))
