"""Judging one path (RFC 5280 6.1, RFC 8550 4.4, RFC 9598 6); rows E79, E82, M19."""

from datetime import UTC, datetime

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.engine import objection, window
from tests import pki

ROOT = pki.root(kind="p256")
UNKNOWN_CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
ONLY_TEST = x509.NameConstraints([x509.RFC822Name("example.test")], None)
ONLY_DIRECTORY = x509.NameConstraints([x509.DirectoryName(x509.Name([]))], None)


def way(leaf: pki.Identity, *issuers: pki.Identity) -> tuple[Certificate, ...]:
    return (leaf.certificate, *(issuer.certificate for issuer in issuers))


def below(issuer: pki.Identity, *mailboxes: str, **declared: object) -> pki.Identity:
    return pki.person(issuer, *mailboxes or ("a@example.test",), **{"kind": "p256", **declared})


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
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
        ({"ca": False}, "may not issue"),
        ({"basic_constraints": False}, "may not issue"),
        ({"usage": ("digital_signature",)}, "may not issue"),
        ({"eku": (pki.TLS_CLIENT,)}, "may not issue"),
        ({"extra": [UNKNOWN_CRITICAL]}, "critical"),
        ({"kind": "ed25519"}, "keys of type ed25519 are not supported"),
        ({"kind": "brainpool"}, "keys of type brainpoolP256r1 are not supported"),
        ({"name_constraints": ONLY_DIRECTORY}, "directoryName"),
    ],
)
def test_bad_issuers_are_refused(declared: dict[str, object], reason: str) -> None:
    """E82: what the engine cannot judge fails closed."""
    issuing = pki.intermediate(ROOT, "Odd", **{"kind": "p256", **declared})
    assert reason in objection(way(below(issuing), issuing, ROOT))


def test_the_path_length_is_enforced() -> None:
    """E82."""
    last = pki.intermediate(ROOT, "Last", kind="p256", path_length=0)
    further = pki.intermediate(last, "Further", kind="p256")
    assert objection(way(below(last), last, ROOT)) == ""
    assert "path length" in objection(way(below(further), further, last, ROOT))


def test_a_version_1_anchor_is_refused() -> None:
    """It has no extensions that say it is an authority."""
    parsed = asn1_x509.Certificate.load(ROOT.der)
    parsed["tbs_certificate"]["version"] = "v1"
    parsed["tbs_certificate"]["extensions"] = None
    version_1 = Certificate.from_der(bytes(parsed.dump(force=True)))
    assert version_1.version == 1
    leaf = below(ROOT).certificate
    assert "version 1" in objection((leaf, version_1))


def test_name_constraints_hold_for_mail_names() -> None:
    """E82: RFC 5280 4.2.1.10."""
    issuing = pki.intermediate(ROOT, "Constrained", kind="p256", name_constraints=ONLY_TEST)
    assert objection(way(below(issuing, "a@example.test"), issuing, ROOT)) == ""
    assert objection(way(below(issuing, "a@evil.test"), issuing, ROOT))
    assert objection(way(below(issuing, "a@example.test", "a@evil.test"), issuing, ROOT))


@pytest.mark.parametrize(
    ("mailboxes", "dn_address"), [(("mü@evil.test",), ""), ((), "a@evil.test")]
)
def test_addresses_the_engine_does_not_hold_against_constraints_are_refused(
    mailboxes: tuple[str, ...], dn_address: str
) -> None:
    """E73, E76: RFC 9598 6."""
    issuing = pki.intermediate(ROOT, "Constrained", kind="p256", name_constraints=ONLY_TEST)
    leaf = pki.certify(issuing, name="odd", kind="p256", mailboxes=mailboxes, dn_address=dn_address)
    assert "name constraints over" in objection(way(leaf, issuing, ROOT))
    free = pki.certify(ROOT, name="odd", kind="p256", mailboxes=mailboxes, dn_address=dn_address)
    assert objection(way(free, ROOT)) == ""


def test_a_signature_that_does_not_hold_is_refused() -> None:
    impostor = pki.root(label="impostor", kind="p256")
    assert objection(way(below(ROOT), impostor))


def test_names_that_differ_only_in_form_are_refused_by_the_engine() -> None:
    """The builder compares by value; what the engine will not chain stays untrusted."""
    shouting = pki.certify(
        None, name="TEST ROOT", label="Test Root", kind="p256", ca=True, usage=("key_cert_sign",)
    )
    assert shouting.certificate.subject_key == ROOT.certificate.subject_key
    assert objection(way(below(ROOT), shouting))


def test_the_window_is_the_time_all_are_valid() -> None:
    late = datetime(2030, 1, 1, tzinfo=UTC)
    early = datetime(2025, 1, 1, tzinfo=UTC)
    leaf = below(ROOT, not_before=late).certificate
    assert window((leaf, ROOT.certificate)) == (late, pki.NOT_AFTER)
    gone = pki.intermediate(ROOT, "Gone", kind="p256", not_after=early)
    younger = below(gone, not_before=late)
    assert "never valid at the same time" in objection(way(younger, gone, ROOT))
