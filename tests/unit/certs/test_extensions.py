"""Key usage, purposes and addresses (RFC 8550 4.4, RFC 9598 3); rows E72, E73, E79."""

import pytest
from cryptography import x509

from smime_proxy.certs.extensions import (
    MAX_NAMES,
    SMIME_CAPABILITIES,
    SMTP_UTF8_MAILBOX,
    Extensions,
    read_extensions,
)
from tests import pki


def extensions(**declared: object) -> Extensions:
    made = pki.person(None, "a@example.test", label="shared", **declared)
    return read_extensions(made.certificate.x509().extensions)


@pytest.mark.parametrize(
    ("usage", "signs", "rsa_encrypts", "ec_encrypts"),
    [
        (None, True, True, True),
        (("digital_signature",), True, False, False),
        (("content_commitment",), True, False, False),
        (("key_encipherment",), False, True, False),
        (("key_agreement",), False, False, True),
        (("data_encipherment", "key_cert_sign"), False, False, False),
    ],
)
def test_key_usage_decides_by_kind_of_key(
    usage: tuple[str, ...] | None, signs: bool, rsa_encrypts: bool, ec_encrypts: bool
) -> None:
    """E72: keyEncipherment is for RSA, keyAgreement for elliptic curves."""
    found = extensions(usage=usage)
    assert found.allows_signing("rsa") is found.allows_signing("ec") is signs
    assert found.allows_encryption("rsa") is rsa_encrypts
    assert found.allows_encryption("ec") is found.allows_encryption("x25519") is ec_encrypts


@pytest.mark.parametrize(
    ("eku", "allowed"),
    [
        (None, True),
        ((pki.EMAIL,), True),
        ((pki.ANY_PURPOSE,), True),
        ((pki.TLS_CLIENT, pki.EMAIL), True),
        ((pki.TLS_CLIENT,), False),
    ],
)
def test_extended_key_usage_must_allow_mail_if_present(
    eku: tuple[x509.ObjectIdentifier, ...] | None, allowed: bool
) -> None:
    """E79: a certificate for TLS neither signs mail nor gets it."""
    found = extensions(eku=eku)
    assert found.allows_signing("rsa") is found.allows_encryption("rsa") is allowed


def test_kinds_of_keys_that_cannot_do_a_thing_are_not_allowed_it() -> None:
    assert not extensions().allows_signing("x25519")
    assert not extensions().allows_encryption("ed25519")
    assert not extensions().allows_encryption("dsa")
    assert not extensions().allows_encryption("unknown")


@pytest.mark.parametrize(
    ("declared", "issues"),
    [
        ({"ca": True, "usage": ("key_cert_sign",)}, True),
        ({"ca": True, "usage": None, "eku": None}, True),
        ({"ca": True, "usage": ("crl_sign",)}, False),
        ({"ca": True, "usage": ("key_cert_sign",), "eku": (pki.TLS_CLIENT,)}, False),
        ({"ca": False, "usage": ("key_cert_sign",)}, False),
        ({"basic_constraints": False, "usage": ("key_cert_sign",)}, False),
    ],
)
def test_who_may_issue(declared: dict[str, object], issues: bool) -> None:
    """E82: cA, keyCertSign and purpose all have to allow it."""
    assert extensions(**declared).allows_issuing is issues


def test_each_kind_of_key_has_its_uses() -> None:
    """RFC 8410 5, RFC 9881 5, RFC 9935 3."""
    enciphering = extensions(usage=("key_encipherment",))
    agreeing = extensions(usage=("key_agreement",))
    signing = extensions(usage=("digital_signature",))
    for kind in ("rsa", "mlkem768", "mlkem1024"):
        assert enciphering.allows_encryption(kind)
        assert not agreeing.allows_encryption(kind)
    for kind in ("ec", "x25519", "x448"):
        assert agreeing.allows_encryption(kind)
        assert not enciphering.allows_encryption(kind)
    for kind in ("ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87"):
        assert signing.allows_signing(kind)
        assert not agreeing.allows_signing(kind)
        assert not enciphering.allows_encryption(kind)
        assert not agreeing.allows_encryption(kind)


def test_unreadable_extensions_allow_nothing() -> None:
    found = Extensions.nothing_allowed()
    assert not found.allows_signing("rsa")
    assert not found.allows_encryption("rsa")
    assert not found.allows_encryption("ec")
    assert not found.allows_issuing


def test_identifiers_are_read_and_absent_ones_are_none() -> None:
    found = extensions()
    assert found.ski is not None
    assert found.ski == found.aki
    bare = extensions(identifiers=False)
    assert (bare.ski, bare.aki) == (None, None)


def other_name(text: str, tag: int = 0x0C) -> x509.OtherName:
    raw = text.encode()
    return x509.OtherName(SMTP_UTF8_MAILBOX, bytes([tag, len(raw)]) + raw)


def test_all_mail_names_are_read_and_no_others() -> None:
    """E73: rfc822Name and SmtpUTF8Mailbox; never a UPN or a DNS name."""
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x05u@x.y")
    names = [x509.DNSName("x.y"), upn, other_name("mü@x.y"), x509.RFC822Name("b@x.y")]
    assert extensions(raw_names=names).addresses == ("a@example.test", "mü@x.y", "b@x.y")


@pytest.mark.parametrize(
    "name",
    [
        other_name("ascii@x.y"),  # would slip past rfc822Name constraints
        other_name("mü@x.y", tag=0x16),
        x509.OtherName(SMTP_UTF8_MAILBOX, b"\x0c\x02\xff\xff"),
    ],
)
def test_a_bad_smtp_utf8_mailbox_is_a_defect_and_no_address(name: x509.OtherName) -> None:
    """E76: RFC 9598 3."""
    found = extensions(raw_names=[name])
    assert found.addresses == ("a@example.test",)
    assert len(found.defects) == 1


def test_a_flood_of_names_is_not_read() -> None:
    names = [x509.RFC822Name(f"a{number}@x.y") for number in range(MAX_NAMES)]
    found = extensions(raw_names=names)
    assert found.addresses == ()
    assert str(MAX_NAMES) in found.defects[0]


def test_capabilities_are_handed_on_unread() -> None:
    capabilities = x509.UnrecognizedExtension(SMIME_CAPABILITIES, b"\x30\x00")
    assert extensions(extra=[(capabilities, False)]).capabilities == b"\x30\x00"
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x30\x00")
    assert extensions(extra=[(other, False)]).capabilities == b""
    made = pki.person(None, "a@example.test", label="shared", extra=[(capabilities, False)])
    assert made.certificate.capabilities == b"\x30\x00"
