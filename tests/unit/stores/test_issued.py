"""What was issued is known, can be revoked, and then signs no more and goes on decrypting."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from smime_proxy.address import Mailbox
from smime_proxy.certs.authority import Issuer, KeyUses, create_authority, issue
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.crl import Reason
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.stores import accounts, anchors, authority, issued, keys, revocation_lists
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.issued import Issued
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE, BOB, account, audited

KEY = pki.rsa_key("authority")
ROOT = create_authority("Test Authority", NOW, 10, KEY, serial=1)
LATER = NOW + timedelta(days=1)


def made(mailbox: Mailbox, serial: int) -> Certificate:
    public = pki.rsa_key(mailbox.text).public_key()
    return issue(Issuer(ROOT, KEY), mailbox, public, NOW, 30, serial=serial)


def given(
    store: Store, act: Act, mailbox: Mailbox, serial: int, uses: KeyUses = KeyUses.BOTH
) -> Certificate:
    above = authority.find(store)
    assert above is not None
    certificate = made(mailbox, serial)
    issued.record(store, act, above, mailbox, uses, certificate)
    return certificate


@pytest.fixture
def ready(store: Store, act: Act) -> Store:
    """A store with an authority."""
    authority.init(store, act, Issuer(ROOT, KEY))
    return store


def listed(store: Store) -> list[tuple[int, Reason]]:
    """Give serial numbers and reasons of the revocation list."""
    (der,) = revocation_lists.current(store)
    found = []
    for entry in x509.load_der_x509_crl(der):
        try:
            code = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
            found.append((entry.serial_number, Reason(code.value)))
        except x509.ExtensionNotFound:
            found.append((entry.serial_number, Reason.UNSPECIFIED))
    return found


def test_what_is_issued_is_listed_newest_first(ready: Store, act: Act) -> None:
    first = given(ready, act, ALICE, 0x10)
    second = given(ready, replace(act, at=LATER), BOB, 0x11, KeyUses.SIGNING)
    assert issued.listing(ready) == (
        Issued(second, BOB.text, KeyUses.SIGNING, LATER, None, None),
        Issued(first, ALICE.text, KeyUses.BOTH, NOW, None, None),
    )
    assert [one.certificate for one in issued.listing(ready, ALICE)] == [first]
    assert audited(ready)[-1] == f"ca issue: {BOB.text} {second.fingerprint}"


@pytest.mark.parametrize("how", ["serial", "colons", "fingerprint", "start"])
def test_a_certificate_is_revoked_by_any_of_its_names(ready: Store, act: Act, how: str) -> None:
    certificate = given(ready, act, ALICE, 0xAB10)
    given(ready, act, BOB, 0xAB11)
    name = {
        "serial": "ab10",
        "colons": "00:AB:10",
        "fingerprint": certificate.fingerprint,
        "start": certificate.fingerprint[:8],
    }[how]
    found, is_new = issued.revoke(ready, replace(act, at=LATER), name, Reason.KEY_COMPROMISE)
    assert is_new
    assert (found.certificate, found.revoked_at) == (certificate, LATER)
    assert listed(ready) == [(0xAB10, Reason.KEY_COMPROMISE)]
    again, is_new = issued.revoke(ready, act, name, Reason.SUPERSEDED)
    assert (again, is_new) == (found, False)


def test_what_was_not_issued_cannot_be_revoked(ready: Store, act: Act) -> None:
    given(ready, act, ALICE, 0x10)
    for name in ("77", "not hexadecimal", "0011223344"):
        with pytest.raises(StoreError, match="fingerprint"):
            issued.revoke(ready, act, name, Reason.UNSPECIFIED)
    assert revocation_lists.current(ready) == ()


def test_the_key_of_a_revoked_certificate_only_decrypts(ready: Store, act: Act) -> None:
    accounts.add(ready, act, account(ALICE.text))
    certificate = given(ready, act, ALICE, 0x10)
    bundle = KeyBundle(pki.rsa_key(ALICE.text), certificate, (ROOT,), (), ())
    keys.import_key(ready, act, ALICE, bundle, keys.ISSUED)
    issued.revoke(ready, replace(act, at=LATER), "10", Reason.UNSPECIFIED)
    (key,) = keys.listing(ready, ALICE)
    assert (key.former, key.retired_at) == (True, LATER)
    assert listed(ready) == [(0x10, Reason.UNSPECIFIED)]


def test_former_certificates_are_revoked_as_superseded(ready: Store, act: Act) -> None:
    for serial in (0x10, 0x11):
        given(ready, act, ALICE, serial)
    kept = given(ready, act, ALICE, 0x12)
    given(ready, act, BOB, 0x13)
    assert issued.revoke_former(ready, act, ALICE, [kept]) == 2
    assert {serial for serial, _ in listed(ready)} == {0x10, 0x11}
    assert {reason for _, reason in listed(ready)} == {Reason.SUPERSEDED}
    assert issued.revoke_former(ready, act, ALICE, [kept]) == 0


def test_a_certificate_that_was_issued_outlives_its_account(ready: Store, act: Act) -> None:
    accounts.add(ready, act, account(ALICE.text))
    certificate = given(ready, act, ALICE, 0x10)
    bundle = KeyBundle(pki.rsa_key(ALICE.text), certificate, (ROOT,), (), ())
    keys.import_key(ready, act, ALICE, bundle)
    accounts.remove(ready, act, ALICE, destroy_keys=True)
    assert issued.revoke(ready, act, "10", Reason.CESSATION_OF_OPERATION)[1]


def test_a_snapshot_knows_what_is_revoked_without_a_list(ready: Store, act: Act) -> None:
    certificate = given(ready, act, ALICE, 0x10)
    given(ready, act, BOB, 0x11)
    anchors.add(ready, act, [pki.root("Other", kind="p256").certificate])
    issued.revoke(ready, act, "10", Reason.UNSPECIFIED)
    with ready.reading() as connection:
        snapshot = Snapshot.load(connection, ready.vault)
    known = {anchor.certificate: anchor.revoked for anchor in snapshot.anchors()}
    assert known.pop(ROOT) == {certificate.fingerprint}
    assert list(known.values()) == [frozenset()]
