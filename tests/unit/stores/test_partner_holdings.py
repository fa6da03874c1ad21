"""Certificates the settings pin are listed beside the store's, used by the mail path, and kept."""

from pathlib import Path

import pytest

from smime_proxy.address import Mailbox
from smime_proxy.stores import partner_holdings, partners
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.declared import Declared, DeclaredPartner, DeclaredPartners
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.unit.stores.made import BOB, PARTNER

ROOT = pki.root(kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
SOMEONE = pki.person(MIDDLE, "partner@example.org", "other@example.org", kind="p256")
GATEWAY = pki.person(MIDDLE, "gateway@example.org", kind="p256")
STORED = pki.person(MIDDLE, "partner@example.org", kind="p256", label="stored")


def declare(store: Store, owner: pki.Identity, mailbox: Mailbox | None = None) -> None:
    one = DeclaredPartner(
        owner.certificate, owner.chain, mailbox, PARTNER.domain, Path("/etc/partner.pem")
    )
    before = store.declared.current.partners.certificates
    store.declared.current = Declared(partners=DeclaredPartners((*before, one)))


def test_both_are_listed_and_the_settings_are_named(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, [STORED.certificate])
    declare(store, SOMEONE, PARTNER)
    declare(store, GATEWAY)
    found = {one.certificate: one for one in partner_holdings.listing(store)}
    assert {one: said.decided_by for one, said in found.items()} == {
        STORED.certificate: "admin",
        SOMEONE.certificate: "settings",
        GATEWAY.certificate: "settings",
    }
    assert found[SOMEONE.certificate].addresses == (PARTNER,)
    assert len(partner_holdings.listing(store, PARTNER)) == 3
    assert partner_holdings.listing(store, BOB) == ()
    (of_domain,) = partner_holdings.listing_of_domain(store, "Example.org")
    assert of_domain.domains == ("example.org",)


def test_one_is_found_by_its_fingerprint_and_removed_in_the_settings_only(
    store: Store, act: Act
) -> None:
    declare(store, SOMEONE, PARTNER)
    start = SOMEONE.certificate.fingerprint[:16].upper()
    assert partner_holdings.find(store, start).certificate == SOMEONE.certificate
    with pytest.raises(
        StoreError, match=r"settings, \[partners\] \(/etc/partner\.pem\): change it"
    ):
        partner_holdings.remove(store, act, start)
    for verb in (partner_holdings.find, lambda s, f: partner_holdings.remove(s, act, f)):
        with pytest.raises(StoreError, match="no partner certificate has"):
            verb(store, "00000000")
    partners.import_certificate(store, act, [SOMEONE.certificate])
    assert partner_holdings.remove(store, act, start).decided_by == "admin"


def test_the_mail_path_has_them_pinned_for_whom_they_are_declared(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, [STORED.certificate], pinned=True)
    declare(store, SOMEONE, PARTNER)
    declare(store, GATEWAY)
    with store.reading() as connection:
        snapshot = Snapshot.of(store, connection)
    personal, stored = snapshot.partner_certificates(PARTNER)
    assert (personal.certificate, personal.pinned, personal.bound_to) == (
        SOMEONE.certificate,
        True,
        (PARTNER,),
    )
    assert stored.certificate == STORED.certificate
    (gateway,) = snapshot.domain_certificates("example.org")
    assert (gateway.certificate, gateway.domains) == (GATEWAY.certificate, ("example.org",))
    assert [one.key for one in snapshot.partner_mailboxes()] == [PARTNER.key]
    assert MIDDLE.certificate in snapshot.intermediates()
    pins = snapshot.anchors().pinned
    assert [PARTNER.key in (pins[one.certificate] or ()) for one in (SOMEONE, GATEWAY, STORED)] == [
        True,
        False,
        True,
    ]
    assert "other@example.org" not in (pins[SOMEONE.certificate] or ())
    assert set(pins) == {SOMEONE.certificate, GATEWAY.certificate, STORED.certificate}
    assert len(pins) == 3
    name, serial = SOMEONE.certificate.x509().issuer.public_bytes(), SOMEONE.certificate.serial
    assert snapshot.known_certificates(name, serial) == (SOMEONE.der,)


def test_a_certificate_pinned_in_both_counts_for_whom_either_says(store: Store, act: Act) -> None:
    partners.import_certificate(store, act, [SOMEONE.certificate], pinned=True)
    declare(store, SOMEONE, BOB)
    with store.reading() as connection:
        pins = Snapshot.of(store, connection).anchors().pinned
    keys = pins[SOMEONE.certificate] or ()
    assert [key in keys for key in (BOB.key, PARTNER.key, "nobody@example.org")] == [
        True,
        True,
        False,
    ]
    assert (len(pins), list(pins)) == (1, [SOMEONE.certificate])
