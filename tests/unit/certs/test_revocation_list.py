"""Lists are read once and looked up by issuer and serial number; RFC 5280 5."""

import gc
import tracemalloc

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.revocation_list import Crl
from tests import pki

from .answers import DAY, NOW, crl, crl_der, crl_of_day

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other root", kind="p256")
ALICE = pki.person(ROOT, "alice@example.test", kind="p256")
BOB = pki.person(ROOT, "bob@example.test", kind="p256")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def test_a_list_says_what_it_is() -> None:
    read = crl(ROOT, ALICE, number=12)
    assert read.issuer_key == ROOT.certificate.subject_key
    assert (read.this_update, read.next_update) == (NOW - DAY, NOW + DAY)
    assert (read.number, read.base, read.scope, read.problem, len(read)) == (12, None, None, "", 1)


def test_who_is_named_is_found_with_day_and_reason() -> None:
    read = crl(ROOT, ALICE)
    entry = read.entry(ALICE.certificate)
    assert entry is not None
    assert (entry.at, entry.reason) == (NOW - DAY, "keyCompromise")
    assert read.entry(BOB.certificate) is None
    bare = crl(ROOT, ALICE, reason=None).entry(ALICE.certificate)
    assert bare is not None
    assert bare.reason == "unspecified"


@pytest.mark.parametrize("serial", [1, 127, 128, 255, 256, 2**63, 2**158])
def test_serial_numbers_of_any_length_are_found(serial: int) -> None:
    """PKITS 4.4.14 to 4.4.18."""
    person = pki.person(ROOT, "c@example.test", kind="p256", serial=serial)
    assert crl(ROOT, ALICE, person, BOB).entry(person.certificate) is not None
    assert crl(ROOT, ALICE, BOB).entry(person.certificate) is None


def test_the_same_serial_number_of_another_issuer_is_another_certificate() -> None:
    twin = pki.person(OTHER, "t@example.test", kind="p256", serial=ALICE.certificate.serial)
    assert crl(ROOT, ALICE).entry(twin.certificate) is None


def test_an_indirect_list_names_certificates_of_others() -> None:
    """RFC 5280 5.3.3: an entry is of the issuer named last."""
    indirect = x509.IssuingDistributionPoint(
        None, None, False, False, None, indirect_crl=True, only_contains_attribute_certs=False
    )
    named = x509.CertificateIssuer([x509.DirectoryName(OTHER.certificate.x509().subject)])
    twin = pki.person(OTHER, "t@example.test", kind="p256", serial=ALICE.certificate.serial)
    read = crl(ROOT, ALICE, extra=[(indirect, True)], entry_extra=[(named, True)])
    assert read.is_indirect
    assert read.problem == ""
    assert read.entry(ALICE.certificate) is None
    assert read.entry(twin.certificate) is not None


@pytest.mark.parametrize("where", ["extra", "entry_extra"])
def test_what_is_critical_and_not_understood_makes_a_list_unusable(where: str) -> None:
    """RFC 5280 5.2 and 5.3."""
    assert "unknown critical" in crl(ROOT, ALICE, **{where: [(UNKNOWN, True)]}).problem
    assert crl(ROOT, ALICE, **{where: [(UNKNOWN, False)]}).problem == ""


def test_a_signature_holds_for_the_key_that_made_it_alone() -> None:
    read = crl(ROOT, ALICE)
    assert read.signed_by(ROOT.certificate)
    assert not read.signed_by(OTHER.certificate)
    assert not read.signed_by(ALICE.certificate)


@pytest.mark.parametrize("kind", ["rsa", "p384", "ed25519"])
def test_lists_of_every_kind_of_key_verify(kind: str) -> None:
    root = pki.root("Kind " + kind, kind=kind)
    assert crl(root).signed_by(root.certificate)


def test_any_flipped_octet_is_unreadable_or_unsigned() -> None:
    der = crl_der(ROOT, ALICE, BOB)
    for at in range(0, len(der), 5):
        flipped = bytearray(der)
        flipped[at] ^= 1
        try:
            read = Crl.from_der(bytes(flipped))
        except CertificateError:
            continue
        assert not read.signed_by(ROOT.certificate), at


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"\x30\x80\x00\x00", b"x" * 100])
def test_what_is_no_list_is_refused(der: bytes) -> None:
    with pytest.raises(CertificateError, match="not a readable revocation list"):
        Crl.from_der(der)
    with pytest.raises(CertificateError):
        Crl.from_der(crl_der(ROOT, ALICE)[:-30])


def test_days_of_either_form_are_read() -> None:
    """RFC 5280 5.1.2.6: from 2050 on they are GeneralizedTime."""
    late = NOW.replace(year=2051)
    entry = crl(ROOT, ALICE, at=late).entry(ALICE.certificate)
    assert entry is not None
    assert entry.at == late


@pytest.mark.parametrize(
    ("day", "year"),
    [
        (b"\x17\x0d500101000000Z", 1950),
        (b"\x17\x0d680101000000Z", 1968),
        (b"\x17\x0d491231235959Z", 2049),
        (b"\x18\x0f19500101000000Z", 1950),
        (b"\x18\x0f00000101000000Z", 1),
    ],
)
def test_days_are_of_the_century_that_is_meant(day: bytes, year: int) -> None:
    """RFC 5280 4.1.2.5.1; a year Python has no date for is long ago, and no fault."""
    entry = crl_of_day(ROOT, ALICE, day).entry(ALICE.certificate)
    assert entry is not None
    assert entry.at.year == year


def test_an_entry_takes_less_than_its_size_once_more() -> None:
    """Twenty thousand entries in place of two hundred thousand; both are linear."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ROOT.certificate.x509().subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
    )
    for serial in range(2**100, 2**100 + 20_000):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        builder = builder.add_revoked_certificate(entry.build())
    der = builder.sign(ROOT.key, hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]  # EC
    gc.collect()
    tracemalloc.start()
    try:
        read = Crl.from_der(der)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(read) == 20_000
    assert kept < len(der)  # beside the octets themselves
