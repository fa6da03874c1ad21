"""Judging one path (RFC 5280 6.1, RFC 8550 4.4); rows E79, E82, M19."""

from datetime import UTC, datetime

import pytest
from cryptography import x509

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.processing import process, window
from smime_proxy.certs.profile import Profile
from tests import pki

ROOT = pki.root(kind="p256")
UNKNOWN_CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
ONLY_TEST = x509.NameConstraints([x509.RFC822Name("example.test")], None)


def objection(path: tuple[Certificate, ...]) -> str:
    return process(path).objection


def way(leaf: pki.Identity, *issuers: pki.Identity) -> tuple[Certificate, ...]:
    return (leaf.certificate, *(issuer.certificate for issuer in issuers))


def below(issuer: pki.Identity, *mailboxes: str, **declared: object) -> pki.Identity:
    return pki.person(issuer, *mailboxes or ("a@example.test",), **{"kind": "p256", **declared})


@pytest.mark.parametrize(
    "kind",
    ["rsa", "p256", "p384", "p521", "brainpool", "brainpool512", "ed25519", "ed448", "mldsa65"],
)
def test_a_good_chain_meets_no_objection(kind: str) -> None:
    root = pki.root("Root " + kind, kind=kind)
    issuing = pki.intermediate(root, "Issuing " + kind, kind=kind)
    assert objection(way(below(issuing), issuing, root)) == ""


def test_a_certificate_needs_no_mail_name_to_have_a_good_chain() -> None:
    """E78, M19: identity is a separate fact; web profiles would refuse."""
    leaf = pki.certify(ROOT, name="nobody", kind="p256")
    assert objection(way(leaf, ROOT)) == ""


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"ca": True}, "authority's certificate"),
        ({"kind": "rsa1024"}, "RSA key of 1024 bits"),
        ({"extra": [UNKNOWN_CRITICAL]}, "critical"),
    ],
)
def test_bad_leaves_are_refused(declared: dict[str, object], reason: str) -> None:
    """E79, E82."""
    assert reason in objection(way(below(ROOT, **declared), ROOT))


def test_a_leaf_signed_with_an_old_digest_is_refused() -> None:
    """E79: anybody may have made such a signature."""
    root = pki.root("RSA root")
    assert "signed with sha1" in objection(way(below(root, weak_digest="sha1"), root))


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"ca": False}, "no certificate authority's"),
        ({"basic_constraints": False}, "no certificate authority's"),
        ({"usage": ("digital_signature",)}, "may not issue"),
        ({"eku": (pki.TLS_CLIENT,)}, "may not issue"),
        ({"extra": [UNKNOWN_CRITICAL]}, "critical"),
        ({"kind": "rsa1024"}, "RSA key of 1024 bits"),
    ],
)
def test_bad_issuers_are_refused(declared: dict[str, object], reason: str) -> None:
    """E82."""
    issuing = pki.intermediate(ROOT, "Odd", **{"kind": "p256", **declared})
    assert reason in objection(way(below(issuing), issuing, ROOT))


def test_the_path_length_is_enforced() -> None:
    """E82."""
    last = pki.intermediate(ROOT, "Last", kind="p256", path_length=0)
    further = pki.intermediate(last, "Further", kind="p256")
    assert objection(way(below(last), last, ROOT)) == ""
    assert "path length" in objection(way(below(further), further, last, ROOT))


def test_a_self_issued_authority_does_not_count_for_the_path_length() -> None:
    """RFC 5280 6.1.4 (l): a new key of the same authority makes no path longer."""
    short = pki.intermediate(ROOT, "Short", kind="p256", path_length=0)
    renewed = pki.intermediate(short, "Short", kind="p256", label="Short, new key")
    assert objection(way(below(renewed), renewed, short, ROOT)) == ""


def test_the_path_length_of_the_anchor_is_enforced() -> None:
    """RFC 5937."""
    root = pki.root("Shortest", kind="p256", path_length=0)
    issuing = pki.intermediate(root, "One too many", kind="p256")
    assert objection(way(below(root), root)) == ""
    assert "path length" in objection(way(below(issuing), issuing, root))


