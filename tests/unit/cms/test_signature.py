import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import SHA1, SHA256, SHA384, SHA512, KeyKind
from smime_proxy.cms.certificate_fields import PublicKey, read_certificate
from smime_proxy.cms.errors import UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters
from smime_proxy.cms.schemes import PSS_SHA256
from smime_proxy.cms.signature import fits, is_weak, usable_key, verifies, verifies_octets
from tests import pki
from tests.pki import with_key_algorithm
from tests.unit.cms.parties import CONTENT, party, private_key, root

HASHED = hashlib.sha256(CONTENT).digest()
HASH = hashes.SHA256()
KINDS = {
    "rsa": KeyKind.RSA,
    "p256": KeyKind.EC,
    "p384": KeyKind.EC,
    "brainpool": KeyKind.EC,
    "dsa": KeyKind.DSA,
    "ed25519": KeyKind.ED25519,
    "ed448": KeyKind.ED448,
    "mldsa44": KeyKind.ML_DSA_44,
    "mldsa65": KeyKind.ML_DSA_65,
    "mldsa87": KeyKind.ML_DSA_87,
}
OF_DIGESTS = [kind for kind, use in KINDS.items() if not use.signs_octets]
OF_OCTETS = [kind for kind, use in KINDS.items() if use.signs_octets]
PSS_KEY = der.element(der.SEQUENCE, der.object_identifier(algorithms.RSASSA_PSS))


def public(kind: str, name: str = "alice") -> PublicKey:
    return usable_key(read_certificate(party(kind, name).der), KINDS[kind])


def signed_digest(kind: str) -> bytes:
    match party(kind).key:
        case rsa.RSAPrivateKey() as key:
            return key.sign(CONTENT, padding.PKCS1v15(), HASH)
        case ec.EllipticCurvePrivateKey() as key:
            return key.sign(CONTENT, ec.ECDSA(HASH))
        case dsa.DSAPrivateKey() as key:
            return key.sign(CONTENT, HASH)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("kind", OF_DIGESTS)
def test_a_signature_verifies_with_its_key_over_its_digest_only(kind: str) -> None:
    key, made = public(kind), signed_digest(kind)
    assert verifies(key, made, SHA256, HASHED)
    assert not verifies(key, made, SHA256, bytes(32))
    assert not verifies(key, made, SHA512, HASHED)
    assert not verifies(key, b"", SHA256, HASHED)
    assert not verifies(public(kind, "bob"), made, SHA256, HASHED)
    assert not verifies_octets(key, made, CONTENT)


@pytest.mark.parametrize("kind", OF_OCTETS)
def test_a_signature_over_octets_verifies_with_its_key_over_these_only(kind: str) -> None:
    own = party(kind).key
    assert not isinstance(own, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey)
    key, made = public(kind), own.sign(CONTENT)  # type: ignore[union-attr]  # keys that only agree
    assert verifies_octets(key, made, CONTENT)
    assert not verifies_octets(key, made, CONTENT + b"x")
    assert not verifies_octets(key, b"", CONTENT)
    assert not verifies_octets(public(kind, "bob"), made, CONTENT)
    assert not verifies(key, made, SHA256, HASHED)


def test_ml_dsa_signatures_have_no_context() -> None:
    """RFC 9882 3.2."""
    own = party("mldsa44").key
    assert isinstance(own, mldsa.MLDSA44PrivateKey)
    assert not verifies_octets(public("mldsa44"), own.sign(CONTENT, b"other"), CONTENT)


@pytest.mark.parametrize(
    "used",
    [
        PSS_SHA256,
        PssParameters(SHA256, SHA1, 32),
        PssParameters(SHA256, SHA512, 0),
        PssParameters(SHA256, SHA256, 222),  # the most a key of 2048 bits has room for
    ],
)
def test_pss_verifies_by_exactly_its_parameters(used: PssParameters) -> None:
    """E56."""
    own = party().key
    assert isinstance(own, rsa.RSAPrivateKey)
    assert used.mask_digest.primitive is not None
    scheme = padding.PSS(padding.MGF1(used.mask_digest.primitive), used.salt_length)
    made, key = own.sign(CONTENT, scheme, HASH), public("rsa")
    assert verifies(key, made, SHA256, HASHED, used)
    assert not verifies(key, made, SHA256, HASHED)
    assert not verifies(key, made, SHA256, HASHED, replace(used, mask_digest=SHA384))
    assert not verifies(key, made, SHA256, HASHED, replace(used, salt_length=5))
    assert not verifies(key, made, SHA256, HASHED, replace(used, salt_length=1024))
    assert not verifies(key, signed_digest("rsa"), SHA256, HASHED, used)


