"""When accounts stop signing and being encrypted to: successors count, gaps end it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smime_proxy.admin.expiry import Expiry, Use, expiries, last_of, signing_key
from smime_proxy.policy.rules import Kind
from smime_proxy.stores.anchors import MANUAL, MOZILLA, Scope, StoredAnchor
from tests import pki
from tests.fakes import FakeDirectory
from tests.pki import NOW, Identity

ADDRESS = "alice@example.com"
DAY = timedelta(days=1)


def person(first: int, last: int, **more: Any) -> Identity:
    """Certify alice from and to a number of days from now."""
    dates = {"not_before": NOW + first * DAY, "not_after": NOW + last * DAY}
    return pki.person(None, ADDRESS, kind="p256", **dates, **more)


class Accounts(FakeDirectory):
    def all_accounts(self) -> Any:
        return list({id(one): one for one in self.by_address.values()}.values())


def ends(*identities: Identity, **more: Any) -> dict[Use, int]:
    directory = Accounts()
    directory.add(ADDRESS, *identities, **more)
    return {one.use: (one.ends - NOW).days for one in expiries(directory, (), NOW)}


def test_the_end_is_that_of_the_last_key_in_an_unbroken_row() -> None:
    row = (person(-10, 20), person(15, 60), person(59, 200))
    assert ends(*row) == {Use.SIGNING: 200, Use.ENCRYPTION: 200}


def test_a_key_without_an_end_is_the_last() -> None:
    """RFC 5280 4.1.2.5."""
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    endless = pki.person(None, ADDRESS, kind="p256", not_before=NOW - DAY, not_after=never)
    end = (never - NOW).days
    assert ends(endless, person(-1, 60)) == {Use.SIGNING: end, Use.ENCRYPTION: end}


def test_a_gap_between_two_keys_ends_it() -> None:
    assert ends(person(-10, 20), person(30, 60))[Use.SIGNING] == 20


def test_a_newer_key_that_ends_sooner_does_not_end_it() -> None:
    assert ends(person(-10, 90), person(-5, 20))[Use.SIGNING] == 90


def test_an_account_whose_keys_have_all_ended_says_when_the_last_did() -> None:
    assert ends(person(-90, -40), person(-50, -3))[Use.SIGNING] == -3


def test_an_account_that_never_had_a_key_has_no_end() -> None:
    assert ends() == {}


def test_a_disabled_account_has_no_end() -> None:
    assert ends(person(-10, 20), enabled=False) == {}


def test_nobody_waits_for_encryption_to_a_team() -> None:
    assert list(ends(person(-10, 20), kind=Kind.TEAM)) == [Use.SIGNING]


def test_keys_for_signing_and_for_encryption_end_apart() -> None:
    signs = person(-10, 90, usage=("digital_signature",))
    decrypts = person(-10, 20, usage=("key_agreement",))
    assert ends(signs, decrypts) == {Use.SIGNING: 90, Use.ENCRYPTION: 20}


def test_a_former_key_is_not_counted() -> None:
    directory = Accounts()
    account = directory.add(ADDRESS, person(-10, 20), person(-5, 400))
    directory.key_entries[account.address][1] = type(directory.key_entries[account.address][1])(
        directory.key_entries[account.address][1].identity, former=True
    )
    last = last_of(signing_key, directory.keys(account), account, NOW)
    assert last is not None
    assert last.not_after == NOW + 20 * DAY


@pytest.mark.parametrize(("source", "number"), [(MANUAL, 1), (MOZILLA, 0)])
def test_anchors_end_too_but_nobody_here_renews_those_of_a_list(source: str, number: int) -> None:
    root = pki.root().certificate
    found = expiries(Accounts(), [StoredAnchor(root, Scope(), NOW, source)], NOW)
    assert [(one.use, one.ends) for one in found] == [(Use.ANCHOR, root.not_after)] * number


def test_the_earliest_comes_first_and_has_a_name() -> None:
    directory = Accounts()
    directory.add("late@example.com", pki.person(None, "late@example.com", kind="p256"))
    directory.add(ADDRESS, person(-10, 20))
    found = expiries(directory, (), NOW)
    assert [one.name for one in found][:2] == [ADDRESS, ADDRESS]
    root = pki.root().certificate
    assert Expiry(Use.ANCHOR, NOW, root).name == root.subject
