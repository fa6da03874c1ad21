"""The authority's revocation lists (RFC 5280 5)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.certs.authority import CLOCK_SKEW, PrivateKey, create_authority
from smime_proxy.certs.crl import CRL_LIFETIME, Reason, Revoked, sign_crl
from smime_proxy.certs.errors import CertificateError
from tests import pki


@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_a_list_is_signed_numbered_and_dated(kind: str) -> None:
    key = pki.key(kind, "authority")
    assert isinstance(key, PrivateKey)
    issuer = create_authority("CA", pki.NOW, 1, key, serial=1)
    entries = [Revoked(5, pki.NOW, Reason.KEY_COMPROMISE), Revoked(6, pki.NOW, Reason.UNSPECIFIED)]
    crl = x509.load_der_x509_crl(sign_crl(issuer, key, 17, entries, pki.NOW))
    public = issuer.x509().public_key()
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(public)
    assert crl.issuer == issuer.x509().subject
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 17
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier.key_identifier == issuer.ski
    assert crl.last_update_utc == pki.NOW - CLOCK_SKEW
    assert crl.next_update_utc == pki.NOW + CRL_LIFETIME == pki.NOW + timedelta(days=7)
    assert isinstance(
        crl.signature_hash_algorithm, hashes.SHA384 if kind == "p384" else hashes.SHA256
    )
    first, second = crl
    assert (first.serial_number, first.revocation_date_utc) == (5, pki.NOW)
    reason = first.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    assert second.serial_number == 6
    assert list(second.extensions) == []


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_code(reason: Reason) -> None:
    assert x509.ReasonFlags(reason.value).value == reason.value


def test_an_issuer_without_a_name_for_its_key_signs_none() -> None:
    bare = pki.root("bare", identifiers=False)
    with pytest.raises(CertificateError, match="subjectKeyIdentifier"):
        sign_crl(bare.certificate, pki.rsa_key("bare"), 1, (), pki.NOW)
