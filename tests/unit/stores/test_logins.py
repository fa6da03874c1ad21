"""Passwords of logins: hashed, granted, and as slow to refuse as to accept."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import select

from smime_proxy.address import parse_mailbox
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts, logins, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.open import STORE_FILE
from tests.unit.stores.made import account
from tests.unit.stores.test_declared import declared

SECRET = "canary of eve"
EVE = parse_mailbox("eve@example.test")


@pytest.fixture
def granted(store: Store, act: Act) -> Store:
    accounts.add(store, act, Account(address=EVE, logins=frozenset({"eve"})))
    return store


@pytest.fixture
def passwords(granted: Store, state_dir: Path) -> logins.Passwords:
    return logins.Passwords(state_dir / STORE_FILE)


def test_only_the_password_set_fits(granted: Store, act: Act, passwords: logins.Passwords) -> None:
    assert not passwords.fits("eve", SECRET)
    logins.set_password(granted, act, "eve", SECRET)
    assert passwords.fits("eve", SECRET)
    assert not passwords.fits("eve", SECRET + "x")
    assert not passwords.fits("Eve", SECRET)
    assert not passwords.fits("adam", SECRET)
    logins.set_password(granted, act, "eve", "another one")
    assert passwords.fits("eve", "another one")
    assert not passwords.fits("eve", SECRET)
    logins.remove_password(granted, act, "eve")
    assert not passwords.fits("eve", "another one")


def test_a_login_that_a_declared_account_grants_is_one(
    store: Store, act: Act, state_dir: Path
) -> None:
    store.declared.current = declared(
        replace(account("erp@example.test"), logins=frozenset({"erp@example.test"}))
    )
    logins.set_password(store, act, "erp@example.test", SECRET)
    granted = store.declared.current.logins
    assert logins.Passwords(state_dir / STORE_FILE, granted).fits("erp@example.test", SECRET)
    assert not logins.Passwords(state_dir / STORE_FILE).fits("erp@example.test", SECRET)


def test_a_login_whose_account_is_gone_is_none(
    granted: Store, act: Act, passwords: logins.Passwords
) -> None:
    logins.set_password(granted, act, "eve", SECRET)
    accounts.remove(granted, act, EVE, destroy_keys=False)
    assert not passwords.fits("eve", SECRET)


def test_nobody_can_log_in_with_the_hash_of_nobody(passwords: logins.Passwords) -> None:
    for guess in ("", "A", "nobody"):
        assert not passwords.fits("adam", guess)


def test_what_cannot_be_set_says_why(granted: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="adam: is a login of no account"):
        logins.set_password(granted, act, "adam", SECRET)
    with pytest.raises(StoreError, match="at least 8 characters"):
        logins.set_password(granted, act, "eve", "1234567")
    with pytest.raises(StoreError, match="adam: has no password"):
        logins.remove_password(granted, act, "adam")


def test_the_store_has_a_hash_and_the_audit_not_even_that(
    granted: Store, act: Act, state_dir: Path
) -> None:
    logins.set_password(granted, act, "eve", SECRET)
    with granted.reading() as connection:
        hashed = connection.execute(select(schema.login.c.hash)).scalar_one()
        audit = connection.execute(select(schema.audit.c.verb, schema.audit.c.what)).all()
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert audit[-1] == ("account password", "eve")
    assert SECRET.encode() not in (state_dir / STORE_FILE).read_bytes()


def test_the_same_password_has_another_hash_each_time() -> None:
    first, second = logins.hash_password(SECRET), logins.hash_password(SECRET)
    assert first != second
    assert logins.is_hash_of(SECRET, first)
    assert not logins.is_hash_of("other", first)


def test_an_unknown_login_takes_as_long_as_a_wrong_password(
    granted: Store, act: Act, passwords: logins.Passwords
) -> None:
    """Else who has an account here could be found out; CPU time, for machines are busy."""
    logins.set_password(granted, act, "eve", SECRET)

    def cost(login: str) -> float:
        took = []
        for _ in range(9):
            begun = time.thread_time()
            assert not passwords.fits(login, "wrong")
            took.append(time.thread_time() - begun)
        return median(took)

    cost("eve")
    assert 0.5 < cost("adam") / cost("eve") < 2
