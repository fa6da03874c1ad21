"""Who can be encrypted to, and how the certificate decides it."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from smime_proxy.cms import ber, der
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.key_protection import OAEP_SHA256, PKCS1V15
from smime_proxy.cms.recipient import CmsRecipient
from tests import pki
from tests.unit.cms.holders import CURVES, KINDS, certificate_for, holder, with_key_algorithm
from tests.unit.cms.parties import root

KEY = bytes(range(32))
OAEP = der.object_identifier("1.2.840.113549.1.1.7")
PSS = der.object_identifier("1.2.840.113549.1.1.10")


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_decides_the_kind_of_recipient(kind: str) -> None:
    agreement = {*CURVES, "x25519", "x448"}
    expected = "ktri" if kind == "rsa" else "kari" if kind in agreement else "ori"
    assert holder(kind).recipient().type == expected


def test_rsa_is_pkcs1_unless_oaep_is_asked_for() -> None:
    """E85."""
    assert holder("rsa").recipient().transport is PKCS1V15
    assert holder("rsa").recipient(oaep=True).transport is OAEP_SHA256


@pytest.mark.parametrize("parameters", [b"", der.NULL])
def test_an_rsa_key_that_is_for_oaep_gets_oaep(parameters: bytes) -> None:
    """RFC 4055 1.2."""
    someone = with_key_algorithm(holder("rsa"), der.element(der.SEQUENCE, OAEP, parameters))
    recipient = someone.recipient()
    assert recipient.transport is OAEP_SHA256
    assert recipient.public_key == holder("rsa").key.public_key()


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    ("parameters", "digest"),
    [
        (b"\x30\x00", hashes.SHA1()),  # noqa: S303 - the default of RFC 8017 A.2.1
        (bytes.fromhex("3011a00f300d06096086480165030402030500"), hashes.SHA512()),
    ],
)
def test_the_parameters_of_a_key_that_is_for_oaep_hold(
    parameters: bytes, digest: hashes.HashAlgorithm, asked: bool
) -> None:
    """RFC 4055 4.1: whatever is asked for."""
    name = der.element(der.SEQUENCE, OAEP, parameters)
    info = ber.read_only(with_key_algorithm(holder("rsa"), name).recipient(oaep=asked).info(KEY))
    _, _, algorithm, encrypted = info.children()
    assert algorithm.encoding.tobytes() == name
    key = holder("rsa").key
    assert isinstance(key, rsa.RSAPrivateKey)
    mask = padding.MGF1(hashes.SHA1())  # noqa: S303 - same
    scheme = padding.OAEP(mask, digest, None)
    assert key.decrypt(ber.octet_string(encrypted), scheme) == KEY


@pytest.mark.parametrize(
    "parameters",
    [
        bytes.fromhex("3009a00730050603550401"),
        bytes.fromhex("300fa00d300b0609608648016503040208"),  # SHA3-256
        bytes.fromhex("301ca11a301806092a864886f70d010108300b060960864801650304020b"),  # SHAKE128
    ],
)
def test_a_key_for_oaep_with_unknown_parameters_is_refused(parameters: bytes) -> None:
    """Also with digests that are known but not to the primitives of OAEP."""
    name = der.element(der.SEQUENCE, OAEP, parameters)
    with pytest.raises(UnsupportedAlgorithm, match="parameters"):
        with_key_algorithm(holder("rsa"), name).recipient()


@pytest.mark.parametrize("parameters", [b"", der.NULL])
def test_an_rsa_key_that_only_signs_is_refused(parameters: bytes) -> None:
    someone = with_key_algorithm(holder("rsa"), der.element(der.SEQUENCE, PSS, parameters))
    with pytest.raises(UnsupportedAlgorithm) as raised:
        someone.recipient()
    assert raised.value.oid == "1.2.840.113549.1.1.10"


@pytest.mark.parametrize(
    ("kind", "reason"), [("p224", "curve secp224r1"), ("secp256k1", "curve secp256k1")]
)
def test_other_curves_are_refused_by_name(kind: str, reason: str) -> None:
    with pytest.raises(UnsupportedAlgorithm, match=reason):
        holder(kind).recipient()


@pytest.mark.parametrize("kind", ["ed25519", "rsa1024"])
def test_keys_that_sign_only_or_are_short_are_refused(kind: str) -> None:
    other = pki.person(root(), "other@example.test", kind=kind)
    with pytest.raises(UnsupportedAlgorithm, match="1024 bits" if "rsa" in kind else "no key to"):
        CmsRecipient.from_certificate(other.der)


def test_an_oversized_rsa_key_is_refused() -> None:
    """RFC 8551 6."""
    key = rsa.RSAPublicNumbers(65537, 2**8192 + 1).public_key()
    with pytest.raises(UnsupportedAlgorithm, match="8193 bits"):
        CmsRecipient.from_certificate(certificate_for(key))


def test_ml_kem_512_is_refused_by_its_identifier() -> None:
    name = der.object_identifier("2.16.840.1.101.3.4.4.1")
    with pytest.raises(UnsupportedAlgorithm) as raised:
        with_key_algorithm(holder("rsa"), der.element(der.SEQUENCE, name)).recipient()
    assert raised.value.oid == "2.16.840.1.101.3.4.4.1"


@pytest.mark.parametrize("raw", [b"", b"junk", b"\x30\x00"])
def test_an_unreadable_certificate_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        CmsRecipient.from_certificate(raw)


def test_a_point_that_agrees_on_nothing_secret_is_refused() -> None:
    """RFC 8418 5, RFC 7748 6: the shared secret would be all zeros."""
    recipient = CmsRecipient(X25519PublicKey.from_public_bytes(bytes(32)), b"")
    with pytest.raises(CmsError):
        recipient.info(bytes(32))


def test_nothing_of_the_key_is_printed() -> None:
    assert repr(holder("rsa").recipient()) == "CmsRecipient()"
