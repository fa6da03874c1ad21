"""Anchors that follow a list: what an administrator decided outlives the next one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from smime_proxy.certs.anchors import Anchor
from smime_proxy.stores import anchor_list, anchors
from smime_proxy.stores.anchor_list import ListChange
from smime_proxy.stores.anchors import Scope, StoredAnchor
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import audited

ONE, TWO, THREE = (pki.root(f"Root {n}", kind="p256").certificate for n in (1, 2, 3))


def follow(
    store: Store, act: Act, *listed: Anchor, version: str = "1.0", scope: Scope | None = None
) -> ListChange:
    return anchor_list.follow(store, act, version, listed, scope)


def known(store: Store) -> dict[str, StoredAnchor]:
    return {anchor.certificate.subject: anchor for anchor in anchors.listing(store)}


def test_a_list_comes_with_its_version_and_dates(store: Store, act: Act) -> None:
    change = follow(store, act, Anchor(ONE), Anchor(TWO, distrust_after=NOW), version="2.60")
    assert (change.total, len(change.added), change.scope) == (2, 2, Scope())
    one, two = anchors.listing(store)
    assert (one.source, one.source_version, one.added_at) == ("mozilla", "2.60", NOW)
    assert (one.distrust_after, two.distrust_after) == (None, NOW)
    assert not one.by_hand
    assert audited(store) == ["trust add: mozilla 2.60: 2 added, 0 removed"]


def test_the_next_list_adds_changes_and_removes(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE), Anchor(TWO))
    later = replace(act, at=NOW + timedelta(days=9))
    change = follow(store, later, Anchor(TWO, distrust_after=NOW), Anchor(THREE), version="2.0")
    assert [a.certificate for a in change.added] == [THREE]
    assert [a.certificate for a in change.changed] == [TWO]
    assert [a.certificate for a in change.removed] == [ONE]
    assert (change.kept, change.total) == (0, 2)
    two, three = anchors.listing(store)
    assert (two.added_at, two.distrust_after, two.source_version) == (NOW, NOW, "2.0")
    assert three.added_at == later.at


def test_the_same_list_again_changes_nothing_but_its_version(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE))
    change = follow(store, act, Anchor(ONE), version="2.0")
    assert (change.added, change.changed, change.removed, change.kept) == ((), (), (), 1)
    assert anchors.listing(store)[0].source_version == "2.0"


def test_what_came_by_hand_is_not_the_lists(store: Store, act: Act) -> None:
    anchors.add(store, act, [ONE], Scope(("example.org",)))
    anchors.add(store, act, [THREE])
    before = known(store)
    change = follow(store, act, Anchor(ONE, distrust_after=NOW), Anchor(TWO))
    assert (change.left, change.total) == (1, 1)
    assert {**known(store), TWO.subject: None} == {**before, TWO.subject: None}
    assert follow(store, act, Anchor(TWO)).removed == ()
    assert anchor_list.forget(store, act) == 1
    assert known(store) == before


def test_limits_said_of_one_by_hand_outlive_lists(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE), Anchor(TWO))
    anchors.add(store, act, [ONE], Scope(("example.org",)))
    follow(store, act, Anchor(ONE, distrust_after=NOW), Anchor(TWO), scope=Scope(own_domains=True))
    one, two = anchors.listing(store)
    assert (one.scope, one.distrust_after) == (Scope(("example.org",)), NOW)
    assert (one.source, one.by_hand) == ("mozilla", True)
    assert two.scope == Scope(own_domains=True)
    follow(store, act, Anchor(ONE), Anchor(TWO), Anchor(THREE))
    assert known(store)[THREE.subject].scope == Scope(own_domains=True)  # and not that of ONE
    change = follow(store, act, Anchor(TWO), Anchor(THREE))
    assert [a.certificate for a in change.removed] == [ONE]  # Mozilla's, whatever its limits


def test_a_scope_holds_for_what_later_lists_add(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE), scope=Scope(("example.org",), own_domains=True))
    follow(store, act, Anchor(ONE), Anchor(TWO))
    assert {a.scope for a in anchors.listing(store)} == {Scope(("example.org",), own_domains=True)}
    follow(store, act, Anchor(ONE), Anchor(TWO), scope=Scope(own_domains=True))
    assert {a.scope for a in anchors.listing(store)} == {Scope(own_domains=True)}


def test_one_removed_by_hand_stays_away_until_it_is_added_by_hand(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE), Anchor(TWO))
    anchors.remove(store, act, ONE.fingerprint)
    change = follow(store, act, Anchor(ONE), Anchor(TWO))
    assert (change.declined, change.total) == (1, 1)
    assert known(store).keys() == {TWO.subject}
    anchors.add(store, act, [ONE])
    assert known(store)[ONE.subject].source == "manual"
    assert follow(store, act, Anchor(ONE), Anchor(TWO)).declined == 0


def test_removing_the_whole_list_begins_anew(store: Store, act: Act) -> None:
    follow(store, act, Anchor(ONE), Anchor(TWO))
    anchors.remove(store, act, ONE.fingerprint)
    assert anchor_list.forget(store, act) == 1
    assert anchors.listing(store) == ()
    assert follow(store, act, Anchor(ONE)).total == 1


def test_an_anchor_that_was_by_hand_and_removed_is_not_declined(store: Store, act: Act) -> None:
    anchors.add(store, act, [ONE])
    anchors.remove(store, act, ONE.fingerprint)
    assert follow(store, act, Anchor(ONE)).total == 1
    with pytest.raises(StoreError, match="no trust anchor has"):
        anchors.remove(store, act, TWO.fingerprint)
