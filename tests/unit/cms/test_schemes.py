import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import SHA1, SHA256
from smime_proxy.cms.certificate_fields import CertificateFields, read_certificate
from smime_proxy.cms.errors import UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters
from smime_proxy.cms.schemes import PSS_SHA256, Scheme, choose, identifier
from tests import pki
from tests.pki import with_key_algorithm
from tests.unit.cms.parties import party, root, signing_key


def scheme(kind: str, *, rsassa_pss: bool = False) -> Scheme:
    identity = party(kind)
    return choose(signing_key(identity), read_certificate(identity.der), rsassa_pss=rsassa_pss)


@pytest.mark.parametrize(
    ("kind", "name", "digest_algorithm", "oid", "parameters"),
    [
        ("rsa", "rsassa_pkcs1v15", identifier(SHA256.oid), algorithms.RSA_ENCRYPTION, der.NULL),
        ("p256", "ecdsa", identifier(SHA256.oid), algorithms.ECDSA_WITH_SHA256, b""),
        (
            "ed25519",
            "ed25519",
            bytes.fromhex("300b0609608648016503040203"),
            algorithms.ED25519,
            b"",
        ),
        (
            "ed448",
            "ed448",
            bytes.fromhex("300f060960864801650304021202020200"),
            algorithms.ED448,
            b"",
        ),
        (
            "mldsa44",
            "mldsa44",
            bytes.fromhex("300b0609608648016503040203"),
            algorithms.ML_DSA_44,
            b"",
        ),
        (
            "mldsa65",
            "mldsa65",
            bytes.fromhex("300b0609608648016503040203"),
            algorithms.ML_DSA_65,
            b"",
        ),
        (
            "mldsa87",
            "mldsa87",
            bytes.fromhex("300b0609608648016503040203"),
            algorithms.ML_DSA_87,
            b"",
        ),
    ],
)
def test_each_kind_of_key_has_its_scheme(
    kind: str, name: str, digest_algorithm: bytes, oid: str, parameters: bytes
) -> None:
    """RFC 5754 3, RFC 8419 3.1, RFC 9882 3.3."""
    found = scheme(kind)
    assert found.name == name
    assert found.digest_algorithm == digest_algorithm
    assert found.algorithm == identifier(oid, parameters)


def test_pss_is_sha256_throughout() -> None:
    """RFC 4056 2.2."""
    found = scheme("rsa", rsassa_pss=True)
    assert found.name == "rsassa_pss"
    assert found.algorithm == identifier(algorithms.RSASSA_PSS, PSS_SHA256.encode())
    assert found.sign(b"x") != found.sign(b"x")  # salted
    assert scheme("p256", rsassa_pss=True).name == "ecdsa"


def fields(oid: str, parameters: bytes = b"") -> CertificateFields:
    return read_certificate(with_key_algorithm(party().der, identifier(oid, parameters)))


def test_a_certificate_for_one_scheme_decides() -> None:
    """RFC 4055 1.2 and 3.3."""
    key = signing_key(party())
    assert choose(key, fields(algorithms.RSASSA_PSS)).algorithm == identifier(
        algorithms.RSASSA_PSS, PSS_SHA256.encode()
    )
    asked = PssParameters(SHA256, SHA256, 64)
    assert choose(key, fields(algorithms.RSASSA_PSS, asked.encode())).algorithm == identifier(
        algorithms.RSASSA_PSS, asked.encode()
    )
    with pytest.raises(UnsupportedAlgorithm, match="weak digest"):
        choose(key, fields(algorithms.RSASSA_PSS, PssParameters(SHA1, SHA1, 20).encode()))
    with pytest.raises(UnsupportedAlgorithm, match="another use"):
        choose(key, fields("1.2.840.113549.1.1.7"))


def test_a_salt_that_the_key_has_no_room_for_is_refused() -> None:
    """RFC 8017 9.1.1: said when the key is loaded, not mail by mail."""
    key = signing_key(party())  # of 256 octets
    longest = PssParameters(SHA256, SHA256, 222)
    assert choose(key, fields(algorithms.RSASSA_PSS, longest.encode())).sign(b"x")
    longer = PssParameters(SHA256, SHA256, 223)
    with pytest.raises(UnsupportedAlgorithm, match="salt"):
        choose(key, fields(algorithms.RSASSA_PSS, longer.encode()))


def test_keys_that_sign_nothing_here_are_refused() -> None:
    any_fields = read_certificate(party().der)
    short = pki.person(root(), "short@example.test", kind="rsa1024")
    with pytest.raises(UnsupportedAlgorithm, match="1024 bits"):
        choose(signing_key(short), any_fields)
    for curve in (ec.SECP224R1(), ec.SECP256K1()):
        with pytest.raises(UnsupportedAlgorithm, match="curve"):
            choose(ec.generate_private_key(curve), any_fields)


def test_keys_do_not_show_in_a_repr() -> None:
    assert "private" not in repr(scheme("rsa")).lower()
