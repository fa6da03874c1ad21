"""Keys on a token do what keys in memory do, octet for octet where that can be."""

import copy

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from pkcs11 import MechanismFlag

from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.keys import TokenEcKey, TokenRsaKey, belongs
from smime_proxy.tokens.source import TokenKeys
from tests import pki
from tests.hsm import SoftHsm

from .conftest import curve_key, rsa_key

PKCS1V15 = padding.PKCS1v15()
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


def on_token(keys: TokenKeys, reference: str = "pkcs11:object=rsa") -> TokenRsaKey:
    key = keys.key(reference, rsa_key().public_key())
    assert isinstance(key, TokenRsaKey)
    return key


def curve(keys: TokenKeys) -> TokenEcKey:
    key = keys.key("pkcs11:object=curve", curve_key().public_key())
    assert isinstance(key, TokenEcKey)
    return key


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_a_pkcs1_signature_is_the_one_the_key_makes_anywhere(
    keys: TokenKeys, digest: hashes.HashAlgorithm
) -> None:
    made = on_token(keys).sign(b"text", PKCS1V15, digest)
    assert made == rsa_key().sign(b"text", PKCS1V15, digest)


def test_a_pss_signature_verifies(keys: TokenKeys) -> None:
    made = on_token(keys).sign(b"text", PSS, hashes.SHA256())
    rsa_key().public_key().verify(made, b"text", PSS, hashes.SHA256())


@pytest.mark.parametrize(
    "scheme",
    [
        PKCS1V15,
        padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303 - in old mail
        padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
        padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA512(), b"label"),
    ],
)
def test_what_is_encrypted_to_the_key_opens(keys: TokenKeys, scheme: AsymmetricPadding) -> None:
    """E52."""
    key = on_token(keys)
    assert key.decrypt(key.public_key().encrypt(b"k" * 32, scheme), scheme) == b"k" * 32


@pytest.mark.parametrize("octets", [b"\1" * 256, b"\xff" * 256, b"\1" * 255, b""])
@pytest.mark.parametrize(
    "scheme", [PKCS1V15, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)]
)
def test_what_is_not_is_refused_as_any_key_refuses_it(
    keys: TokenKeys, octets: bytes, scheme: AsymmetricPadding
) -> None:
    """E14: the caller goes on with a random key."""
    with pytest.raises(ValueError, match=r"Error|failed|Invalid|Range"):
        on_token(keys).decrypt(octets, scheme)


def test_a_key_on_a_curve_signs_and_agrees(keys: TokenKeys) -> None:
    """E53."""
    key, digest = curve(keys), ec.ECDSA(hashes.SHA384())
    curve_key().public_key().verify(key.sign(b"text", digest), b"text", digest)
    peer = ec.generate_private_key(ec.SECP384R1())
    shared = key.exchange(ec.ECDH(), peer.public_key())
    assert shared == peer.exchange(ec.ECDH(), curve_key().public_key())
    with pytest.raises(ValueError, match="another curve"):
        key.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP256R1()).public_key())


def test_a_key_that_belongs_to_its_certificate_is_told_from_one_that_does_not(
    keys: TokenKeys,
) -> None:
    assert belongs(on_token(keys))
    assert belongs(curve(keys))
    stranger = pki.rsa_key("not on a token").public_key()
    assert not belongs(keys.key("pkcs11:object=rsa", stranger))
    with pytest.raises(TokenUnavailable, match="not that of the certificate"):
        keys.proven_key("pkcs11:object=rsa", stranger)


def test_a_key_that_only_decrypts_is_proven_by_that(softhsm: SoftHsm, keys: TokenKeys) -> None:
    only = softhsm.put(pki.rsa_key("only decrypts"), "decrypts", MechanismFlag.DECRYPT)
    public = pki.rsa_key("only decrypts").public_key()
    assert keys.proven_key(only, public).public_key() == public
    with pytest.raises(TokenUnavailable, match="does not sign"):
        on_token(keys, only).sign(b"text", PKCS1V15, hashes.SHA256())
    with pytest.raises(TokenUnavailable, match="not that of the certificate"):
        keys.proven_key(only, rsa_key().public_key())


def test_a_key_that_is_for_nothing_is_no_key(softhsm: SoftHsm, keys: TokenKeys) -> None:
    only = softhsm.put(pki.rsa_key("for nothing"), "nothing", MechanismFlag.UNWRAP)
    with pytest.raises(TokenUnavailable, match="does not sign"):
        keys.proven_key(only, pki.rsa_key("for nothing").public_key())


def test_it_stays_on_the_token(keys: TokenKeys) -> None:
    for key in (on_token(keys), curve(keys)):
        assert copy.deepcopy(copy.copy(key)) is key
        with pytest.raises(TypeError):
            key.private_numbers()
        with pytest.raises(TypeError):
            key.private_bytes()
        assert "canary" not in repr(key)
        assert key.reference.startswith("pkcs11:object=")


def test_sizes_are_those_of_the_public_key(keys: TokenKeys) -> None:
    assert (on_token(keys).key_size, curve(keys).key_size) == (2048, 384)
    assert curve(keys).curve.name == "secp384r1"


def test_other_kinds_are_not_used_there(keys: TokenKeys) -> None:
    with pytest.raises(TokenUnavailable, match="only RSA and EC"):
        keys.key("pkcs11:object=rsa", pki.key("ed25519").public_key())
