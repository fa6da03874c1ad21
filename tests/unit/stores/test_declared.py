"""What is declared is found by every address, never shown, and never changed by a command."""

from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts, keys
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.declared import NOTHING, Declared, DeclaredAccount, DeclaredKey
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.pki import Identity
from tests.unit.stores.made import ALICE, BOB, account, bundle

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
BILLS = pki.person(MIDDLE, "bills@example.com", kind="p256")
SHOP = account("shop@shop.example", "bills@example.com")


def key(identity: Identity = BILLS, *, former: bool = False) -> DeclaredKey:
    """Make a declared key of an identity."""
    assert isinstance(identity.key, PrivateKey)
    certificate = identity.certificate
    return DeclaredKey(
        certificate.fingerprint[:16],
        certificate,
        identity.chain,
        former,
        identity.key,
        Path("/run/secrets/bills.p12"),
    )


def declared(one: Account = SHOP, *held: DeclaredKey, fault: str = "") -> Declared:
    """Make one declared account with these keys."""
    return Declared((DeclaredAccount(one, held, fault),))


def test_an_account_is_found_by_address_and_alias_and_its_domains_are_ours() -> None:
    found = declared(SHOP, key())
    (one,) = found.accounts
    assert found.find(parse_mailbox("BILLS@example.com")) is one
    assert found.find(SHOP.address) is one
    assert found.find(ALICE) is None
    assert found.domains == {"shop.example", "example.com"}
    assert found.issuers == (MIDDLE.certificate,)
    assert found.key(SHOP, BILLS.certificate) == key()
    assert found.key(SHOP, MIDDLE.certificate) is None
    assert found.key(account("bob@example.com"), BILLS.certificate) is None


def test_faults_tell_those_without_any_key_apart() -> None:
    broken = "shop.p12: the password is wrong"
    assert declared(SHOP, key(), fault=broken).faults == (broken,)
    assert declared(SHOP, key(), fault=broken).fatal == ()
    assert declared(SHOP, fault=broken).fatal == (broken,)


def test_no_key_is_shown() -> None:
    assert "private" not in repr(declared(SHOP, key()).accounts)


def test_no_command_changes_what_is_declared(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    store.declared.current = declared()
    said = r'shop@shop.example is declared in the settings, \[accounts."shop@shop.example"\]'
    for refused in (
        lambda: accounts.add(store, act, SHOP),
        lambda: accounts.change(store, act, SHOP.address, lambda known: known),
        lambda: accounts.disable(store, act, SHOP.address),
        lambda: accounts.remove(store, act, SHOP.address, destroy_keys=True),
        lambda: keys.import_key(store, act, SHOP.address, bundle(BILLS)),
        lambda: keys.retire(store, act, SHOP.address, "1"),
    ):
        with pytest.raises(StoreError, match=said):
            refused()
    bills = "bills@example.com is an alias of shop@shop.example, which is declared in the settings"
    for taken in (
        lambda: accounts.add(store, act, account("bills@example.com")),
        lambda: accounts.add(store, act, account("bob@example.com", "bills@example.com")),
        lambda: accounts.change(
            store, act, ALICE, lambda _: account("alice@example.com", "bills@example.com")
        ),
    ):
        with pytest.raises(StoreError, match=bills):
            taken()


def test_an_account_of_the_store_that_is_hidden_or_loses_an_alias_is_named() -> None:
    found = declared()
    assert found.notices([account("alice@example.com")]) == []
    assert NOTHING.notices([SHOP]) == []
    (hidden,) = found.notices([account("bills@example.com", "x@example.com")])
    assert hidden.startswith("the account bills@example.com in the store is hidden by")
    (loses,) = found.notices([account("bob@example.com", "bills@example.com")])
    assert loses.startswith("bills@example.com is no alias of the account bob@example.com")
    assert BOB.text in loses
