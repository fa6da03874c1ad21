"""Found keys are decided about by what the store holds when they are written."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.selection import choose_recipient
from smime_proxy.certs.source import Source
from smime_proxy.gateway.ports import FoundKey
from smime_proxy.policy import harvest as policy
from smime_proxy.policy.harvest import Caution, Pend
from smime_proxy.policy.rules import Harvest
from smime_proxy.stores import accounts, anchors, harvest, partners, pending, schema
from smime_proxy.stores.connection import Act, Store, revision
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.harvest import Taken, take
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import PARTNER, account, audited
from tests.unit.stores.test_pending import MIDDLE, ROOT, key, waiting

OTHER = pki.root("Other", kind="p256")
TEXT = PARTNER.text


@pytest.fixture
def trusting(store: Store, act: Act) -> Store:
    anchors.add(store, act, (ROOT.certificate,))
    anchors.add(store, act, (OTHER.certificate,))
    return store


def foreign() -> FoundKey:
    identity = pki.person(OTHER, TEXT, kind="p256")
    return key(identity=identity, anchor=OTHER.certificate.fingerprint)


def alone(who: str = TEXT) -> FoundKey:
    return key(who, identity=pki.person(None, who, kind="p256"), anchor="")


def taken(store: Store, *found: FoundKey, setting: Harvest = Harvest.ASK) -> Taken:
    return take(store, setting, found, NOW)


def counted(store: Store) -> int:
    with store.reading() as connection:
        return revision(connection)


def snapshot(store: Store) -> Snapshot:
    with store.reading() as connection:
        return Snapshot.load(connection, store.vault)


def chosen(store: Store) -> Certificate | None:
    """Give the certificate mail to the partner is encrypted to."""
    now = snapshot(store)
    known = now.partner_certificates(PARTNER)
    found = choose_recipient(known, PARTNER, NOW, now.anchors()).chosen
    return None if found is None else found.certificate


def sources(store: Store, *addresses: str) -> list[list[Source]]:
    """Give who gave the certificates of each address, as the snapshot and the listing say."""
    now, all_of_them = snapshot(store), []
    for mailbox in map(parse_mailbox, addresses):
        known = now.partner_certificates(mailbox)
        listed = [one.source_for(mailbox) for one in partners.listing(store, mailbox)]
        assert sorted(one.source.value for one in known) == sorted(one.value for one in listed)
        all_of_them.append(sorted((one.source for one in known), key=lambda one: one.value))
    return all_of_them


def test_a_first_key_waits_and_no_process_reads_the_store_again(trusting: Store) -> None:
    before, found = counted(trusting), key()
    assert len(taken(trusting, found).waiting) == 1
    assert taken(trusting, found) == Taken()
    assert (waiting(trusting)[0].count, counted(trusting)) == (2, before)
    assert chosen(trusting) is None


def test_a_first_key_is_taken_where_that_is_set_with_where_it_came_from(trusting: Store) -> None:
    found, before = key(), counted(trusting)
    done = taken(trusting, found, setting=Harvest.TRUSTED)
    assert done.accepted == [(found, "harvest = trusted")]
    assert counted(trusting) == before + 1  # so that all processes read it
    (known,) = partners.listing(trusting)
    assert (known.certificate, known.chain) == (found.certificate, (MIDDLE.certificate,))
    assert [m.text for m in known.addresses] == [TEXT]
    assert (known.source, known.pinned, known.imported_at) == (Source.HARVESTED, False, NOW)
    assert known.decided_by == "harvest: harvest = trusted"
    assert (known.message_id, known.anchor) == ("<1@y.org>", ROOT.certificate.fingerprint)
    what = f"{found.certificate.fingerprint} {TEXT} (harvest = trusted)"
    assert audited(trusting)[-1] == f"cert accept: {what}"
    assert chosen(trusting) == found.certificate


def test_e73_one_found_by_its_subjects_address_serves_it(trusting: Store) -> None:
    """Whatever the setting is by the time mail goes to it."""
    legacy = pki.certify(MIDDLE, name="Legacy", dn_address=TEXT, kind="p256")
    found = key(identity=legacy)
    seen = replace(found, certificate=found.certificate.with_subject_address())
    taken(trusting, seen, setting=Harvest.TRUSTED)
    assert chosen(trusting) == legacy.certificate


def test_one_imported_for_one_address_is_harvested_for_another(trusting: Store, act: Act) -> None:
    """What an administrator said of one address says nothing of others in it."""
    other = "other@example.org"
    identity = pki.person(MIDDLE, TEXT, other, kind="p256")
    taken(trusting, key(identity=identity), setting=Harvest.TRUSTED)
    assert sources(trusting, TEXT, other) == [[Source.HARVESTED], []]
    partners.import_certificate(trusting, act, (pki.person(MIDDLE, TEXT).certificate,))
    alone = pki.person(MIDDLE, "bound@example.org", kind="p256")
    partners.import_certificate(trusting, act, (alone.certificate,))
    found = key(who=other, identity=alone)
    taken(trusting, found, setting=Harvest.TRUSTED)
    assert sources(trusting, "bound@example.org", other) == [[Source.MANUAL], [Source.HARVESTED]]
    # An import says it of all the addresses it carries, and of the one it is bound to.
    partners.import_certificate(trusting, act, (identity.certificate,))
    assert sources(trusting, other) == [[Source.HARVESTED, Source.MANUAL]]
    partners.import_certificate(trusting, act, (alone.certificate,), parse_mailbox(other))
    assert sources(trusting, other) == [[Source.MANUAL, Source.MANUAL]]


def test_the_certificate_of_his_domain_lets_no_first_key_in(trusting: Store, act: Act) -> None:
    """A13: who certifies a whole domain has said nothing of the people there."""
    gateway = pki.person(MIDDLE, "gateway@example.org", kind="p256")
    file = (gateway.certificate, MIDDLE.certificate)
    partners.import_certificate(trusting, act, file, domains=("example.org",))
    assert [why for _, why in taken(trusting, key()).waiting] == [Pend(Caution.NONE)]
    assert chosen(trusting) is None
    done = taken(trusting, foreign(), setting=Harvest.TRUSTED)
    assert [why for _, why in done.waiting] == [Pend(Caution.CHANGED)]


def test_a_renewed_key_is_taken_beside_the_old_and_used(trusting: Store) -> None:
    """The newest of equal sources is encrypted to."""
    old = pki.person(MIDDLE, TEXT, kind="p256")
    new = pki.person(MIDDLE, TEXT, kind="p256", not_before=NOW - timedelta(days=1))
    taken(trusting, key(identity=old), setting=Harvest.TRUSTED)
    done = taken(trusting, key(identity=new))
    assert [why for _, why in done.accepted] == ["same trust as before"]
    assert chosen(trusting) == new.certificate
    assert len(partners.listing(trusting)) == 2


def test_an_imported_certificate_is_not_replaced_by_a_renewed_one_while_it_is_good(
    trusting: Store, act: Act
) -> None:
    old = pki.person(MIDDLE, TEXT, kind="p256", not_after=NOW + timedelta(days=1))
    partners.import_certificate(trusting, act, (old.certificate, MIDDLE.certificate))
    new = key(identity=pki.person(MIDDLE, TEXT, kind="p256"))
    assert len(taken(trusting, new).accepted) == 1
    assert chosen(trusting) == old.certificate
    now = snapshot(trusting)
    later = choose_recipient(
        now.partner_certificates(PARTNER), PARTNER, NOW + timedelta(days=2), now.anchors()
    )
    assert later.chosen is not None
    assert later.chosen.certificate == new.certificate


def test_a_lapsed_certificate_is_followed_by_one_of_the_same_trust(
    trusting: Store, act: Act
) -> None:
    """Its issuer is known from another import only."""
    lapsed = pki.person(MIDDLE, TEXT, kind="p256", not_after=NOW - timedelta(days=1))
    partners.import_certificate(trusting, act, (lapsed.certificate,))
    other = pki.person(MIDDLE, "x@example.net", kind="p256")
    partners.import_certificate(trusting, act, (other.certificate, MIDDLE.certificate))
    done = taken(trusting, key(issuers=()))
    assert [why for _, why in done.accepted] == ["same trust as before"]


@pytest.mark.parametrize("setting", [Harvest.ASK, Harvest.TRUSTED])
def test_a13_a_key_of_other_trust_waits_and_mail_goes_on_to_the_old(
    trusting: Store, setting: Harvest
) -> None:
    """A13."""
    old = key()
    taken(trusting, old, setting=Harvest.TRUSTED)
    done = taken(trusting, foreign(), alone(), setting=setting)
    assert done.accepted == []
    cautions = [decision.caution for _, decision in done.waiting]
    assert cautions == [Caution.CHANGED, Caution.CHANGED_UNTRUSTED]
    assert chosen(trusting) == old.certificate


def test_a13_two_keys_in_one_batch_are_not_both_first(trusting: Store) -> None:
    """A13: the gateway saw neither when it looked."""
    done = taken(trusting, key(), foreign(), setting=Harvest.TRUSTED)
    assert len(done.accepted) == 1
    assert [decision.caution for _, decision in done.waiting] == [Caution.CHANGED]


def test_a_pinned_certificate_gets_no_successor_without_a_decision(
    trusting: Store, act: Act
) -> None:
    pinned = pki.person(MIDDLE, TEXT, kind="p256")
    partners.import_certificate(trusting, act, (pinned.certificate,), pinned=True)
    done = taken(trusting, key(), setting=Harvest.TRUSTED)
    assert [decision.caution for _, decision in done.waiting] == [Caution.CHANGED]


def test_trust_that_ended_in_between_is_none(trusting: Store, act: Act) -> None:
    found = key()
    anchors.remove(trusting, act, ROOT.certificate.fingerprint)
    done = taken(trusting, found, setting=Harvest.TRUSTED)
    assert [decision.caution for _, decision in done.waiting] == [Caution.UNTRUSTED]


def test_what_became_ours_imported_or_refused_in_between_is_left(trusting: Store, act: Act) -> None:
    accounts.add(trusting, act, account("own@example.org", "alias@example.org"))
    imported, refused = pki.person(MIDDLE, TEXT, kind="p256"), key("no@example.org")
    partners.import_certificate(trusting, act, (imported.certificate,))
    taken(trusting, refused)
    harvest.reject(trusting, act, [refused.certificate.fingerprint])
    before = (counted(trusting), audited(trusting))
    some = (
        key("own@example.org"),
        key("alias@example.org"),
        key(identity=imported),
        refused,
    )
    assert taken(trusting, *some, setting=Harvest.TRUSTED) == Taken()
    assert taken(trusting, key("x@y.org"), setting=Harvest.NEVER) == Taken()
    assert waiting(trusting) == ()
    assert (counted(trusting), audited(trusting)) == before
    assert snapshot(trusting).is_declined(refused.mailbox, refused.certificate)


def test_accepting_says_who_decided_and_ends_the_waiting(trusting: Store, act: Act) -> None:
    found = key()
    taken(trusting, found)
    (accepted,) = harvest.accept(trusting, act, [found.certificate.fingerprint[:8]])
    assert (accepted.key.certificate, accepted.pinned) == (found.certificate, False)
    (known,) = partners.listing(trusting)
    assert (known.source, known.decided_by, known.pinned) == (Source.HARVESTED, act.who, False)
    assert known.message_id == "<1@y.org>"
    assert audited(trusting)[-1] == f"cert accept: {found.certificate.fingerprint} {TEXT}"
    assert waiting(trusting) == ()
    assert chosen(trusting) == found.certificate


def test_accepting_an_untrusted_one_pins_it(trusting: Store, act: Act) -> None:
    found = alone()
    taken(trusting, found)
    assert chosen(trusting) is None
    harvest.accept(trusting, act, [found.certificate.fingerprint])
    assert partners.listing(trusting)[0].pinned
    assert audited(trusting)[-1].endswith(f"{TEXT} pinned")
    assert chosen(trusting) == found.certificate


def test_whose_an_untrusted_one_is_must_be_said_when_it_waits_for_several(
    store: Store, act: Act
) -> None:
    """A13: a stranger signs as himself, then as the chief, with one certificate of his making."""
    identity = pki.person(None, TEXT, "ceo@example.test", kind="p256")
    taken(store, *(key(text, identity=identity, anchor="") for text in (TEXT, "ceo@example.test")))
    ids = [identity.certificate.fingerprint]
    with pytest.raises(StoreError, match="name whose it is with --address"):
        harvest.accept(store, act, ids)
    assert (len(waiting(store)), partners.listing(store)) == (2, ())
    (accepted,) = harvest.accept(store, act, ids, [PARTNER])
    assert (accepted.key.mailbox, accepted.pinned) == (PARTNER, True)
    (left,) = waiting(store)
    assert left.mailbox.text == "ceo@example.test"
    with pytest.raises(StoreError, match="does not wait for"):
        harvest.accept(store, act, ids, [PARTNER])


def test_one_that_is_trusted_by_now_is_not_pinned(trusting: Store, act: Act) -> None:
    late = pki.root("Late", kind="p256")
    found = key(identity=pki.person(late, TEXT, kind="p256"), anchor="")
    taken(trusting, found)
    anchors.add(trusting, act, (late.certificate,))
    (accepted,) = harvest.accept(trusting, act, [found.certificate.fingerprint])
    assert (accepted.key.caution, accepted.pinned) == (Caution.UNTRUSTED, False)
    assert not partners.listing(trusting)[0].pinned
    assert chosen(trusting) == found.certificate


def test_a_certificate_for_two_addresses_serves_those_it_was_found_for(
    trusting: Store, act: Act
) -> None:
    identity = pki.person(MIDDLE, TEXT, "second@example.org", "third@example.org", kind="p256")
    taken(trusting, key(identity=identity), key("second@example.org", identity=identity))
    accepted = harvest.accept(trusting, act, [identity.certificate.fingerprint] * 2)
    assert len(accepted) == 2
    (known,) = partners.listing(trusting)
    assert {m.text for m in known.addresses} == {TEXT, "second@example.org"}
    third = key("third@example.org", identity=identity)
    assert len(taken(trusting, third).waiting) == 1
    harvest.accept(trusting, act, [identity.certificate.fingerprint])
    (known,) = partners.listing(trusting)
    assert len(known.addresses) == 3
    assert known.chain == (MIDDLE.certificate,)


def test_pinning_for_an_address_in_our_own_domains_must_be_said(trusting: Store, act: Act) -> None:
    found = alone()
    taken(trusting, found)
    ours = replace(trusting, own_domains=frozenset({PARTNER.domain}))
    ids = [found.certificate.fingerprint]
    with pytest.raises(StoreError, match=r"an address in our own domains.*--address"):
        harvest.accept(ours, act, ids)
    assert (len(waiting(trusting)), partners.listing(trusting)) == (1, ())
    assert harvest.accept(ours, act, ids, [PARTNER])[0].pinned


def verdicts(store: Store, identity: pki.Identity, *addresses: str) -> list[ChainStatus]:
    """Say how signatures in the name of each address are judged."""
    anchors = snapshot(store).anchors()
    return [
        validate(
            identity.certificate,
            [MIDDLE.certificate],
            anchors,
            NOW,
            mailbox=parse_mailbox(text),
            purpose=Purpose.SIGN,
        ).status
        for text in addresses
    ]


SECOND = "second@example.org"
TWO = pki.person(MIDDLE, TEXT, SECOND, kind="p256")
ITS_ID = [TWO.certificate.fingerprint]
BOTH = [ChainStatus.TRUSTED, ChainStatus.TRUSTED]
FIRST_ONLY = [ChainStatus.TRUSTED, ChainStatus.UNTRUSTED]


def test_a_pin_for_one_address_spreads_to_no_other_by_a_chain(store: Store, act: Act) -> None:
    """What an anchor vouched for has to end with the anchor."""
    taken(store, key(identity=TWO, anchor=""))
    assert harvest.accept(store, act, ITS_ID)[0].pinned
    anchors.add(store, act, (ROOT.certificate,))
    found = key(SECOND, identity=TWO)
    assert taken(store, found, setting=Harvest.TRUSTED).waiting == [(found, Pend(Caution.NONE))]
    ours = replace(store, own_domains=frozenset({PARTNER.domain}))
    with pytest.raises(StoreError, match="an address in our own domains"):
        harvest.accept(ours, act, ITS_ID)
    anchors.remove(store, act, ROOT.certificate.fingerprint)
    assert verdicts(store, TWO, TEXT, SECOND) == FIRST_ONLY
    (accepted,) = harvest.accept(store, act, ITS_ID)
    assert accepted.pinned
    assert audited(store)[-1].endswith(f"{SECOND} pinned")
    assert verdicts(store, TWO, TEXT, SECOND) == BOTH


def test_accepting_for_one_address_pins_no_other_that_is_served(store: Store, act: Act) -> None:
    """An administrator who takes an anchor away means all that it vouched for."""
    anchors.add(store, act, (ROOT.certificate,))
    found = key(SECOND, identity=TWO)
    assert len(taken(store, found, setting=Harvest.TRUSTED).accepted) == 1
    anchors.remove(store, act, ROOT.certificate.fingerprint)
    taken(store, key(identity=TWO, anchor=""))
    for named in ((), (PARTNER,)):
        with pytest.raises(StoreError, match=f"serves {SECOND} by its chain"):
            harvest.accept(store, act, ITS_ID, named)
    assert verdicts(store, TWO, TEXT, SECOND) == [ChainStatus.UNTRUSTED] * 2
    (accepted,) = harvest.accept(store, act, ITS_ID, [PARTNER, parse_mailbox(SECOND)])
    assert (accepted.key.mailbox, accepted.pinned) == (PARTNER, True)
    assert verdicts(store, TWO, TEXT, SECOND) == BOTH


def test_one_wrong_id_accepts_and_rejects_nothing(trusting: Store, act: Act) -> None:
    found = key()
    taken(trusting, found)
    before = audited(trusting)
    for decide in (harvest.accept, harvest.reject):
        with pytest.raises(StoreError, match="no pending certificate has"):
            decide(trusting, act, [found.certificate.fingerprint, "f" * 64])
    assert (len(waiting(trusting)), audited(trusting)) == (1, before)


def test_an_import_by_hand_settles_what_was_asked_and_refused(trusting: Store, act: Act) -> None:
    identity = pki.person(MIDDLE, TEXT, "second@example.org", kind="p256")
    taken(trusting, key(identity=identity), key("second@example.org", identity=identity))
    harvest.reject(trusting, act, [identity.certificate.fingerprint])
    assert snapshot(trusting).is_declined(PARTNER, identity.certificate)
    partners.import_certificate(trusting, act, (identity.certificate, MIDDLE.certificate))
    assert not snapshot(trusting).is_declined(PARTNER, identity.certificate)
    other = key()
    taken(trusting, other, setting=Harvest.NEVER)
    assert waiting(trusting) == ()


def test_what_was_removed_may_be_asked_about_again(trusting: Store, act: Act) -> None:
    found = key()
    taken(trusting, found, setting=Harvest.TRUSTED)
    partners.remove(trusting, act, found.certificate.fingerprint)
    assert len(taken(trusting, found).waiting) == 1


def test_what_is_too_much_or_too_old_goes_and_is_counted(
    trusting: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MAX_A_DOMAIN", 2)
    done = taken(trusting, *(alone(f"p{number}@example.org") for number in range(5)))
    assert (len(done.waiting), done.dropped, len(waiting(trusting))) == (5, 3, 2)
    late = take(trusting, Harvest.ASK, (), NOW + pending.EXPIRY * 2)
    assert (late.expired, waiting(trusting)) == (2, ())


def test_of_one_address_only_so_many_are_taken_without_a_decision(
    trusting: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever certifies himself could fill the store; the expired make room."""
    monkeypatch.setattr(policy, "MAX_AN_ADDRESS", 2)
    first, second, third, fourth = (
        key(identity=pki.person(MIDDLE, TEXT, kind="p256", not_after=NOW + timedelta(days=number)))
        for number in (2, 1, 9, 9)
    )
    assert len(taken(trusting, first, second, setting=Harvest.TRUSTED).accepted) == 2
    assert len(taken(trusting, third, setting=Harvest.TRUSTED).waiting) == 1
    later = replace(fourth, at=NOW + timedelta(days=1, seconds=1))
    assert len(taken(trusting, later, setting=Harvest.TRUSTED).accepted) == 1
    kept = {one.certificate for one in partners.listing(trusting)}
    assert kept == {first.certificate, fourth.certificate}


def test_nothing_of_a_batch_is_written_when_the_store_fails(trusting: Store) -> None:
    with trusting.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pending RENAME TO away")
    with pytest.raises(StoreError):
        taken(trusting, key(), foreign(), setting=Harvest.TRUSTED)
    assert partners.listing(trusting) == ()
    with trusting.reading() as connection:
        verbs = set(connection.execute(select(schema.audit.c.verb)).scalars())
    assert verbs == {"trust add"}


def test_who_is_accepted_for_one_address_signs_for_no_other_he_carries(
    store: Store, act: Act
) -> None:
    """A13: a stranger's own certificate may carry the address of anybody."""
    identity = pki.person(None, TEXT, "ceo@example.test", kind="p256")
    taken(store, key(identity=identity, anchor=""))
    harvest.accept(store, act, [identity.certificate.fingerprint])
    told = [
        validate(
            identity.certificate,
            (),
            snapshot(store).anchors(),
            NOW,
            mailbox=parse_mailbox(text),
            purpose=Purpose.SIGN,
        ).status
        for text in (TEXT, "ceo@example.test")
    ]
    assert told == [ChainStatus.TRUSTED, ChainStatus.UNTRUSTED]
