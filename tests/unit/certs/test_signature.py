"""Signatures over certificates: every kind of key, and nothing that anybody can forge; E82."""

from contextlib import suppress
from dataclasses import replace

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.signature import is_signed_by
from tests import pki
from tests.unit.certs.answers import crl

ROOT = pki.root(kind="p256")
ALICE = pki.person(ROOT, "alice@example.test", kind="p256")
KINDS = ["rsa", "p256", "p521", "brainpool", "ed25519", "ed448", "mldsa44", "mldsa65", "mldsa87"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_holds_for_the_key_that_made_it_alone(kind: str) -> None:
    root, impostor = pki.root(kind=kind), pki.root(kind=kind, label="impostor")
    leaf = pki.person(root, "a@x.y", kind="p256").certificate
    assert is_signed_by(leaf, root.certificate)
    assert not is_signed_by(leaf, impostor.certificate)
    for other in KINDS:
        if other != kind:
            assert not is_signed_by(leaf, pki.root(kind=other).certificate)


def test_rsassa_pss_holds() -> None:
    """RFC 4055 3."""
    root, key = pki.root("RSA root"), pki.rsa_key("RSA root")
    parsed = asn1_x509.Certificate.load(pki.person(root, "a@x.y").der)
    algorithm = {
        "algorithm": "rsassa_pss",
        "parameters": {
            "hash_algorithm": {"algorithm": "sha256"},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": "sha256"}},
            "salt_length": 32,
        },
    }
    parsed["tbs_certificate"]["signature"] = algorithm
    parsed["signature_algorithm"] = algorithm
    octets = parsed["tbs_certificate"].dump(force=True)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    parsed["signature_value"] = key.sign(octets, scheme, hashes.SHA256())
    made = Certificate.from_der(bytes(parsed.dump(force=True)))
    assert is_signed_by(made, root.certificate)
    assert not is_signed_by(made, pki.root("Other RSA root").certificate)


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_old_digests_are_not_verified_unless_a_test_suite_asks(digest: str) -> None:
    """E79."""
    root = pki.root("RSA root")
    leaf = pki.person(root, "a@x.y", weak_digest=digest).certificate
    assert not is_signed_by(leaf, root.certificate)
    assert is_signed_by(leaf, root.certificate, unsafe_weak=True) is (digest == "sha1")
    assert not is_signed_by(leaf, pki.root("Other").certificate, unsafe_weak=True)


def test_a_key_that_is_not_to_be_relied_on_is_not_even_tried() -> None:
    """A stranger's key with an exponent as long as itself costs 40 ms a try."""
    costly = replace(ROOT.certificate, fingerprint="another", weak_key="RSA key with ...")
    assert not is_signed_by(ALICE.certificate, costly)
    assert is_signed_by(ALICE.certificate, costly, unsafe_weak=True)
    known = crl(ROOT)
    assert not known.signed_by(costly)
    assert known.signed_by(costly, unsafe_weak=True)


def test_any_flipped_octet_fails() -> None:
    der = ALICE.der
    for at in range(4, len(der), 7):
        flipped = bytearray(der)
        flipped[at] ^= 1
        with suppress(CertificateError):
            certificate = Certificate.from_der(bytes(flipped))
            assert not is_signed_by(certificate, ROOT.certificate), at


def test_an_algorithm_that_is_another_inside_is_refused() -> None:
    """RFC 5280 4.1.1.2: else the one that counts would not be signed."""
    root = pki.root("RSA root")
    parsed = asn1_x509.Certificate.load(pki.person(root, "a@x.y").der)
    parsed["tbs_certificate"]["signature"] = {"algorithm": "sha512_rsa", "parameters": None}
    octets = parsed["tbs_certificate"].dump(force=True)
    key = pki.rsa_key("RSA root")
    assert isinstance(key, rsa.RSAPrivateKey)
    parsed["signature_value"] = key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    made = Certificate.from_der(bytes(parsed.dump(force=True)))
    assert not is_signed_by(made, root.certificate)
