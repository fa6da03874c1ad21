import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import algorithms
from smime_proxy.cms.algorithms import SHA256, KeyKind
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.errors import UnsupportedAlgorithm
from smime_proxy.cms.signature import is_short, usable_key, verifies
from tests import pki
from tests.unit.cms.parties import CONTENT, party, private_key, root

HASHED = hashlib.sha256(CONTENT).digest()
HASH = hashes.SHA256()


@pytest.mark.parametrize(
    ("kind", "use"), [("rsa", KeyKind.RSA), ("p256", KeyKind.EC), ("p384", KeyKind.EC)]
)
def test_a_signature_verifies_with_its_key_over_its_digest_only(kind: str, use: KeyKind) -> None:
    own = private_key(party(kind))
    made = (
        own.sign(CONTENT, padding.PKCS1v15(), HASH)
        if isinstance(own, rsa.RSAPrivateKey)
        else own.sign(CONTENT, ec.ECDSA(HASH))
    )
    key = usable_key(read_certificate(party(kind).der), use)
    assert verifies(key, made, SHA256, HASHED)
    assert not verifies(key, made, SHA256, bytes(32))
    assert not verifies(key, made, algorithms.SHA512, HASHED)
    assert not verifies(key, b"", SHA256, HASHED)
    other = usable_key(read_certificate(party(kind, "bob").der), use)
    assert not verifies(other, made, SHA256, HASHED)


def test_a_broken_digest_verifies_nothing() -> None:
    key = usable_key(read_certificate(party().der), KeyKind.RSA)
    assert not verifies(key, bytes(256), algorithms.DIGESTS_BY_NAME["md5"], bytes(16))


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("rsa", KeyKind.EC),
        ("p256", KeyKind.RSA),
        ("brainpool", KeyKind.EC),
        ("ed25519", KeyKind.EC),
    ],
)
def test_keys_of_another_kind_are_unsupported(kind: str, use: KeyKind) -> None:
    identity = pki.person(root(), "d@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm):
        usable_key(read_certificate(identity.der), use)


def test_keys_below_2048_bits_are_short() -> None:
    """V12."""
    short = pki.person(root(), "short@example.test", kind="rsa1024")
    assert is_short(usable_key(read_certificate(short.der), KeyKind.RSA))
    assert not is_short(usable_key(read_certificate(party().der), KeyKind.RSA))
    assert not is_short(usable_key(read_certificate(party("p256").der), KeyKind.EC))


@pytest.mark.parametrize("bits", [8193, 16384])
def test_oversized_keys_are_unsupported(bits: int) -> None:
    """RFC 8551 6: they exhaust who verifies."""
    public = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 1).public_key()
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fields = replace(read_certificate(party().der), public_key_info=info)
    with pytest.raises(UnsupportedAlgorithm, match=f"{bits} bits"):
        usable_key(fields, KeyKind.RSA)