def test_a_broken_digest_verifies_nothing() -> None:
    md5 = algorithms.DIGESTS_BY_NAME["md5"]
    assert not verifies(public("rsa"), bytes(256), md5, bytes(16))
    broken = PssParameters(SHA256, md5, 32)
    assert not verifies(public("rsa"), signed_digest("rsa"), SHA256, HASHED, broken)


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("rsa", KeyKind.EC),
        ("p256", KeyKind.RSA),
        ("p256", KeyKind.DSA),
        ("ed25519", KeyKind.EC),
        ("ed25519", KeyKind.ED448),
        ("mldsa44", KeyKind.ML_DSA_65),
        ("x25519", KeyKind.ED25519),
        ("x448", KeyKind.ED448),
    ],
)
def test_keys_of_another_kind_are_unsupported(kind: str, use: KeyKind) -> None:
    identity = pki.person(root(), "d@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm):
        usable_key(read_certificate(identity.der), use)


def test_an_rsa_key_for_pss_verifies_pss_only() -> None:
    """RFC 4055 1.2."""
    fields = read_certificate(with_key_algorithm(party().der, PSS_KEY))
    assert usable_key(fields, KeyKind.RSA, PSS_SHA256) == public("rsa")
    with pytest.raises(UnsupportedAlgorithm, match="another scheme"):
        usable_key(fields, KeyKind.RSA)
    oaep = der.element(der.SEQUENCE, der.object_identifier("1.2.840.113549.1.1.7"))
    fields = read_certificate(with_key_algorithm(party().der, oaep))
    for pss in (None, PSS_SHA256):
        with pytest.raises(UnsupportedAlgorithm, match="another scheme"):
            usable_key(fields, KeyKind.RSA, pss)


def test_a_key_with_pss_parameters_verifies_what_keeps_them() -> None:
    """RFC 4055 3.3."""
    parameters = der.element(
        der.SEQUENCE, der.object_identifier(algorithms.RSASSA_PSS), PSS_SHA256.encode()
    )
    fields = read_certificate(with_key_algorithm(party().der, parameters))
    for kept in (PSS_SHA256, replace(PSS_SHA256, salt_length=64)):
        assert usable_key(fields, KeyKind.RSA, kept) == public("rsa")
    for other in (
        replace(PSS_SHA256, salt_length=31),
        replace(PSS_SHA256, mask_digest=SHA1),
        PssParameters(SHA512, SHA256, 32),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="other parameters"):
            usable_key(fields, KeyKind.RSA, other)
    null = der.element(der.SEQUENCE, der.object_identifier(algorithms.RSASSA_PSS), der.NULL)
    fields = read_certificate(with_key_algorithm(party().der, null))
    assert usable_key(fields, KeyKind.RSA, PSS_SHA256) == public("rsa")


def with_key(key: ec.EllipticCurvePublicKey | dsa.DSAPublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_short_keys_small_curves_and_dsa_are_weak() -> None:
    """V12."""
    short = pki.person(root(), "short@example.test", kind="rsa1024")
    assert is_weak(usable_key(read_certificate(short.der), KeyKind.RSA))
    assert is_weak(public("dsa"))
    for curve in (ec.SECP192R1(), ec.SECP224R1()):
        info = with_key(ec.generate_private_key(curve).public_key())
        fields = replace(read_certificate(party().der), public_key_info=info)
        assert is_weak(usable_key(fields, KeyKind.EC))
    for kind in ("rsa", "p256", "brainpool", *OF_OCTETS):
        assert not is_weak(public(kind))


@pytest.mark.parametrize("bits", [8193, 16384])
def test_oversized_keys_are_unsupported(bits: int) -> None:
    """RFC 8551 6: they exhaust who verifies."""
    public = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 1).public_key()
    fields = replace(read_certificate(party().der), public_key_info=with_key(public))
    with pytest.raises(UnsupportedAlgorithm, match=f"{bits} bits"):
        usable_key(fields, KeyKind.RSA)


def test_other_curves_are_unsupported() -> None:
    info = with_key(ec.generate_private_key(ec.SECP256K1()).public_key())
    fields = replace(read_certificate(party().der), public_key_info=info)
    with pytest.raises(UnsupportedAlgorithm, match="curve"):
        usable_key(fields, KeyKind.EC)


def test_shake_is_for_ecdsa_only() -> None:
    """RFC 8702 2."""
    shake = algorithms.DIGESTS_BY_NAME["shake256"]
    assert fits(KeyKind.EC, shake)
    assert not fits(KeyKind.RSA, shake)
    assert not fits(KeyKind.DSA, shake)
    assert fits(KeyKind.RSA, SHA256)
    own = private_key(party("p256"))
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    made = own.sign(CONTENT, ec.ECDSA(hashes.SHAKE256(64)))
    assert verifies(public("p256"), made, shake, hashlib.shake_256(CONTENT).digest(64))


def test_oversized_dsa_keys_are_unsupported() -> None:
    numbers = dsa.DSAParameterNumbers((1 << 4095) + 1, (1 << 255) + 1, 2)
    info = with_key(dsa.DSAPublicNumbers(3, numbers).public_key())
    fields = replace(read_certificate(party().der), public_key_info=info)
    with pytest.raises(UnsupportedAlgorithm):
        usable_key(fields, KeyKind.DSA)
    assert isinstance(party("ed25519").key, ed25519.Ed25519PrivateKey)
