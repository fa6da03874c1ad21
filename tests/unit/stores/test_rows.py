"""What a snapshot reads is numbers and wrapped keys: nothing is parsed, nothing is missing."""

from smime_proxy.certs.source import Source
from smime_proxy.stores import accounts, keys, partners
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.rows import KeyRow, domains_of, laid_over, load_accounts, load_partners
from tests import pki
from tests.unit.stores.made import ALICE, PARTNER, account, bundle
from tests.unit.stores.test_declared import declared

ROOT = pki.root(kind="p256")
SOMEONE = pki.person(ROOT, "partner@example.org", kind="p256")


def test_an_account_stands_under_all_its_addresses_its_keys_under_the_first(
    store: Store, act: Act
) -> None:
    accounts.add(store, act, account("alice@example.com", "info@sales.example"))
    keys.import_key(store, act, ALICE, bundle(pki.person(ROOT, "alice@example.com")))
    with store.reading() as connection:
        by_address, rows = load_accounts(connection)
    assert set(by_address) == {"alice@example.com", "info@sales.example"}
    assert domains_of(by_address) == {"example.com", "sales.example"}
    ((address, (row,)),) = rows.items()
    assert address == "alice@example.com"
    assert row.key_id == keys.listing(store, ALICE)[0].key_id
    assert row.wrapped.hex() not in repr(row)


def test_partners_are_told_by_address_and_domain_with_pin_and_source(
    store: Store, act: Act
) -> None:
    partners.import_certificate(store, act, (SOMEONE.certificate,), pinned=True)
    partners.import_certificate(store, act, (SOMEONE.certificate,), domains=("example.net",))
    with store.reading() as connection:
        found = load_partners(connection)
    (number,) = found.by_address[PARTNER.key]
    assert found.pinned == {number}
    assert found.by_domain == {"example.net": [number]}
    assert found.domains == {number: ("example.net",)}
    assert Source.MANUAL not in found.sources.values()  # by hand is what needs no word


def test_a_declared_account_wins_its_addresses_and_hidden_keys_become_former_ones_of_it() -> None:
    shop = account("shop@example.com", "bills@example.com", "info@example.com")
    bills = account("bills@example.com", "x@example.com")
    with_alias = account("bob@example.com", "info@example.com", "b@example.com")
    stored = {"bills@example.com": bills, "x@example.com": bills}
    stored |= dict.fromkeys(("bob@example.com", "info@example.com"), with_alias)
    rows = {name: (KeyRow(name, 1, b"", 1, former=False),) for name in stored if name[0] == "b"}
    accounts_now, keys_now = laid_over(stored, rows, declared(shop))
    assert accounts_now == {
        "shop@example.com": shop,
        "bills@example.com": shop,
        "info@example.com": shop,
        "bob@example.com": account("bob@example.com", "b@example.com"),
    }
    assert keys_now == {
        "shop@example.com": (KeyRow("bills@example.com", 1, b"", 1, former=True),),
        "bob@example.com": rows["bob@example.com"],
    }
