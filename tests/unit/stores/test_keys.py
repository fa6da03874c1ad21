"""Keys: taken in if they can serve, former if they only decrypt, wrapped, never twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from smime_proxy.policy.rules import Kind
from smime_proxy.stores import accounts, keys, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import pkcs8, unwrapped
from smime_proxy.stores.vault import PRIVATE_KEY
from tests import pki
from tests.pki import NOT_BEFORE, NOW, Identity
from tests.unit.stores.made import ALICE, BOB, TEAM, account, audited, bundle

ADDRESS = "alice@example.com"


@pytest.fixture(autouse=True)
def _accounts(store: Store, act: Act) -> None:
    accounts.add(store, act, account(ADDRESS, "a.alias@example.com"))
    accounts.add(store, act, account("team@example.com", kind=Kind.TEAM))


def person(*addresses: str, **declared: object) -> Identity:
    return pki.person(None, *(addresses or (ADDRESS,)), **{"kind": "p256", **declared})


def test_an_imported_key_is_current_and_listed(store: Store, act: Act) -> None:
    someone = pki.person(pki.intermediate(pki.root()), ADDRESS)
    (imported,) = keys.import_key(store, act, ALICE, bundle(someone))
    assert imported.is_new
    assert imported.warnings == ()
    key = imported.key
    assert (key.address, key.certificate, key.former) == (ALICE, someone.certificate, False)
    assert (key.imported_at, key.retired_at, key.provenance) == (NOW, None, "imported")
    assert key.chain == someone.chain
    assert keys.listing(store, ALICE) == (key,)
    assert audited(store)[-1].endswith(f"{ADDRESS} {key.key_id} {someone.certificate.fingerprint}")


@pytest.mark.parametrize(
    "kind", ["rsa", "p256", "p384", "p521", "brainpool", "ed25519", "ed448", "mldsa44", "mldsa87"]
)
def test_the_key_lies_wrapped_and_comes_back(store: Store, act: Act, kind: str) -> None:
    someone = person(kind=kind)
    pair = bundle(someone)
    keys.import_key(store, act, ALICE, pair)
    with store.reading() as connection:
        row = connection.execute(select(schema.key)).one()
    assert pkcs8(pair.private_key) not in row.wrapped
    assert pkcs8(pair.private_key)[-32:] not in row.wrapped
    key = unwrapped(store.vault, row.wrapped, PRIVATE_KEY, row.id, row.key_version)
    assert pkcs8(key) == pkcs8(pair.private_key)


def test_a_wrapped_key_under_the_id_of_another_does_not_open(store: Store, act: Act) -> None:
    keys.import_key(store, act, ALICE, bundle(person()))
    with store.engine.begin() as connection:
        connection.execute(update(schema.key).values(id="00000000"))
        row = connection.execute(select(schema.key)).one()
    with pytest.raises(StoreError, match="does not open"):
        unwrapped(store.vault, row.wrapped, PRIVATE_KEY, row.id, row.key_version)


def test_the_same_key_again_is_no_error_and_no_change(store: Store, act: Act) -> None:
    someone = person()
    (first,) = keys.import_key(store, act, ALICE, bundle(someone))
    before = audited(store)
    (again,) = keys.import_key(store, act, ALICE, bundle(someone))
    assert (again.key, again.is_new) == (first.key, False)
    assert audited(store) == before


def test_a_certificate_for_an_alias_is_taken(store: Store, act: Act) -> None:
    (imported,) = keys.import_key(store, act, ALICE, bundle(person("A.Alias@example.com")))
    assert not imported.key.former


@pytest.mark.parametrize(
    ("someone", "carried"),
    [
        (person("bob@example.com", "eve@example.com"), "carries bob@example.com, eve@example.com"),
        (pki.certify(None, name="Nobody", kind="p256"), "carries no address"),
    ],
)
def test_a_certificate_for_others_is_refused_naming_whom(
    store: Store, act: Act, someone: Identity, carried: str
) -> None:
    with pytest.raises(StoreError, match=f"{carried}, not alice@example.com"):
        keys.import_key(store, act, ALICE, bundle(someone))
    assert keys.listing(store, ALICE) == ()


def test_a_certificate_for_something_other_than_mail_is_refused(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="may neither sign nor be encrypted to"):
        keys.import_key(store, act, ALICE, bundle(person(eku=(pki.TLS_CLIENT,))))


def test_a_certificate_that_cannot_be_named_in_messages_is_refused(store: Store, act: Act) -> None:
    pair = bundle(person())
    odd = replace(pair, certificate=replace(pair.certificate, der=b"0\x00"))
    with pytest.raises(StoreError, match="cannot be used"):
        keys.import_key(store, act, ALICE, odd)
    assert keys.listing(store, ALICE) == ()


@pytest.mark.parametrize(
    ("someone", "reason"),
    [
        (person(not_after=NOW - timedelta(days=1)), "expired on 2026-05-31"),
        (person(kind="rsa1024"), "1024 bits"),
        (pki.certify(None, dn_address=ADDRESS, kind="p256"), "in its subject only"),
    ],
)
def test_what_cannot_sign_any_more_comes_in_as_a_former_key(
    store: Store, act: Act, someone: Identity, reason: str
) -> None:
    """E73, E79, E80."""
    (imported,) = keys.import_key(store, act, ALICE, bundle(someone))
    assert imported.key.former
    assert imported.key.retired_at == NOW
    assert len(imported.warnings) == 1
    assert reason in imported.warnings[0]
    assert "former" in imported.warnings[0]


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"not_before": NOW + timedelta(days=1)}, "valid only from 2026-06-02"),
        ({"usage": ("key_agreement",)}, "only decrypts"),
        ({"usage": ("digital_signature",)}, "only signs"),
        ({"kind": "ed25519"}, "only signs"),
        ({"kind": "mldsa65"}, "only signs"),
    ],
)
def test_a_key_of_limited_use_is_current_with_a_warning(
    store: Store, act: Act, declared: dict[str, object], reason: str
) -> None:
    """E72: separate keys for signing and encryption are one account's."""
    (imported,) = keys.import_key(store, act, ALICE, bundle(person(**declared)))
    assert not imported.key.former
    assert [reason in warning for warning in imported.warnings] == [True]


