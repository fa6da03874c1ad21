"""Path building within a budget (RFC 4158, RFC 5280 6.1); row E82."""

from smime_proxy.certs.building import MAX_PATH, PathSearch
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import MAX_SIGNATURE_CHECKS, Issuers
from tests import pki

ROOT = pki.root(kind="p256")
ISSUING = pki.intermediate(ROOT, kind="p256")
ALICE = pki.person(ISSUING, "alice@example.test", kind="p256")


def chains(
    leaf: pki.Identity, pool: list[Certificate], *anchors: pki.Identity
) -> tuple[list[tuple[Certificate, ...]], PathSearch]:
    search = PathSearch(Issuers.of([anchor.certificate for anchor in anchors]))
    return list(search.paths(leaf.certificate, Issuers.of(pool))), search


def test_a_plain_chain_is_found() -> None:
    found, search = chains(ALICE, [ISSUING.certificate], ROOT)
    assert found == [(ALICE.certificate, ISSUING.certificate, ROOT.certificate)]
    assert search.obstacles == []


def test_an_intermediate_may_be_the_anchor() -> None:
    found, _ = chains(ALICE, [], ISSUING)
    assert found == [(ALICE.certificate, ISSUING.certificate)]


def test_a_missing_issuer_is_named() -> None:
    found, search = chains(ALICE, [], ROOT)
    assert found == []
    (obstacle,) = search.obstacles
    assert obstacle.startswith("issuer certificate missing: CN=Test Issuing CA; ")
    assert "cert import" in obstacle
    assert "trust add" in obstacle


def test_the_key_identifier_is_tried_first_but_is_only_a_hint() -> None:
    """E51: two issuers of one name; the right one is found with one signature check."""
    impostors = [
        pki.intermediate(ROOT, label=f"impostor {number}", kind="p256").certificate
        for number in range(3)
    ]
    search = PathSearch(Issuers.of([ROOT.certificate]))
    first = next(search.paths(ALICE.certificate, Issuers.of([*impostors, ISSUING.certificate])))
    assert first[1] == ISSUING.certificate
    assert search.effort.left == MAX_SIGNATURE_CHECKS - 2
    unmarked = pki.certify(
        ISSUING, name="a@x.y", mailboxes=["a@x.y"], kind="p256", identifiers=False
    )
    found, _ = chains(unmarked, [*impostors, ISSUING.certificate], ROOT)
    assert [path[1] for path in found] == [ISSUING.certificate]


def test_cross_certificates_give_two_ways() -> None:
    other = pki.root("Other Root", kind="p256")
    cross = pki.intermediate(other, kind="p256")  # same name and key, another issuer
    found, _ = chains(ALICE, [ISSUING.certificate, cross.certificate], ROOT, other)
    assert {path[-1] for path in found} == {ROOT.certificate, other.certificate}


def test_authorities_that_certify_each_other_end_the_search() -> None:
    """E82: `circular.eml` of BouncyCastle."""
    one = pki.root("One", kind="p256")
    two = pki.root("Two", kind="p256")
    one_by_two = pki.intermediate(two, "One", kind="p256")
    two_by_one = pki.intermediate(one, "Two", kind="p256")
    leaf = pki.person(one, "a@x.y", kind="p256")
    found, search = chains(leaf, [one_by_two.certificate, two_by_one.certificate], ROOT)
    assert found == []
    assert search.obstacles


def test_a_self_signed_certificate_in_the_pool_leads_nowhere() -> None:
    """E04: only a configured anchor ends a path."""
    found, search = chains(ALICE, [ISSUING.certificate, ROOT.certificate])
    assert found == []
    assert search.obstacles == ["no trusted issuer CN=Test Root"]


def long_chain(length: int) -> tuple[pki.Identity, list[Certificate]]:
    issuer, pool = ROOT, []
    for number in range(length - 2):
        issuer = pki.intermediate(issuer, f"CA {number}", kind="p256")
        pool.append(issuer.certificate)
    return pki.person(issuer, "a@x.y", kind="p256"), pool


def test_the_length_of_a_path_is_bounded() -> None:
    found, _ = chains(*long_chain(MAX_PATH), ROOT)
    assert [len(path) for path in found] == [MAX_PATH]
    found, search = chains(*long_chain(MAX_PATH + 1), ROOT)
    assert found == []
    assert search.obstacles == [f"a chain of more than {MAX_PATH} certificates"]


def test_a_bag_of_same_named_issuers_costs_a_bounded_number_of_checks() -> None:
    """E82: x509-limbo's pathological chains; libraries hang on 100 of them."""
    bag = [
        pki.certify(
            ROOT,
            name="Test Issuing CA",
            label=f"bag {number % 5}",
            kind="p256",
            ca=True,
            usage=("key_cert_sign",),
            subject=ISSUING.certificate.x509().subject,
        ).certificate
        for number in range(100)
    ]
    search = PathSearch(Issuers.of([ROOT.certificate]))
    found = list(search.paths(ALICE.certificate, Issuers.of(bag)))
    assert found == []
    assert len(search.obstacles) <= MAX_SIGNATURE_CHECKS + 1


def test_a_mesh_of_authorities_costs_a_bounded_number_of_checks() -> None:
    """E82: every authority certified by every other gives factorially many ways."""
    names = [f"Mesh {number}" for number in range(7)]
    roots = {name: pki.root(name, kind="p256") for name in names}
    mesh = [
        pki.intermediate(roots[issuer], name, kind="p256").certificate
        for issuer in names
        for name in names
        if issuer != name
    ]
    leaf = pki.person(roots["Mesh 0"], "a@x.y", kind="p256")
    search = PathSearch(Issuers.of([ROOT.certificate]))
    assert list(search.paths(leaf.certificate, Issuers.of(mesh))) == []
    assert search.effort.left == 0


def test_only_an_anchor_may_be_of_version_1() -> None:
    """It has no extensions to say that it is an authority's; somebody decided that it is."""
    old = Certificate.from_der(pki.of_version_1(ISSUING.der))
    search = PathSearch(Issuers.of([old]))
    assert list(search.paths(ALICE.certificate, Issuers())) == [(ALICE.certificate, old)]
    search = PathSearch(Issuers.of([ROOT.certificate]))
    assert list(search.paths(ALICE.certificate, Issuers.of([old]))) == []
    assert search.obstacles == ["CN=Test Issuing CA: may not issue certificates for mail"]


def test_weak_and_unfit_issuers_are_passed_with_a_reason() -> None:
    weak = pki.intermediate(ROOT, "Weak", kind="rsa1024")
    unfit = pki.intermediate(ROOT, "Unfit", kind="p256", ca=False)
    for issuer, reason in ((weak, "RSA key of 1024 bits"), (unfit, "may not issue")):
        leaf = pki.person(issuer, "a@x.y", kind="p256")
        found, search = chains(leaf, [issuer.certificate], ROOT)
        assert found == []
        assert reason in search.obstacles[0]
