"""Trust anchors: authorities only, for everywhere or for domains, as last said."""

from dataclasses import replace
from pathlib import Path

import pytest

from smime_proxy.certs.authority import Issuer, create_authority
from smime_proxy.stores import anchors, authority, partners
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.declared import Declared, DeclaredAnchor, DeclaredAnchors
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import audited

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other Root", kind="p256")
MIDDLE = pki.intermediate(ROOT, kind="p256")
SOMEONE = pki.person(MIDDLE, "partner@example.org", kind="p256")


def test_an_anchor_for_everywhere_comes_with_a_warning(store: Store, act: Act) -> None:
    (added,) = anchors.add(store, act, [ROOT.certificate])
    assert added.is_new
    assert (added.anchor.certificate, added.anchor.scope) == (ROOT.certificate, Scope())
    assert added.anchor.added_at == NOW
    assert ["every domain but our own" in warning for warning in added.warnings] == [True]


def test_an_anchor_for_domains_comes_without(store: Store, act: Act) -> None:
    (added,) = anchors.add(
        store, act, [ROOT.certificate], Scope.of(["Example.ORG", "bücher.example"])
    )
    assert added.anchor.scope.domains == ("example.org", "xn--bcher-kva.example")
    assert added.warnings == ()
    assert anchors.listing(store) == (added.anchor,)


def test_the_same_anchor_again_is_no_error_and_no_change(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope.of(["example.org"]))
    before = audited(store)
    (again,) = anchors.add(store, act, [ROOT.certificate], Scope.of(["EXAMPLE.org"]))
    assert not again.is_new
    assert audited(store) == before


@pytest.mark.parametrize("domains", [(), ("example.com",)])
def test_the_last_word_on_domains_counts(store: Store, act: Act, domains: tuple[str, ...]) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope.of(["example.org"]))
    (added,) = anchors.add(store, act, [ROOT.certificate], Scope.of(domains))
    assert added.is_new
    assert anchors.listing(store)[0].scope.domains == domains


def test_every_authority_of_a_file_is_added(store: Store, act: Act) -> None:
    file = [SOMEONE.certificate, MIDDLE.certificate, ROOT.certificate]
    assert len(anchors.add(store, act, file)) == 2
    assert {a.certificate for a in anchors.listing(store)} == set(file[1:])


def test_a_persons_certificate_is_no_anchor(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="`cert import --trust`"):
        anchors.add(store, act, [SOMEONE.certificate])


def test_what_is_no_domain_is_refused(store: Store, act: Act) -> None:
    with pytest.raises(StoreError, match="--for takes a domain"):
        anchors.add(store, act, [ROOT.certificate], Scope.of(["not a domain"]))
    assert anchors.listing(store) == ()


def test_a_removed_anchor_is_gone_with_its_domains(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope.of(["example.org"]))
    anchors.add(store, act, [OTHER.certificate], Scope.of(["example.com"]))
    removed = anchors.remove(store, act, ROOT.certificate.fingerprint[:12])
    assert removed.certificate == ROOT.certificate
    (left,) = anchors.listing(store)
    assert (left.certificate, left.scope.domains) == (OTHER.certificate, ("example.com",))
    with pytest.raises(StoreError, match="no trust anchor has"):
        anchors.remove(store, act, ROOT.certificate.fingerprint)


def test_an_anchor_that_is_part_of_a_chain_can_be_removed(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate])
    partners.import_certificate(store, act, [SOMEONE.certificate, ROOT.certificate])
    anchors.remove(store, act, ROOT.certificate.fingerprint)
    assert partners.listing(store)[0].chain == (ROOT.certificate,)


def test_an_anchor_speaks_for_our_own_domains_only_when_told_to(store: Store, act: Act) -> None:
    cases = [
        (Scope(), (), ("ours.example",)),
        (Scope(own_domains=True), (), ()),
        (Scope(("example.org",)), ("example.org",), ()),
        (Scope(("example.org",), own_domains=True), ("example.org", "ours.example"), ()),
    ]
    for scope, domains, unless in cases:
        anchors.add(store, act, [ROOT.certificate], scope)
        (stored,) = anchors.listing(store)
        judged = stored.anchor(["ours.example"])
        assert (judged.domains, judged.unless) == (domains, unless)


def test_an_anchor_for_our_own_domains_too_says_so(store: Store, act: Act) -> None:
    (added,) = anchors.add(store, act, [ROOT.certificate], Scope(own_domains=True))
    assert ["our own too" in warning for warning in added.warnings] == [True]
    assert audited(store)[-1] == f"trust add: {ROOT.certificate.fingerprint} own-domains"


def test_the_built_in_authority_goes_on_speaking_for_ourselves(store: Store, act: Act) -> None:
    key = pki.rsa_key("authority")
    made = create_authority("Ours", NOW, 10, key, serial=1)
    authority.init(store, act, Issuer(made, key))
    anchors.add(store, act, [made], Scope(("example.org",)))
    anchors.add(store, act, [made])
    (stored,) = anchors.listing(store)
    assert (stored.scope, stored.source) == (Scope(own_domains=True), "authority")


def test_declared_anchors_are_listed_and_judged_by_and_not_removed_by_command(
    store: Store, act: Act
) -> None:
    anchors.add(store, act, [OTHER.certificate])
    declared = tuple(
        DeclaredAnchor(one.certificate, own, Path("/etc/roots.pem"))
        for one, own in ((ROOT, True), (MIDDLE, False))
    )
    store.declared.current = Declared(trust=DeclaredAnchors(declared))
    listed = {one.certificate: (one.source, one.added_at) for one in anchors.listing(store)}
    assert listed == {
        OTHER.certificate: ("manual", NOW),
        ROOT.certificate: ("settings", None),
        MIDDLE.certificate: ("settings", None),
    }
    own = replace(store, own_domains=frozenset({"example.com"}))
    with own.reading() as connection:
        found = {one.certificate: one.unless for one in Snapshot.of(own, connection).anchors()}
    assert found == {
        OTHER.certificate: ("example.com",),
        ROOT.certificate: (),
        MIDDLE.certificate: ("example.com",),
    }
    with pytest.raises(
        StoreError, match=r"declared in the settings, \[trust\] \(/etc/roots\.pem\)"
    ):
        anchors.remove(store, act, ROOT.certificate.fingerprint[:16].upper())
