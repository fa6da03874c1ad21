"""A snapshot answers all the mail path asks, from memory, and parses only what is asked for."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, update

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.selection import choose_signing
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.enveloped_data import parse_enveloped_data
from smime_proxy.cms.key_agreement import AgreementKey
from smime_proxy.cms.key_encapsulation import EncapsulationKey
from smime_proxy.cms.sign import sign
from smime_proxy.cms.signed_data import parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from smime_proxy.gateway.ports import Directory, KeyUnavailable, SeenCapabilities
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import accounts, anchors, certificates, keys, partners, schema
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.capabilities import remember
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW, Identity
from tests.unit.certs.answers import Known
from tests.unit.cms import made, ways
from tests.unit.stores.made import ALICE, BOB, PARTNER, TEAM, account, bundle

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
SOMEONE = pki.person(MIDDLE, "partner@example.org", kind="p256")
PREFERENCE = bytes.fromhex("060b2a864886f70d010910020b")  # SMIMEEncryptionKeyPreference
CAPABILITIES = bytes.fromhex("06092a864886f70d01090f")  # the OID of sMIMECapabilities, RFC 8551


def load(store: Store, before: Snapshot | None = None) -> Snapshot:
    with store.reading() as connection:
        return Snapshot.load(connection, store.vault, before)


def add_alice(store: Store, act: Act, *identities: Identity) -> Account:
    accounts.add(store, act, account("alice@example.com", "info@example.com"))
    for identity in identities or (pki.person(MIDDLE, "alice@example.com"),):
        keys.import_key(store, act, ALICE, bundle(identity))
    return accounts.find(store, ALICE).account


def add_partner(store: Store, act: Act, *, pinned: bool = False) -> None:
    file = (SOMEONE.certificate, MIDDLE.certificate)
    partners.import_certificate(store, act, file, pinned=pinned)


def test_a_snapshot_is_a_directory(store: Store) -> None:
    directory: Directory = load(store)
    assert directory.account(ALICE) is None
    assert directory.partner_certificates(PARTNER) == ()
    assert tuple(directory.anchors()) == ()
    assert tuple(directory.intermediates()) == ()


def test_an_account_is_found_by_address_and_alias(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    snapshot = load(store)
    assert snapshot.account(ALICE) == alice
    assert snapshot.account(parse_mailbox("INFO@Example.com")) is snapshot.account(ALICE)
    assert snapshot.account(BOB) is None


def test_domains_of_accounts_and_those_served_are_ours_and_those_below(
    store: Store, act: Act
) -> None:
    add_alice(store, act)
    with store.reading() as connection:
        snapshot = Snapshot.load(
            connection, store.vault_now(connection), own_domains=frozenset({"example.net"})
        )
    for ours in ("example.com", "mail.example.com", "example.net"):
        assert snapshot.is_own_domain(ours)
    for other in ("com", "anexample.com", "example.org", ""):
        assert not snapshot.is_own_domain(other)


def test_all_keys_of_an_account_are_known_current_and_former(store: Store, act: Act) -> None:
    new = pki.person(MIDDLE, "alice@example.com")
    old = pki.person(None, "alice@example.com", not_after=NOW - timedelta(days=1))
    alice = add_alice(store, act, new, old)
    entries = load(store).keys(alice)
    assert {(e.certificate, e.former) for e in entries} == {
        (new.certificate, False),
        (old.certificate, True),
    }
    assert {e.chain for e in entries} == {(MIDDLE.certificate,), ()}
    assert {e.key_id for e in entries} == {k.key_id for k in keys.listing(store, ALICE)}


def test_a_signer_has_the_right_key_and_chain_and_is_made_once(store: Store, act: Act) -> None:
    someone = pki.person(MIDDLE, "alice@example.com")
    alice = add_alice(store, act, someone)
    snapshot = load(store)
    (entry,) = snapshot.keys(alice)
    signer = snapshot.signer(alice, entry, NOW)
    assert signer.private_key.private_numbers() == someone.key.private_numbers()  # type: ignore[union-attr]  # an RSA key
    assert signer.certificate == someone.der
    assert MIDDLE.der in signer.certificates
    assert snapshot.signer(alice, entry, NOW) is signer


def test_no_root_goes_into_signatures(store: Store, act: Act) -> None:
    someone = pki.person(MIDDLE, "alice@example.com")
    alice = add_alice(store, act, someone)
    file = (someone.certificate, MIDDLE.certificate, ROOT.certificate)
    partners.import_certificate(store, act, file)
    snapshot = load(store)
    (entry,) = snapshot.keys(alice)
    assert ROOT.der not in snapshot.signer(alice, entry, NOW).certificates


@pytest.mark.parametrize("kind", Kind)
def test_only_persons_invite_to_encrypt(store: Store, act: Act, kind: Kind) -> None:
    add_alice(store, act)
    alice = accounts.change(store, act, ALICE, lambda a: replace(a, kind=kind)).account
    snapshot = load(store)
    attributes = b"".join(snapshot.signer(alice, snapshot.keys(alice)[0], NOW).constant_attributes)
    assert (CAPABILITIES in attributes) is (kind is Kind.PERSONAL)


def test_a_person_who_becomes_a_team_gets_another_signer(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    before = load(store)
    signer = before.signer(alice, before.keys(alice)[0], NOW)
    team = accounts.change(store, act, ALICE, lambda a: replace(a, kind=Kind.TEAM)).account
    after = load(store, before)
    assert CAPABILITIES in b"".join(signer.constant_attributes)
    changed = after.signer(team, after.keys(team)[0], NOW)
    assert CAPABILITIES not in b"".join(changed.constant_attributes)


def test_every_key_ever_owned_decrypts_and_is_loaded_once(store: Store, act: Act) -> None:
    """E50."""
    new = pki.person(MIDDLE, "alice@example.com")
    old = pki.person(None, "alice@example.com", not_after=NOW - timedelta(days=1))
    alice = add_alice(store, act, new, old)
    snapshot = load(store)
    first, second = snapshot.decryption_keys(alice), snapshot.decryption_keys(alice)
    assert {key.serial for key in first} == {new.certificate.serial, old.certificate.serial}
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, True]


@pytest.mark.parametrize("kind", ["p256", "brainpool512", "x25519", "x448", "mlkem768"])
def test_keys_of_every_kind_decrypt(store: Store, act: Act, kind: str) -> None:
    """E50, E53, E94."""
    someone = pki.person(MIDDLE, "alice@example.com", kind=kind)
    alice = add_alice(store, act, someone)
    content_key = bytes(range(32))
    rid = read_certificate(someone.der).issuer_and_serial
    if isinstance(someone.key, AgreementKey):
        info = ways.kari(content_key, someone.key, rid=rid)
    else:
        assert isinstance(someone.key, EncapsulationKey)
        info = ways.kemri(content_key, someone.key, rid=rid)
    sealed = made.encrypted_content(b"content", content_key)
    enveloped = parse_enveloped_data(made.enveloped_data(info, encrypted=sealed))
    assert decrypt(enveloped, load(store).decryption_keys(alice)) == b"content"


@pytest.mark.parametrize("kind", ["brainpool", "ed25519", "ed448", "mldsa65"])
def test_keys_of_every_kind_sign(store: Store, act: Act, kind: str) -> None:
    """E56."""
    someone = pki.person(MIDDLE, "alice@example.com", kind=kind)
    alice = add_alice(store, act, someone)
    snapshot = load(store)
    signer = snapshot.signer(alice, snapshot.keys(alice)[0], NOW)
    signed = parse_signed_data(sign(b"x", signer, signing_time=None, detached=True))
    assert [report.integrity for report in verify(signed, [b"x"])] == [Integrity.INTACT]


def test_keys_that_only_sign_are_no_decryption_keys(store: Store, act: Act) -> None:
    rsa = pki.person(MIDDLE, "alice@example.com")
    alice = add_alice(store, act, rsa, pki.person(MIDDLE, "alice@example.com", kind="ed25519"))
    snapshot = load(store)
    for _ in range(2):
        found = snapshot.decryption_keys(alice)
        assert [key.serial for key in found] == [rsa.certificate.serial]


def test_keys_that_only_decrypt_do_not_sign(store: Store, act: Act) -> None:
    agreeing = pki.person(MIDDLE, "alice@example.com", kind="x25519")
    alice = add_alice(store, act, agreeing)
    snapshot = load(store)
    with pytest.raises(KeyUnavailable, match="signs nothing"):
        snapshot.signer(alice, snapshot.keys(alice)[0], NOW)


def test_a_disabled_account_still_decrypts(store: Store, act: Act) -> None:
    add_alice(store, act)
    alice = accounts.disable(store, act, ALICE).account
    snapshot = load(store)
    assert snapshot.account(ALICE) == alice
    assert len(snapshot.decryption_keys(alice)) == 1


def test_a_key_that_does_not_open_is_noticed_when_it_is_used(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    with store.engine.begin() as connection:
        connection.execute(update(schema.key).values(wrapped=b"damaged" * 20))
    snapshot = load(store)
    (entry,) = snapshot.keys(alice)
    with pytest.raises(KeyUnavailable, match="does not open"):
        snapshot.signer(alice, entry, NOW)
    with pytest.raises(KeyUnavailable, match="does not open"):
        snapshot.decryption_keys(alice)


def test_a_key_of_another_account_is_not_to_be_had(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    accounts.add(store, act, account("team@example.com"))
    snapshot = load(store)
    team = snapshot.account(TEAM)
    assert team is not None
    with pytest.raises(KeyUnavailable, match=r"team@.* no longer has"):
        snapshot.signer(team, snapshot.keys(alice)[0], NOW)


def separate(store: Store, act: Act) -> tuple[Account, Identity, Identity]:
    """Give alice one key that only signs and, under another authority, one that only decrypts."""
    signs = pki.person(MIDDLE, "alice@example.com", usage=("digital_signature",))
    other = pki.intermediate(pki.root("Other Root"), "Other CA")
    decrypts = pki.person(other, "alice@example.com", usage=("key_encipherment",), label="decrypts")
    return add_alice(store, act, signs, decrypts), signs, decrypts


def test_a_signature_names_the_other_certificate_to_encrypt_to_and_brings_it(
    store: Store, act: Act
) -> None:
    """E72, RFC 8551 2.5.3."""
    alice, signs, decrypts = separate(store, act)
    snapshot = load(store)
    entry = choose_signing(snapshot.keys(alice), ALICE, NOW).chosen
    assert entry is not None
    assert entry.certificate == signs.certificate
    signer = snapshot.signer(alice, entry, NOW)
    name = read_certificate(decrypts.der).issuer_and_serial[1:]
    attributes = b"".join(signer.constant_attributes)
    assert PREFERENCE in attributes
    assert b"\xa0" + name in attributes
    assert read_certificate(signs.der).issuer_and_serial[1:] not in attributes
    for der in (signs.der, *(c.der for c in (decrypts.certificate, *decrypts.chain))):
        assert der in signer.certificates
    assert snapshot.signer(alice, entry, NOW) is signer


def test_a_certificate_to_encrypt_to_is_named_only_while_it_is_valid(
    store: Store, act: Act
) -> None:
    signs = pki.person(MIDDLE, "alice@example.com", usage=("digital_signature",))
    ends = NOW + timedelta(days=10)
    usage = ("key_encipherment",)
    decrypts = pki.person(MIDDLE, "alice@example.com", usage=usage, label="x", not_after=ends)
    alice = add_alice(store, act, signs, decrypts)
    snapshot = load(store)
    entry = next(e for e in snapshot.keys(alice) if e.certificate == signs.certificate)
    assert decrypts.der in snapshot.signer(alice, entry, NOW).certificates
    later = snapshot.signer(alice, entry, ends + timedelta(days=1))
    assert decrypts.der not in later.certificates
    assert PREFERENCE not in b"".join(later.constant_attributes)


def test_a_team_names_no_certificate_to_encrypt_to(store: Store, act: Act) -> None:
    _, signs, decrypts = separate(store, act)
    team = accounts.change(store, act, ALICE, lambda a: replace(a, kind=Kind.TEAM)).account
    snapshot = load(store)
    entry = next(e for e in snapshot.keys(team) if e.certificate == signs.certificate)
    signer = snapshot.signer(team, entry, NOW)
    assert decrypts.der not in signer.certificates
    assert PREFERENCE not in b"".join(signer.constant_attributes)


def test_the_old_key_signs_until_the_new_one_is_valid_and_decrypts_for_ever(
    store: Store, act: Act
) -> None:
    """Renewal: both are current, the dates decide."""
    begins, ends = NOW + timedelta(days=5), NOW + timedelta(days=10)
    old = pki.person(MIDDLE, "alice@example.com", not_after=ends, label="old")
    new = pki.person(MIDDLE, "alice@example.com", not_before=begins, label="new")
    alice = add_alice(store, act, old, new)
    snapshot = load(store)

    def signs_at(at: datetime) -> object:
        chosen = choose_signing(snapshot.keys(alice), ALICE, at).chosen
        assert chosen is not None
        signer = snapshot.signer(alice, chosen, at)
        assert signer.certificate == chosen.certificate.der
        return chosen.certificate

    assert signs_at(NOW) == old.certificate
    assert signs_at(begins - timedelta(seconds=1)) == old.certificate
    assert signs_at(begins) == new.certificate
    assert signs_at(ends + timedelta(days=1)) == new.certificate
    assert len(snapshot.decryption_keys(alice)) == 2


def test_all_accounts_are_given_once_and_partners_by_address(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    add_partner(store, act)
    snapshot = load(store)
    assert snapshot.all_accounts() == (alice,)
    assert list(snapshot.partner_mailboxes()) == [PARTNER]


def test_opened_keys_are_taken_over_and_forgotten_with_the_key(store: Store, act: Act) -> None:
    alice = add_alice(store, act)
    before = load(store)
    signer = before.signer(alice, before.keys(alice)[0], NOW)
    key = before.decryption_keys(alice)[0]
    add_partner(store, act)
    after = load(store, before)
    assert after.signer(alice, after.keys(alice)[0], NOW) is signer
    assert after.decryption_keys(alice)[0] is key
    accounts.remove(store, act, ALICE, destroy_keys=True)
    last = load(store, after)
    assert (last.keyring.opened.signers, last.keyring.opened.decryption) == ({}, {})
    assert after.decryption_keys(alice)[0] is key


def test_a_partners_certificate_comes_with_chain_pin_and_bindings(store: Store, act: Act) -> None:
    file = (SOMEONE.certificate, MIDDLE.certificate)
    partners.import_certificate(store, act, file, BOB, pinned=True)
    snapshot = load(store)
    (known,) = snapshot.partner_certificates(PARTNER)
    assert (known.certificate, known.chain) == (SOMEONE.certificate, (MIDDLE.certificate,))
    assert (known.pinned, known.bound_to) == (True, (BOB,))
    assert snapshot.partner_certificates(BOB) == (known,)
    assert known.serves(BOB)
    assert known.serves(PARTNER)


def test_anchors_are_those_added_and_pinned_ones_as_themselves(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope(("example.org",)))
    add_partner(store, act, pinned=True)
    known, pin = load(store).anchors()
    assert known == Anchor(ROOT.certificate, ("example.org",))
    assert (pin.certificate, pin.pinned) == (SOMEONE.certificate, True)
    assert pin.pinned_for is not None
    assert PARTNER.key in pin.pinned_for
    assert BOB.key not in pin.pinned_for


def test_a_damaged_certificate_keeps_nobody_from_being_judged(store: Store, act: Act) -> None:
    """Else the fetching would end with it."""
    anchors.add(store, act, (ROOT.certificate,), Scope(own_domains=True))
    add_alice(store, act)
    bob = pki.person(MIDDLE, "bob@example.com")
    accounts.add(store, act, account("bob@example.com"))
    keys.import_key(store, act, BOB, bundle(bob))
    (hers,) = keys.listing(store, ALICE)
    with store.engine.begin() as connection:
        table = schema.certificate
        row = update(table).where(table.c.fingerprint == hers.certificate.fingerprint)
        connection.execute(row.values(der=b"nonsense"))
    wanted: list[Certificate] = []
    want = Revocation(Mode.SOFT, Known(), lambda one, _issuer: wanted.append(one))
    load(store).judge_own(want)
    assert bob.certificate in wanted


def test_no_pinned_certificate_is_read_before_somebody_asks_for_it(store: Store, act: Act) -> None:
    """P12: there may be a hundred thousand."""
    add_partner(store, act, pinned=True)
    snapshot = load(store)
    assert SOMEONE.certificate in snapshot.anchors().pinned
    assert SOMEONE.certificate not in snapshot.shelf.read.values()


def test_our_own_domains_are_those_served_and_those_of_accounts(store: Store, act: Act) -> None:
    accounts.add(store, act, account("alice@example.com", "al@example.net"))
    anchors.add(store, act, [ROOT.certificate])
    with store.reading() as connection:
        snapshot = Snapshot.load(connection, store.vault, own_domains=frozenset({"served.example"}))
    (anchor,) = snapshot.anchors()
    assert anchor.unless == ("example.com", "example.net", "served.example")


def test_what_is_in_chains_completes_others(store: Store, act: Act) -> None:
    add_partner(store, act)
    assert tuple(load(store).intermediates()) == (MIDDLE.certificate,)


def test_certificates_are_found_by_issuer_and_serial_number(store: Store, act: Act) -> None:
    """E58."""
    add_partner(store, act)
    snapshot = load(store)
    issuer = MIDDLE.certificate.x509().subject.public_bytes()
    shouted = issuer.replace(b"Test Issuing CA", b"TEST ISSUING CA")
    assert shouted != issuer
    for name in (issuer, shouted):
        assert snapshot.known_certificates(name, SOMEONE.certificate.serial) == (SOMEONE.der,)
    assert snapshot.known_certificates(issuer, 1) == ()


def test_an_older_snapshot_does_not_change(store: Store, act: Act) -> None:
    add_partner(store, act)
    before = load(store)
    partners.remove(store, act, SOMEONE.certificate.fingerprint)
    after = load(store, before)
    assert len(before.partner_certificates(PARTNER)) == 1
    assert after.partner_certificates(PARTNER) == ()
    assert after.revision == before.revision + 1


def test_no_repr_shows_keys(store: Store, act: Act) -> None:
    add_alice(store, act)
    snapshot = load(store)
    assert repr(snapshot) == f"Snapshot(revision={snapshot.revision})"


def fill(store: Store, act: Act, size: int) -> None:
    """Put accounts and partners into the store without parsing thousands of certificates."""
    numbers = range(1, size + 1)
    with store.writing(act) as writing:
        execute = writing.connection.execute
        execute(
            insert(schema.account),
            [{"id": n, "kind": "personal", "enabled": True, "created_at": NOW} for n in numbers],
        )
        names = [(n, f"user{n}@example.com") for n in numbers]
        rows = [{"key": m, "text": m, "account_id": n, "is_alias": False} for n, m in names]
        execute(insert(schema.account_address), rows)
        held = [{"id": n, "fingerprint": str(n), "der": SOMEONE.der} for n in numbers]
        locator = certificates.locator(b"", 0)
        execute(insert(schema.certificate), [{**row, "locator": locator} for row in held])
        common = {"pinned": False, "source": "manual", "imported_at": NOW}
        execute(insert(schema.partner), [{"certificate_id": n, **common} for n in numbers])
        served = [(n, f"user{n}@example.org") for n in numbers]
        execute(
            insert(schema.partner_address),
            [{"key": m, "text": m, "certificate_id": n, "bound": False} for n, m in served],
        )
        writing.record("test", "")


def test_a_large_store_is_loaded_without_parsing_and_asked_with_one_parse(
    store: Store, act: Act
) -> None:
    """P12: the cost of a message does not depend on how many accounts and partners there are."""
    fill(store, act, 3_000)
    snapshot = load(store)
    assert len(snapshot.shelf.ders) == 3_000
    assert snapshot.account(parse_mailbox("user2999@example.com")) is not None
    assert len(snapshot.shelf.read) == 0
    for _ in range(3):
        (known,) = snapshot.partner_certificates(parse_mailbox("user77@example.org"))
        assert known.certificate == SOMEONE.certificate
    assert len(snapshot.shelf.read) == 1


def test_what_a_partner_said_last_is_known_and_what_cannot_be_read_is_not(store: Store) -> None:
    listed = Capabilities((("2.16.840.1.101.3.4.1.46", b""),))
    remember(store, [SeenCapabilities(PARTNER, listed, NOW)])
    snapshot = load(store)
    assert snapshot.capabilities(parse_mailbox("PARTNER@example.org")) == listed
    assert snapshot.capabilities(BOB) is None
    with store.engine.begin() as connection:
        connection.execute(update(schema.capabilities).values(der=b"\x30\x05"))
    assert load(store).capabilities(PARTNER) is None


def test_the_certificate_of_a_domain_is_found_by_that_domain(store: Store, act: Act) -> None:
    file = (SOMEONE.certificate, MIDDLE.certificate)
    partners.import_certificate(store, act, file, pinned=True, domains=["example.net", "b.org"])
    snapshot = load(store)
    (known,) = snapshot.domain_certificates("example.net")
    assert (known.certificate, known.chain) == (SOMEONE.certificate, (MIDDLE.certificate,))
    assert (known.pinned, known.domains) == (True, ("b.org", "example.net"))
    assert snapshot.domain_certificates("b.org") == (known,)
    assert snapshot.partner_certificates(PARTNER) == (known,)
    assert snapshot.domain_certificates("example.org") == ()
