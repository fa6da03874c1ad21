"""Keys that say what they are for: read like others, used for that alone."""

import pytest
from cryptography import x509

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.public_key import encrypts_only, public_key, signs_only
from tests import pki

PLAIN = pki.person(None, "a@example.test", label="alice", usage=None)
PSS = bytes.fromhex("300b06092a864886f70d01010a")
OAEP = bytes.fromhex("300b06092a864886f70d010107")
OAEP_SHA1 = bytes.fromhex("300d06092a864886f70d0101073000")


def with_algorithm(algorithm: bytes) -> Certificate:
    return Certificate.from_der(pki.with_key_algorithm(PLAIN.der, algorithm))


@pytest.mark.parametrize("algorithm", [OAEP, OAEP_SHA1])
def test_a_key_for_oaep_is_read_and_only_encrypted_to(algorithm: bytes) -> None:
    """RFC 4055 1.2."""
    found = with_algorithm(algorithm)
    assert (found.key_type, found.key_size, found.defects) == ("rsa", 2048, ())
    assert (found.may_sign, found.may_encrypt, found.weak_key) == (False, True, "")
    assert found.public_key() == PLAIN.key.public_key()


def test_a_key_for_pss_is_read_and_not_encrypted_to() -> None:
    """RFC 4055 1.2."""
    found = with_algorithm(PSS)
    assert (found.may_sign, found.may_encrypt) == (True, False)
    assert found.public_key() == PLAIN.key.public_key()


def test_what_a_key_is_for_is_told_apart() -> None:
    plain, oaep, pss = (
        x509.load_der_x509_certificate(der)
        for der in (PLAIN.der, with_algorithm(OAEP).der, with_algorithm(PSS).der)
    )
    assert [encrypts_only(one) for one in (plain, oaep, pss)] == [False, True, False]
    assert [signs_only(one) for one in (plain, oaep, pss)] == [False, False, True]
    assert public_key(plain) == public_key(oaep) == public_key(pss)


def test_a_key_that_is_no_rsa_key_stays_a_defect() -> None:
    other = pki.person(None, "a@example.test", kind="p256", usage=None)
    found = Certificate.from_der(pki.with_key_algorithm(other.der, OAEP))
    assert (found.may_sign, found.may_encrypt) == (False, False)
    assert "public key unreadable" in found.defects[0]
    with pytest.raises(CertificateError):
        found.public_key()
