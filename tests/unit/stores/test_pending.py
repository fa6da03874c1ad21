"""Keys that wait: once each, bounded, for a while, and seen by nothing that looks for a key."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from smime_proxy.address import parse_mailbox
from smime_proxy.gateway.ports import FoundKey
from smime_proxy.policy.harvest import Caution
from smime_proxy.stores import certificates, pending
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import PARTNER

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
ROOT_ID = ROOT.certificate.fingerprint
TWO = (ROOT.certificate, MIDDLE.certificate)


def key(
    who: str = "partner@example.org",
    at: datetime = NOW,
    *,
    identity: pki.Identity | None = None,
    **more: object,
) -> FoundKey:
    made = identity or pki.person(MIDDLE, who, kind="p256")
    found = FoundKey(
        parse_mailbox(who), made.certificate, made.chain, ROOT_ID, "<1@y.org>", at, Caution.NONE
    )
    return FoundKey(
        **{name: more.get(name, getattr(found, name)) for name in FoundKey.__dataclass_fields__}  # type: ignore[arg-type] # names are those of the fields
    )


def put(store: Store, *found: FoundKey, caution: Caution = Caution.NONE) -> list[bool]:
    with store.noticing() as noticing:
        noticing.written = True
        return [pending.put(noticing.connection, one, caution) for one in found]


def waiting(store: Store) -> tuple[pending.PendingKey, ...]:
    with store.reading() as connection:
        return pending.load(connection)


def trim(store: Store, *domains: str) -> int:
    with store.noticing() as noticing:
        noticing.written = True
        return pending.trim(noticing.connection, domains)


def test_a_key_waits_with_all_that_is_known_of_it(store: Store) -> None:
    found = key()
    assert put(store, found, caution=Caution.CHANGED) == [True]
    (kept,) = waiting(store)
    assert kept == pending.PendingKey(
        PARTNER,
        found.certificate,
        (MIDDLE.certificate,),
        ROOT_ID,
        Caution.CHANGED,
        "<1@y.org>",
        NOW,
        NOW,
        1,
    )


def test_several_issuers_come_back_in_their_order(store: Store) -> None:
    put(store, key(issuers=TWO))
    assert waiting(store)[0].issuers == TWO


def test_the_same_key_again_is_counted_and_its_warning_is_the_last(store: Store) -> None:
    found = key()
    later = NOW + timedelta(days=1)
    again = key(identity=pki.Identity(found.certificate, ROOT.key), at=later, message_id="<2@y>")
    assert put(store, found) == [True]
    assert put(store, again, key(identity=pki.Identity(found.certificate, ROOT.key), count=3)) == [
        False,
        False,
    ]
    put(store, again, caution=Caution.CHANGED)
    (kept,) = waiting(store)
    assert (kept.count, kept.first_seen, kept.last_seen) == (6, NOW, later)
    assert (kept.message_id, kept.caution) == ("<1@y.org>", Caution.CHANGED)


def test_nothing_that_looks_for_a_certificate_sees_one_that_waits(store: Store) -> None:
    """A13."""
    found = key()
    put(store, found)
    with store.reading() as connection:
        snapshot = Snapshot.load(connection, store.vault)
        assert certificates.issuers(connection) == ()
    assert snapshot.partner_certificates(PARTNER) == ()
    assert (len(snapshot.anchors()), len(snapshot.intermediates())) == (0, 0)
    assert snapshot.shelf.ders == {}


def test_one_is_found_by_the_start_of_its_fingerprint_for_all_its_addresses(store: Store) -> None:
    found = key()
    other = key("second@example.org", identity=pki.Identity(found.certificate, ROOT.key))
    put(store, found, other, key("third@example.org"))
    with store.reading() as connection:
        start = found.certificate.fingerprint[:8].upper()
        both = pending.find(connection, start)
        assert {one.mailbox.text for one in both} == {"partner@example.org", "second@example.org"}
        with pytest.raises(StoreError, match="no pending certificate has"):
            pending.find(connection, "0" * 64)
        with pytest.raises(StoreError, match="is not a fingerprint"):
            pending.find(connection, "0%_")


def test_of_a_domain_the_untrusted_go_first_and_then_the_oldest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MAX_A_DOMAIN", 3)
    for number in range(3):
        put(store, key(f"p{number}@example.org", NOW - timedelta(hours=number)))
    put(store, key("forged@example.org", NOW + timedelta(days=1)), caution=Caution.UNTRUSTED)
    put(store, key("old@example.net", NOW - timedelta(days=1)))
    assert trim(store, "example.org", "example.org", "example.net") == 1
    assert trim(store, "example.org") == 0
    left = {one.mailbox.text for one in waiting(store)}
    assert left == {"p0@example.org", "p1@example.org", "p2@example.org", "old@example.net"}
    put(store, key("p3@example.org", NOW))
    assert trim(store, "example.org") == 1
    assert "p2@example.org" not in {one.mailbox.text for one in waiting(store)}


def test_of_all_domains_together_there_is_an_end_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MAX_PENDING", 2)
    put(store, *(key(f"p@d{n}.example", NOW + timedelta(hours=n)) for n in range(4)))
    assert trim(store, "d3.example") == 2
    assert [one.mailbox.text for one in waiting(store)] == ["p@d3.example", "p@d2.example"]


def test_what_nobody_sent_again_expires(store: Store) -> None:
    put(store, key(), key("fresh@example.org", NOW + timedelta(days=1)))
    with store.noticing() as noticing:
        noticing.written = True
        assert pending.expire(noticing.connection, NOW + pending.EXPIRY) == 0
        assert pending.expire(noticing.connection, NOW + pending.EXPIRY * 1.001) == 1
    assert [one.mailbox.text for one in waiting(store)] == ["fresh@example.org"]


def test_a_damaged_chain_is_told_of(store: Store) -> None:
    put(store, key())
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE pending SET chain = x'3082'"))
    with pytest.raises(StoreError, match="damaged"):
        waiting(store)