def test_a_team_that_only_signs_is_as_it_should_be(store: Store, act: Act) -> None:
    team = person("team@example.com", usage=("digital_signature",))
    (imported,) = keys.import_key(store, act, TEAM, bundle(team))
    assert (imported.key.former, imported.warnings) == (False, ())


def test_every_fitting_key_of_a_file_is_taken_and_the_others_are_named(
    store: Store, act: Act
) -> None:
    """E83."""
    new, old = person(), person(label="old", not_after=NOW - timedelta(days=1))
    other = person("bob@example.com")
    imported = keys.import_key(store, act, ALICE, bundle(other, new, old))
    assert [one.key.certificate for one in imported] == [new.certificate, old.certificate]
    assert [one.key.former for one in imported] == [False, True]
    assert any("left out" in w and "carries bob@" in w for w in imported[0].warnings)


def test_the_chain_is_what_leads_up_and_neither_root_nor_strangers(store: Store, act: Act) -> None:
    root = pki.root()
    middle = pki.intermediate(root)
    someone = pki.person(middle, ADDRESS, kind="p256")
    stranger = pki.intermediate(root, "Stranger CA")
    pair = bundle(someone, person("bob@example.com"))
    extra = (root.certificate, stranger.certificate, middle.certificate)
    pair = type(pair)(pair.private_key, pair.certificate, extra, (), ())
    (imported,) = keys.import_key(store, act, ALICE, pair)
    assert imported.key.chain == (middle.certificate,)


def test_two_accounts_may_have_the_same_key(store: Store, act: Act) -> None:
    both = person(ADDRESS, "team@example.com")
    (first,) = keys.import_key(store, act, ALICE, bundle(both))
    (second,) = keys.import_key(store, act, TEAM, bundle(both))
    assert second.is_new
    assert first.key.key_id != second.key.key_id


def test_a_retired_key_is_former_and_stays(store: Store, act: Act) -> None:
    (imported,) = keys.import_key(store, act, ALICE, bundle(person()))
    retired = keys.retire(store, act, ALICE, imported.key.key_id)
    assert (retired.former, retired.retired_at) == (True, NOW)
    assert keys.listing(store, ALICE) == (retired,)
    before = audited(store)
    later = Act("admin", NOW + timedelta(days=1))
    assert keys.retire(store, later, ALICE, imported.key.key_id) == retired
    assert audited(store) == before


def test_a_key_of_another_account_cannot_be_retired(store: Store, act: Act) -> None:
    (imported,) = keys.import_key(store, act, ALICE, bundle(person()))
    with pytest.raises(StoreError, match=r"team@.* has no key"):
        keys.retire(store, act, TEAM, imported.key.key_id)


def test_current_keys_are_listed_first_then_the_newest(store: Store, act: Act) -> None:
    ages = [
        keys.import_key(
            store, act, ALICE, bundle(person(not_before=NOT_BEFORE + timedelta(days=day)))
        )[0].key
        for day in (1, 3, 2)
    ]
    keys.retire(store, act, ALICE, ages[1].key_id)
    listed = [key.key_id for key in keys.listing(store, ALICE)]
    assert listed == [ages[2].key_id, ages[0].key_id, ages[1].key_id]


def test_an_unknown_account_has_no_keys(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="no account bob"):
        keys.import_key(store, act, BOB, bundle(person("bob@example.com")))
    with pytest.raises(StoreError, match="no account bob"):
        keys.listing(store, BOB)


def test_no_repr_shows_a_key(store: Store, act: Act) -> None:
    (imported,) = keys.import_key(store, act, ALICE, bundle(person()))
    assert "private" not in repr(imported).lower()
