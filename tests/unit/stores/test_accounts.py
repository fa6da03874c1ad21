"""Accounts: added once, changed, disabled, removed; no two share an address."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import select

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.policy.rules import Account, Encrypt, Kind, Override, Sign
from smime_proxy.stores import accounts, keys, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE, BOB, account, audited, bundle

FULL = Account(
    address=parse_mailbox("Alice.Ä@Exämple.com"),
    kind=Kind.TEAM,
    aliases=frozenset({parse_mailbox("Info@example.com"), parse_mailbox("a@example.com")}),
    logins=frozenset({"alice", "ALICE"}),
    override=Override(sign=Sign.ON_REQUEST, encrypt=Encrypt.REQUIRED, sent_copy="maildir:///x"),
    enabled=False,
)
READ = replace(account("alice@example.com"), readers=frozenset({BOB}))


def test_an_account_comes_back_as_it_was_added(store: Store, act: Act) -> None:
    assert accounts.add(store, act, FULL)
    found = accounts.find(store, FULL.address)
    assert found.account == FULL
    assert found.account.address.text == "Alice.Ä@Exämple.com"
    assert {alias.text for alias in found.account.aliases} == {"Info@example.com", "a@example.com"}
    assert found.created_at == NOW


def test_an_override_that_says_nothing_comes_back_so(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    assert accounts.find(store, ALICE).account.override == Override()


def test_a_refusal_text_is_kept_and_taken_away(store: Store, act: Act) -> None:
    told = replace(account("alice@example.com"), refusal_text="Bitte für später.")
    accounts.add(store, act, told)
    assert accounts.find(store, ALICE).account.refusal_text == "Bitte für später."
    accounts.change(store, act, ALICE, lambda known: replace(known, refusal_text=""))
    assert accounts.find(store, ALICE).account.refusal_text == ""


def test_readers_are_kept_as_written_and_taken_away(store: Store, act: Act) -> None:
    written = frozenset({parse_mailbox("Bob@example.com"), parse_mailbox("deputy@elsewhere.test")})
    accounts.add(store, act, replace(READ, readers=written))
    found = accounts.find(store, ALICE).account.readers
    assert {reader.text for reader in found} == {"Bob@example.com", "deputy@elsewhere.test"}
    assert audited(store)[-1].endswith(" readers=Bob@example.com,deputy@elsewhere.test")
    accounts.change(store, act, ALICE, lambda known: replace(known, readers=frozenset()))
    assert accounts.find(store, ALICE).account.readers == frozenset()


def test_who_reads_his_own_mail_is_no_reader_of_it(store: Store, act: Act) -> None:
    own = account("alice@example.com", "info@example.com")
    accounts.add(store, act, replace(own, readers=own.aliases | {ALICE, BOB}))
    assert accounts.find(store, ALICE).account.readers == {BOB}


def test_two_may_read_for_each_other(store: Store, act: Act) -> None:
    accounts.add(store, act, READ)
    accounts.add(store, act, replace(account("bob@example.com"), readers=frozenset({ALICE})))
    assert [known.account.readers for known in accounts.listing(store)] == [{BOB}, {ALICE}]


def test_for_whom_an_account_reads_is_found_by_all_its_addresses(store: Store, act: Act) -> None:
    bob = account("bob@example.com", "b@example.com")
    both = frozenset({BOB, *bob.aliases})
    accounts.add(store, act, bob)
    accounts.add(store, act, replace(account("carol@example.com", "c@example.com"), readers=both))
    accounts.add(store, act, READ)
    found = accounts.reads_for(store, bob)
    assert [mailbox.text for mailbox in found] == ["alice@example.com", "carol@example.com"]
    assert accounts.reads_for(store, READ) == ()


def test_a_team_can_have_no_readers_and_be_none(store: Store, act: Act) -> None:
    team = account("team@example.com", "info@example.com", kind=Kind.TEAM)
    with pytest.raises(StoreError, match=r"team@example\.com is a team account, whose"):
        accounts.add(store, act, replace(team, readers=frozenset({BOB})))
    accounts.add(store, act, team)
    for name in ("team@example.com", "Info@example.com", "team+x@example.com"):
        named = replace(READ, readers=frozenset({BOB, parse_mailbox(name)}))
        with pytest.raises(StoreError, match=rf"^{re.escape(name)} is a team account, for which"):
            accounts.add(store, act, named)
    assert len(accounts.listing(store)) == 1


def test_an_account_that_has_readers_or_is_one_becomes_no_team(store: Store, act: Act) -> None:
    accounts.add(store, act, READ)
    accounts.add(store, act, account("bob@example.com"))
    for who in (ALICE, BOB):
        with pytest.raises(StoreError, match="team account"):
            accounts.change(store, act, who, lambda known: replace(known, kind=Kind.TEAM))
    accounts.remove(store, act, BOB, destroy_keys=False)
    team = account("team@example.com", "bob@example.com", kind=Kind.TEAM)
    with pytest.raises(StoreError, match=r"bob@example\.com is a reader of the account alice@"):
        accounts.add(store, act, team)


def test_readers_go_with_the_account_and_stay_without_their_own(store: Store, act: Act) -> None:
    accounts.add(store, act, READ)
    accounts.add(store, act, account("bob@example.com"))
    accounts.remove(store, act, BOB, destroy_keys=False)
    assert accounts.find(store, ALICE).account.readers == {BOB}
    accounts.remove(store, act, ALICE, destroy_keys=False)
    with store.reading() as connection:
        assert connection.execute(select(schema.account_reader)).all() == []


def test_an_empty_sent_copy_is_not_the_same_as_none(store: Store, act: Act) -> None:
    off = replace(account("alice@example.com"), override=Override(sent_copy=""))
    accounts.add(store, act, off)
    assert accounts.find(store, ALICE).account.override.sent_copy == ""


def test_the_login_is_by_default_the_address(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    assert accounts.find(store, ALICE).account.logins == {"alice@example.com"}


def test_an_alias_that_is_the_address_itself_is_left_out(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com", "Alice@example.com", "i@example.com"))
    (alias,) = accounts.find(store, ALICE).account.aliases
    assert alias.text == "i@example.com"


def test_the_same_address_in_other_capitals_is_the_identical_account(
    store: Store, act: Act
) -> None:
    accounts.add(store, act, account("alice@example.com"))
    assert not accounts.add(store, act, account("Alice@EXAMPLE.com"))
    assert accounts.find(store, ALICE).account.logins == {"alice@example.com"}
    with pytest.raises(StoreError, match="other values"):
        accounts.add(store, act, replace(account("Alice@example.com"), logins=frozenset({"al"})))


def test_an_identical_account_again_is_no_error_and_no_change(store: Store, act: Act) -> None:
    accounts.add(store, act, FULL)
    before = audited(store)
    assert not accounts.add(store, act, FULL)
    assert audited(store) == before


def test_an_account_with_other_values_is_refused(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    with pytest.raises(StoreError, match="exists with other values: change it with `account set`"):
        accounts.add(store, act, account("alice@example.com", kind=Kind.TEAM))


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        (account("info@example.com"), "is an alias of the account alice@example.com"),
        (account("bob@example.com", "INFO@example.com"), "INFO@example.com already belongs"),
        (account("bob@example.com", "alice@example.com"), "already belongs to the account alice"),
    ],
)
def test_no_two_accounts_share_an_address(
    store: Store, act: Act, added: Account, reason: str
) -> None:
    accounts.add(store, act, account("alice@example.com", "info@example.com"))
    with pytest.raises(StoreError, match=reason):
        accounts.add(store, act, added)
    assert len(accounts.listing(store)) == 1


def test_an_account_is_found_by_any_spelling_of_address_or_alias(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com", "info@example.com"))
    for spelling in ("ALICE@EXAMPLE.COM", '"alice"@example.com', "Info@example.com"):
        assert accounts.find(store, parse_mailbox(spelling)).account.address == ALICE


def test_what_is_changed_is_changed_and_the_rest_stays(store: Store, act: Act) -> None:
    accounts.add(store, act, FULL)
    changed = accounts.change(
        store, act, FULL.address, lambda a: replace(a, aliases=frozenset({BOB}), enabled=True)
    )
    assert changed.account == replace(FULL, aliases=frozenset({BOB}), enabled=True)
    assert accounts.find(store, BOB) == changed
    with pytest.raises(StoreError):
        accounts.find(store, parse_mailbox("a@example.com"))


def test_a_change_cannot_move_an_account(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    accounts.change(store, act, ALICE, lambda a: replace(a, address=BOB, kind=Kind.TEAM))
    assert accounts.find(store, ALICE).account.kind is Kind.TEAM


def test_a_change_that_changes_nothing_is_not_audited(store: Store, act: Act) -> None:
    accounts.add(store, act, FULL)
    before = audited(store)
    accounts.change(store, act, FULL.address, lambda a: a)
    assert audited(store) == before


def test_a_change_to_another_accounts_address_changes_nothing(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    accounts.add(store, act, account("bob@example.com"))
    with pytest.raises(StoreError, match="belongs to the account bob"):
        accounts.change(store, act, ALICE, lambda a: replace(a, aliases=frozenset({BOB})))
    assert accounts.find(store, ALICE).account.aliases == frozenset()


def test_a_disabled_account_is_still_there(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    assert not accounts.disable(store, act, ALICE).account.enabled
    assert not accounts.find(store, ALICE).account.enabled


def test_a_removed_account_frees_its_addresses(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com", "info@example.com"))
    accounts.remove(store, act, ALICE, destroy_keys=False)
    assert accounts.listing(store) == ()
    assert accounts.add(store, act, account("info@example.com"))


def test_an_account_with_keys_is_removed_only_on_purpose(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com"))
    keys.import_key(store, act, ALICE, bundle(pki.person(None, "alice@example.com", kind="p256")))
    with pytest.raises(StoreError, match=r"1 key.*--destroy-keys"):
        accounts.remove(store, act, ALICE, destroy_keys=False)
    assert len(keys.listing(store, ALICE)) == 1
    accounts.remove(store, act, ALICE, destroy_keys=True)
    assert accounts.listing(store) == ()
    assert audited(store)[-2].startswith("account destroy-key: alice@example.com ")


@pytest.mark.parametrize("verb", ["find", "disable", "remove"])
def test_an_unknown_account_is_refused(store: Store, act: Act, verb: str) -> None:
    calls = {
        "find": lambda who: accounts.find(store, who),
        "disable": lambda who: accounts.disable(store, act, who),
        "remove": lambda who: accounts.remove(store, act, who, destroy_keys=True),
    }
    with pytest.raises(StoreError, match="no account alice@"):
        calls[verb](ALICE)


def test_accounts_are_listed_by_address(store: Store, act: Act) -> None:
    for name in ("carol", "alice", "bob"):
        accounts.add(store, act, account(f"{name}@example.com"))
    listed: list[Mailbox] = [known.account.address for known in accounts.listing(store)]
    assert [m.local for m in listed] == ["alice", "bob", "carol"]


def test_the_audit_says_what_an_account_is(store: Store, act: Act) -> None:
    accounts.add(store, act, FULL)
    (said,) = audited(store)
    assert said == (
        "account add: Alice.Ä@Exämple.com kind=team aliases=Info@example.com,a@example.com"
        " logins=ALICE,alice sign=on_request encrypt=required sent_copy=maildir:///x enabled=no"
    )
