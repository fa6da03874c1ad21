"""The built-in authority (RFC 5280 4, RFC 8550 4.4, RFC 9598 3)."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.authority import (
    CLOCK_SKEW,
    Issuer,
    KeyUses,
    PublicKey,
    PublishedAt,
    create_authority,
    create_issuing,
    general_name,
    issue,
    may_certify_authorities,
    permitted_domains,
    write_pkcs12,
)
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.extensions import SMTP_UTF8_MAILBOX
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pkcs12 import read_key_file
from tests import pki

ALICE = parse_mailbox("alice@example.test")
ROOT_KEY = pki.rsa_key("authority")
ROOT = create_authority("Example mail CA", pki.NOW, 10, ROOT_KEY, serial=7)


def issued(
    public_key: PublicKey | None = None,
    *,
    uses: KeyUses = KeyUses.BOTH,
    published: PublishedAt | None = None,
    address: str = ALICE.text,
) -> Certificate:
    return issue(
        Issuer(ROOT, ROOT_KEY, published),
        parse_mailbox(address),
        public_key or pki.rsa_key("alice").public_key(),
        pki.NOW,
        365,
        uses=uses,
        serial=0x1234,
    )


def trusted(certificate: Certificate, purpose: Purpose) -> ChainStatus:
    return validate(certificate, (), [Anchor(ROOT)], pki.NOW, purpose=purpose).status


def test_the_root_stands_above_issuing_authorities() -> None:
    assert ROOT.subject == "CN=Example mail CA"
    assert ROOT.is_self_signed
    assert ROOT.may_issue
    assert ROOT.ski is not None
    assert (ROOT.serial, ROOT.weak) == (7, "")
    assert ROOT.not_before == pki.NOW - CLOCK_SKEW
    assert ROOT.not_after == pki.NOW + timedelta(days=3650)
    constraints = ROOT.x509().extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.path_length == 1


def test_an_issued_certificate_signs_and_encrypts_for_its_mailbox() -> None:
    alice = issued()
    assert alice.mailboxes == (ALICE,)
    assert (alice.serial, alice.is_ca, alice.aki) == (0x1234, False, ROOT.ski)
    assert (alice.may_sign, alice.may_encrypt, alice.may_issue) == (True, True, False)
    assert alice.not_before <= pki.NOW
    assert alice.not_after == pki.NOW + timedelta(days=365)
    assert trusted(alice, Purpose.SIGN) is trusted(alice, Purpose.ENCRYPT) is ChainStatus.TRUSTED
    purposes = alice.x509().extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [pki.EMAIL]


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_signing_only_certificates_are_not_fit_to_encrypt_to(kind: str) -> None:
    key = pki.key(kind, "alice").public_key()
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    team = issued(key, uses=KeyUses.SIGNING)
    assert (team.may_sign, team.may_encrypt) == (True, False)
    both = issued(key)
    assert (both.may_sign, both.may_encrypt) == (True, True)
    other = issued(key, uses=KeyUses.ENCRYPTION)
    assert (other.may_sign, other.may_encrypt) == (False, True)


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_an_authority_may_have_an_elliptic_key(kind: str) -> None:
    key = pki.key(kind, "authority")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    root = create_authority("EC", pki.NOW, 1, key, serial=1)
    public = pki.rsa_key("alice").public_key()
    alice = issue(Issuer(root, key), ALICE, public, pki.NOW, 30, serial=2)
    result = validate(alice, (), [Anchor(root)], pki.NOW, purpose=Purpose.SIGN)
    assert result.status is ChainStatus.TRUSTED


def test_a_certificate_never_outlives_the_authority() -> None:
    public = pki.rsa_key("alice").public_key()
    made = issue(Issuer(ROOT, ROOT_KEY), ALICE, public, pki.NOW, 9999, serial=3)
    assert made.not_after == ROOT.not_after
    with pytest.raises(CertificateError, match="has expired"):
        issue(Issuer(ROOT, ROOT_KEY), ALICE, public, ROOT.not_after, 1, serial=3)


@pytest.mark.parametrize(
    "address",
    ["müller@example.test", "ü" * 31 + "@" + "a" * 60 + ".example.test", "a@exämple.test"],
)
def test_international_mailboxes_are_carried(address: str) -> None:
    """E76: SmtpUTF8Mailbox only where the local part needs it."""
    mailbox = parse_mailbox(address)
    name = general_name(mailbox)
    assert isinstance(name, x509.RFC822Name) is mailbox.local.isascii()
    if isinstance(name, x509.OtherName):
        assert name.type_id == SMTP_UTF8_MAILBOX
    made = issued(address=address)
    assert made.carries(mailbox)
    assert made.defects == ()


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_a_serial_number_out_of_range_is_refused(serial: int) -> None:
    with pytest.raises(CertificateError, match="serial number"):
        create_authority("x", pki.NOW, 1, ROOT_KEY, serial=serial)


def test_an_authority_needs_a_name_and_an_identifier() -> None:
    with pytest.raises(CertificateError, match="name"):
        create_authority("", pki.NOW, 1, ROOT_KEY, serial=1)
    bare = pki.root("bare", identifiers=False)
    public = pki.rsa_key("alice").public_key()
    with pytest.raises(CertificateError, match="subjectKeyIdentifier"):
        issue(Issuer(bare.certificate, ROOT_KEY), ALICE, public, pki.NOW, 1, serial=1)


def test_long_names_are_cut_to_what_the_standard_allows() -> None:
    made = create_authority("x" * 100, pki.NOW, 1, ROOT_KEY, serial=1)
    assert made.subject == "CN=" + "x" * 64


def test_a_key_file_can_be_read_back() -> None:
    alice = issued()
    raw = write_pkcs12(pki.rsa_key("alice"), alice, [ROOT], b"secret")
    bundle = read_key_file(raw, b"secret")
    assert (bundle.certificate, bundle.chain) == (alice, (ROOT,))


def test_a_key_file_without_password_is_refused() -> None:
    with pytest.raises(CertificateError, match="password"):
        write_pkcs12(pki.rsa_key("alice"), issued(), [], b"")


def test_kinds_of_keys_that_fit_no_pkcs12_are_refused() -> None:
    key = pki.key("mldsa44")
    assert isinstance(key, MLDSA44PrivateKey)
    with pytest.raises(CertificateError, match="PEM only"):
        write_pkcs12(key, issued(), [], b"secret")


PUBLISHED = PublishedAt("http://pki.example.test/crl/a.crl", "http://pki.example.test/crl/a.cer")
ISSUING_KEY = pki.rsa_key("issuing authority")


def issuing(*domains: str, root: Certificate = ROOT, at: datetime = pki.NOW) -> Certificate:
    public = ISSUING_KEY.public_key()
    above = Issuer(root, ROOT_KEY, PUBLISHED)
    return create_issuing(above, "Issuing", public, at, serial=8, domains=domains)


def by_issuing(issuer: Certificate, address: str) -> Certificate:
    public = pki.rsa_key("alice").public_key()
    mailbox = parse_mailbox(address)
    return issue(Issuer(issuer, ISSUING_KEY), mailbox, public, pki.NOW, 30, serial=9)


def test_an_issuing_authority_issues_end_entities_for_mail_only() -> None:
    middle = issuing()
    assert may_certify_authorities(ROOT)
    assert not may_certify_authorities(middle)
    assert middle.not_after == ROOT.not_after
    assert (middle.aki, middle.may_issue, middle.weak) == (ROOT.ski, True, "")
    extensions = middle.x509().extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [pki.EMAIL]
    alice = by_issuing(middle, "alice@example.test")
    result = validate(alice, [middle], [Anchor(ROOT)], pki.NOW, purpose=Purpose.SIGN)
    assert result.status is ChainStatus.TRUSTED
    assert result.path == (alice, middle, ROOT)
    with pytest.raises(CertificateError, match="has expired"):
        issuing(at=ROOT.not_after)


def test_an_issuing_authority_may_be_limited_to_domains() -> None:
    middle = issuing("example.test", "xn--bcher-kva.test")
    assert permitted_domains(middle) == ("example.test", "xn--bcher-kva.test")
    assert permitted_domains(issuing()) == permitted_domains(ROOT) == ()
    for address in ("alice@Example.test", "alice@bücher.test"):
        made = by_issuing(middle, address)
        result = validate(made, [middle], [Anchor(ROOT)], pki.NOW, purpose=Purpose.SIGN)
        assert result.status is ChainStatus.TRUSTED
    for address in ("alice@sub.example.test", "alice@example.org", "ä@example.test"):
        with pytest.raises(CertificateError, match=r"limited to plain .* example.test, x"):
            by_issuing(middle, address)


def test_a_certificate_says_where_its_issuers_crl_and_certificate_are() -> None:
    for made in (issued(published=PUBLISHED), issuing()):
        extensions = made.x509().extensions
        (point,) = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert point.full_name == [x509.UniformResourceIdentifier(PUBLISHED.crl)]
        (access,) = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        assert access.access_location.value == PUBLISHED.certificate
    bare = {extension.oid for extension in issued().x509().extensions}
    assert x509.CRLDistributionPoints.oid not in bare
