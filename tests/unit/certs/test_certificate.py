"""Certificates as values (RFC 5280 4, RFC 8550 3); rows E05, E50, E73, E74, E76, E77, M18."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.certificate import (
    MAX_CERTIFICATE_OCTETS,
    Certificate,
    Validity,
    read_certificates,
)
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.pem import MAX_FILE_OCTETS
from tests import pki
from tests.peers import corpora

ROOT = pki.root()
ALICE = pki.person(ROOT, "alice@example.test", "Alice@example.org")


def test_a_certificate_says_what_is_in_it() -> None:
    alice = ALICE.certificate
    assert alice.subject == "CN=alice@example.test"
    assert alice.issuer == "CN=Test Root"
    assert alice.issuer_key == ROOT.certificate.subject_key != alice.subject_key
    assert alice.aki == ROOT.certificate.ski != alice.ski
    assert (alice.version, alice.key_type, alice.key_size, alice.curve) == (3, "rsa", 2048, "")
    assert (alice.not_before, alice.not_after) == (pki.NOT_BEFORE, pki.NOT_AFTER)
    assert (alice.signature_digest, alice.weak, alice.weak_key) == ("sha256", "", "")
    assert (alice.may_sign, alice.may_encrypt, alice.may_issue, alice.is_ca) == (
        True,
        True,
        False,
        False,
    )
    assert alice.defects == ()
    assert alice.serial == alice.x509().serial_number
    assert alice.public_key() == ALICE.key.public_key()


def test_a_root_says_that_it_is_one() -> None:
    assert ROOT.certificate.is_self_signed
    assert ROOT.certificate.is_ca
    assert ROOT.certificate.may_issue
    assert not ROOT.certificate.may_sign
    assert not ALICE.certificate.is_self_signed


def test_self_issued_with_another_key_is_not_self_signed() -> None:
    newer = pki.certify(ROOT, name="Test Root", label="newer root key", ca=True)
    assert newer.certificate.subject_key == newer.certificate.issuer_key
    assert not newer.certificate.is_self_signed


def test_equality_is_the_fingerprint() -> None:
    again = Certificate.from_der(ALICE.der)
    assert again is not ALICE.certificate
    assert again == ALICE.certificate
    assert hash(again) == hash(ALICE.certificate)
    assert again != ROOT.certificate
    assert ALICE.certificate.fingerprint == ALICE.certificate.fingerprint.lower()
    assert len(ALICE.certificate.fingerprint) == 64


def test_every_address_counts_and_compares_folded() -> None:
    """E74, E77."""
    assert ALICE.certificate.carries(parse_mailbox("ALICE@Example.TEST"))
    assert ALICE.certificate.carries(parse_mailbox("alice@example.org"))
    assert not ALICE.certificate.carries(parse_mailbox("alice+tag@example.test"))


@pytest.mark.parametrize(
    "bad", ["alice@example.test ", " alice@example.test", "alice@example.test\x00", "a\n@x.y", ""]
)
def test_a_malformed_address_is_a_defect_and_never_an_identity(bad: str) -> None:
    """E05: nothing is stripped."""
    name = x509.RFC822Name._init_without_validation(bad)
    made = pki.certify(ROOT, name="bad", label="shared", raw_names=[name]).certificate
    assert made.mailboxes == ()
    assert not made.carries(parse_mailbox("alice@example.test"))
    assert len(made.defects) == 1


def test_an_address_in_the_subject_counts_only_on_request_and_alone() -> None:
    """E73: legacy, and never beside a subjectAltName mailbox."""
    legacy = pki.certify(ROOT, name="legacy", label="shared", dn_address="old@x.y").certificate
    old = parse_mailbox("old@x.y")
    assert legacy.mailboxes == ()
    assert legacy.dn_mailboxes == (old,)
    assert not legacy.carries(old)
    assert legacy.carries(old, dn_address=True)
    both = pki.person(ROOT, "new@x.y", label="shared", dn_address="old@x.y").certificate
    assert not both.carries(old, dn_address=True)
    assert both.identities(dn_address=True) == (parse_mailbox("new@x.y"),)


def test_seen_by_the_subjects_address_it_is_another_mailbox_and_the_same_certificate() -> None:
    """E73: and whoever has any other address, a bad one too, is not seen so."""
    old = parse_mailbox("old@x.y")
    legacy = pki.certify(ROOT, name="legacy", label="shared", dn_address="old@x.y").certificate
    assert legacy.with_subject_address().mailboxes == (old,)
    assert legacy.with_subject_address() == legacy
    bad = [x509.RFC822Name("new@x.y ")]
    for declared in ({"mailboxes": ["new@x.y"]}, {"raw_names": bad}):
        made = pki.certify(ROOT, label="shared", dn_address="old@x.y", **declared).certificate
        assert not made.with_subject_address().carries(old)
    named = pki.certify(ROOT, name="old@x.y", label="shared").certificate
    assert named.with_subject_address().mailboxes == ()


def test_the_common_name_is_never_an_identity() -> None:
    """E73."""
    named = pki.certify(ROOT, name="alice@example.test", label="shared").certificate
    assert named.identities(dn_address=True) == ()


def test_internationalised_addresses_compare_by_a_labels() -> None:
    """E76."""
    made = pki.person(ROOT, "müller@exämple.test", label="shared").certificate
    assert made.carries(parse_mailbox("müller@xn--exmple-cua.test"))


def test_dates_include_both_ends() -> None:
    alice = ALICE.certificate
    second = timedelta(seconds=1)
    assert alice.valid_at(alice.not_before) is Validity.VALID
    assert alice.valid_at(alice.not_after) is Validity.VALID
    assert alice.valid_at(alice.not_before - second) is Validity.NOT_YET_VALID
    assert alice.valid_at(alice.not_after + second) is Validity.EXPIRED
    assert alice.not_after.tzinfo is UTC


@pytest.mark.parametrize(
    ("declared", "weak", "weak_key"),
    [
        ({"kind": "rsa1024"}, "RSA key of 1024 bits, under 2048", True),
        ({"weak_digest": "sha1"}, "signed with sha1", False),
        ({"weak_digest": "md5"}, "signed with md5", False),
    ],
)
def test_weak_keys_and_signatures_are_named(
    declared: dict[str, object], weak: str, weak_key: bool
) -> None:
    """E79."""
    made = pki.person(ROOT, "w@x.y", **declared).certificate
    assert made.weak == weak
    assert bool(made.weak_key) is weak_key


def test_a_self_signed_certificate_is_not_weak_by_its_own_signature() -> None:
    assert pki.root("old root", weak_digest="sha1").certificate.weak == ""


def test_unreadable_extensions_leave_a_certificate_that_may_do_nothing() -> None:
    """M18: one bad certificate must not lose the message."""
    der = ALICE.der.replace(bytes.fromhex("0603551d0f0101ff"), bytes.fromhex("0603551d110101ff"))
    twice = Certificate.from_der(der)  # the key usage became a second subjectAltName
    assert (twice.may_sign, twice.may_encrypt, twice.may_issue) == (False, False, False)
    assert twice.mailboxes == ()
    assert "extensions unreadable" in twice.defects[0]
    assert twice.serial == ALICE.certificate.serial


def test_an_unknown_key_type_is_a_defect() -> None:
    ec = pki.person(ROOT, "e@x.y", kind="p256")
    unknown = Certificate.from_der(
        ec.der.replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
    )
    assert unknown.key_type == "unknown"
    assert "public key unreadable" in unknown.defects[0]
    with pytest.raises(CertificateError):
        unknown.public_key()


@pytest.mark.parametrize("der", [b"", b"\x30\x00", ALICE.der[:-1], ALICE.der + b"\x00", b"text"])
def test_what_is_no_certificate_raises_only_our_error(der: bytes) -> None:
    with pytest.raises(CertificateError):
        Certificate.from_der(der)


def test_an_oversized_certificate_is_refused() -> None:
    with pytest.raises(CertificateError, match="octets"):
        Certificate.from_der(bytes(MAX_CERTIFICATE_OCTETS + 1))


@given(st.integers(0, len(ALICE.der) - 1), st.integers(0, 255))
def test_a_changed_octet_gives_another_certificate_or_our_error(at: int, octet: int) -> None:
    der = ALICE.der[:at] + bytes([octet]) + ALICE.der[at + 1 :]
    try:
        changed = Certificate.from_der(der)
    except CertificateError:
        return
    assert (changed == ALICE.certificate) is (der == ALICE.der)


def test_files_hold_one_or_several_certificates() -> None:
    both = (ALICE.certificate, ROOT.certificate)
    assert read_certificates(ALICE.der) == (ALICE.certificate,)
    assert read_certificates(b"Bag Attributes\n" + ALICE.pem() + ROOT.pem()) == both
    assert read_certificates(ALICE.pem() + ALICE.pem()) == (ALICE.certificate,)
    x509s = [c.x509() for c in both]
    for encoding in (Encoding.PEM, Encoding.DER):
        raw = pkcs7.serialize_certificates(x509s, encoding)
        assert set(read_certificates(raw)) == set(both)


def test_a_private_key_beside_a_certificate_is_skipped() -> None:
    assert read_certificates(ALICE.key_pem() + ALICE.pem()) == (ALICE.certificate,)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "neither PEM nor DER"),
        (b"hello", "neither PEM nor DER"),
        (b"-----BEGIN CERTIFICATE-----\n", "no certificate"),
        (ALICE.key_pem(), "no certificate"),
        (bytes.fromhex("300b06092a864886f70d010702"), "PKCS #7 file is malformed"),
        (ALICE.pem() + b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "2 of the"),
        (bytes(MAX_FILE_OCTETS + 1), "larger than"),
    ],
)
def test_a_bad_file_is_one_clear_line(raw: bytes, message: str) -> None:
    with pytest.raises(CertificateError, match=message) as caught:
        read_certificates(raw)
    assert "\n" not in str(caught.value)


@pytest.mark.corpora
@pytest.mark.filterwarnings("ignore")  # the library complains of old serial numbers and lengths
def test_strangers_certificates_load_or_raise_only_our_error() -> None:
    """M18: of real certificates a tenth raises somewhere in the library."""
    read = refused = defective = 0
    for path in sorted(corpora("certificates").rglob("*")) + sorted(corpora("smime").rglob("*")):
        if path.suffix not in {".crt", ".cer", ".pem", ".der", ".p7b", ".p7c"}:
            continue
        try:
            found = read_certificates(path.read_bytes())
        except CertificateError:
            refused += 1
            continue
        read += len(found)
        defective += sum(bool(certificate.defects) for certificate in found)
        for certificate in found:
            assert certificate.valid_at(datetime(2026, 1, 1, tzinfo=UTC)) in Validity
    print(f"{read} certificates read, {defective} with defects; {refused} files refused")
    assert read > 900


def test_a_key_file_is_told_from_a_certificate() -> None:
    """An administrator who gives a PKCS #12 file where a certificate belongs reads so."""
    raw = pki.person(None, "alice@example.test").pkcs12()
    with pytest.raises(CertificateError, match="holds a private key"):
        read_certificates(raw)
