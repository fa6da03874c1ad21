import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, mlkem, x25519

from smime_proxy.certs.keys import NO_KEY, KeyFacts, key_facts, weakness_of_key
from tests import pki


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("rsa", KeyFacts("rsa", 2048, "", 17)),
        ("p256", KeyFacts("ec", 256, "secp256r1")),
        ("p521", KeyFacts("ec", 521, "secp521r1")),
        ("brainpool", KeyFacts("ec", 256, "brainpoolP256r1")),
        ("ed25519", KeyFacts("ed25519", 256)),
        ("ed448", KeyFacts("ed448", 456)),
        ("mldsa44", KeyFacts("mldsa44", 0)),
        ("mldsa65", KeyFacts("mldsa65", 0)),
        ("mldsa87", KeyFacts("mldsa87", 0)),
    ],
)
def test_keys_are_described(kind: str, facts: KeyFacts) -> None:
    assert key_facts(pki.key(kind).public_key()) == facts


def test_ml_kem_keys_are_described() -> None:
    facts = key_facts(mlkem.MLKEM768PrivateKey.generate().public_key())
    assert facts == KeyFacts("mlkem768", 0)
    facts = key_facts(mlkem.MLKEM1024PrivateKey.generate().public_key())
    assert facts == KeyFacts("mlkem1024", 0)


def test_agreement_and_dsa_keys_are_described() -> None:
    assert key_facts(x25519.X25519PrivateKey.generate().public_key()).kind == "x25519"
    numbers = dsa.DSAParameterNumbers(2**1023 + 1155, 2**159 + 7, 4)
    assert key_facts(dsa.DSAPublicNumbers(8, numbers).public_key()).kind == "dsa"


@pytest.mark.parametrize(
    ("facts", "weakness"),
    [
        (KeyFacts("rsa", 2048, "", 17), ""),
        (KeyFacts("rsa", 8192, "", 2), ""),
        (KeyFacts("rsa", 2047, "", 17), "RSA key of 2047 bits, under 2048"),
        (KeyFacts("rsa", 8193, "", 17), "RSA key of 8193 bits, over 8192"),
        (KeyFacts("rsa", 2048, "", 65), "RSA key with a public exponent of 65 bits"),
        (KeyFacts("ec", 256, "secp256r1"), ""),
        (KeyFacts("ec", 224, "secp224r1"), "key on secp224r1, under 256 bits"),
        (KeyFacts("dsa", 2048), "DSA key"),
        (KeyFacts("ed25519", 256), ""),
        (NO_KEY, ""),
    ],
)
def test_weak_and_oversized_keys_are_named(facts: KeyFacts, weakness: str) -> None:
    """E79: a short key is told from a good one."""
    assert weakness_of_key(facts) == weakness


def test_a_short_curve_is_weak_as_the_library_describes_it() -> None:
    assert weakness_of_key(key_facts(ec.generate_private_key(ec.SECP224R1()).public_key()))