def test_an_anchor_may_be_of_version_1_and_nothing_else() -> None:
    """Somebody decided to trust it, and it has no extensions to say what it is in."""
    old = _version_1(ROOT)
    assert objection((below(ROOT).certificate, old)) == ""
    issuing = pki.intermediate(ROOT, "Old", kind="p256")
    told = objection((below(issuing).certificate, _version_1(issuing), ROOT.certificate))
    assert "version 1" in told


def test_an_anchor_that_says_it_is_no_authority_is_none() -> None:
    for declared in ({"ca": False}, {"usage": ("digital_signature",)}, {"eku": (pki.TLS_CLIENT,)}):
        root = pki.root("Odd root", kind="p256", **declared)
        assert "may not issue" in objection(way(below(root), root))


def test_name_constraints_hold_for_all_below() -> None:
    """E82: RFC 5280 4.2.1.10; those of the anchor too (RFC 5937)."""
    issuing = pki.intermediate(ROOT, "Constrained", kind="p256", name_constraints=ONLY_TEST)
    assert objection(way(below(issuing, "a@example.test"), issuing, ROOT)) == ""
    assert "do not permit" in objection(way(below(issuing, "a@evil.test"), issuing, ROOT))
    root = pki.root("Constrained root", kind="p256", name_constraints=ONLY_TEST)
    assert objection(way(below(root, "a@example.test"), root)) == ""
    assert "do not permit" in objection(way(below(root, "a@evil.test"), root))


def test_policies_that_hold_are_told() -> None:
    policies = x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in ("1.2.3", "1.2.4")]
    )
    issuing = pki.intermediate(ROOT, "Policies", kind="p256", extra=[(policies, False)])
    leaf = below(issuing, extra=[(policies, False)])
    path = way(leaf, issuing, ROOT)
    assert process(path).policies == {"1.2.3", "1.2.4"}
    asked = process(path, Profile(policies=frozenset({"1.2.9"}), explicit_policy=True))
    assert "no certificate policy" in asked.objection
    assert process(way(below(issuing), issuing, ROOT)).policies == frozenset()


def test_old_strength_passes_only_where_it_is_asked_for() -> None:
    root = pki.root("Old strength", kind="rsa1024")
    path = way(below(root, kind="rsa1024", weak_digest="sha1"), root)
    assert objection(path)
    assert process(path, Profile(unsafe_weak=True)).objection == ""


def test_a_signature_that_does_not_hold_is_refused() -> None:
    impostor = pki.root(label="impostor", kind="p256")
    assert objection(way(below(ROOT), impostor))


def test_names_that_differ_only_in_form_chain() -> None:
    """RFC 5280 7.1: compared by value."""
    shouting = pki.certify(
        None, name="TEST ROOT", label="Test Root", kind="p256", ca=True, usage=("key_cert_sign",)
    )
    assert objection(way(below(ROOT), shouting)) == ""
    other = pki.certify(
        None, name="Other", label="Test Root", kind="p256", ca=True, usage=("key_cert_sign",)
    )
    assert "another name" in objection(way(below(ROOT), other))


def test_an_authority_without_a_name_is_none() -> None:
    """RFC 5280 4.1.2.6; from x509-limbo."""
    nameless = pki.root("Nameless", kind="p256", subject=x509.Name([]))
    assert "has no name" in objection(way(below(nameless), nameless))


def _version_1(identity: pki.Identity) -> Certificate:
    made = Certificate.from_der(pki.of_version_1(identity.der))
    assert made.version == 1
    return made


def test_the_window_is_the_time_all_are_valid() -> None:
    late = datetime(2030, 1, 1, tzinfo=UTC)
    early = datetime(2025, 1, 1, tzinfo=UTC)
    leaf = below(ROOT, not_before=late).certificate
    assert window((leaf, ROOT.certificate)) == (late, pki.NOT_AFTER)
    gone = pki.intermediate(ROOT, "Gone", kind="p256", not_after=early)
    younger = below(gone, not_before=late)
    assert window(way(younger, gone, ROOT)) == (late, early)
    assert objection(way(younger, gone, ROOT)) == ""  # its dates say it, whenever it is asked for
