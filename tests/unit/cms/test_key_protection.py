"""RecipientInfos, opened as the RFCs tell the recipient to."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from smime_proxy.cms import ber
from smime_proxy.cms.ber import Element
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.key_protection import OAEP_SHA256
from tests.unit.cms.holders import CURVES, Holder, holder

KEY = bytes(range(32))
AES128_WRAP = "2.16.840.1.101.3.4.1.5"
AES256_WRAP = "2.16.840.1.101.3.4.1.45"
WRAPS = {AES128_WRAP: 16, AES256_WRAP: 32}
STANDARD_DH = "1.3.132.1.11."
DIGESTS: dict[str, hashes.HashAlgorithm] = {
    STANDARD_DH + "1": hashes.SHA256(),
    STANDARD_DH + "2": hashes.SHA384(),
    STANDARD_DH + "3": hashes.SHA512(),
    "1.2.840.113549.1.9.16.3.19": hashes.SHA256(),
    "1.2.840.113549.1.9.16.3.21": hashes.SHA512(),
}
CURVE_DIGESTS = dict(zip(CURVES, ("1", "2", "3") * 2, strict=True))


def oid(element: Element) -> str:
    return ber.object_identifier(element.children()[0])


def name(someone: Holder) -> bytes:
    return read_certificate(someone.der).issuer_and_serial


def shared_info(wrap: Element, length: int) -> bytes:
    """RFC 5753 7.2, spelled out."""
    info = wrap.encoding.tobytes() + b"\xa2\x06\x04\x04" + (8 * length).to_bytes(4)
    return b"\x30" + bytes((len(info),)) + info


def agreed(info: bytes, someone: Holder) -> tuple[str, str, bytes]:
    """Give scheme, key wrap and content key of a KeyAgreeRecipientInfo."""
    outer = ber.read_only(info)
    assert outer.tag == 0xA1
    version, originator, algorithm, keys = outer.children()
    assert ber.integer(version) == 3
    assert originator.tag == 0xA0
    (public,) = originator.children()
    assert public.tag == 0xA1
    key_algorithm, bits = public.children()
    assert len(key_algorithm.children()) == 1  # parameters absent
    point = bits.contents[1:].tobytes()
    match someone.key:
        case ec.EllipticCurvePrivateKey() as key:
            assert oid(key_algorithm) == "1.2.840.10045.2.1"
            public_key = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
            secret = key.exchange(ec.ECDH(), public_key)
        case X25519PrivateKey() as key:
            assert oid(key_algorithm) == "1.3.101.110"
            secret = key.exchange(X25519PublicKey.from_public_bytes(point))
        case X448PrivateKey() as key:
            assert oid(key_algorithm) == "1.3.101.111"
            secret = key.exchange(X448PublicKey.from_public_bytes(point))
        case _:
            pytest.fail("no key to agree with")
    scheme, wrap = oid(algorithm), algorithm.children()[1]
    assert len(wrap.children()) == 1  # RFC 3565 2.3.2: parameters absent
    length, digest = WRAPS[oid(wrap)], DIGESTS[scheme]
    other = shared_info(wrap, length)
    if scheme.startswith(STANDARD_DH):
        kek = X963KDF(digest, length, other).derive(secret)
    else:
        kek = HKDF(digest, length, None, other).derive(secret)
    ((rid, encrypted),) = (one.children() for one in keys.children())
    assert rid.encoding == name(someone)
    return scheme, oid(wrap), aes_key_unwrap(kek, encrypted.contents.tobytes())


@pytest.mark.parametrize("oaep", [False, True])
def test_a_key_is_transported_by_rsa(oaep: bool) -> None:
    someone = holder("rsa")
    info = ber.read_only(someone.recipient(oaep=oaep).info(KEY))
    version, rid, algorithm, encrypted = info.children()
    assert (info.tag, ber.integer(version), rid.encoding.tobytes()) == (0x30, 0, name(someone))
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if oaep:
        assert algorithm.encoding == OAEP_SHA256.algorithm
        scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    else:
        assert algorithm.encoding == bytes.fromhex("300d06092a864886f70d0101010500")
    assert isinstance(someone.key, rsa.RSAPrivateKey)
    assert someone.key.decrypt(ber.octet_string(encrypted), scheme) == KEY


def test_the_parameters_of_oaep_are_der_and_name_sha256_twice() -> None:
    """RFC 4055 4.1: both digests with NULL, the default label absent."""
    sha256 = "300d06096086480165030402010500"
    mgf1 = f"301a06092a864886f70d010108{sha256}"
    assert OAEP_SHA256.algorithm.hex() == (f"303c06092a864886f70d010107302fa00f{sha256}a11c{mgf1}")


@pytest.mark.parametrize("kind", CURVES)
def test_a_key_is_agreed_on_by_ecdh(kind: str) -> None:
    """E53: a digest of the size of the curve."""
    scheme, wrap, key = agreed(holder(kind).recipient().info(KEY), holder(kind))
    assert (scheme, wrap, key) == (STANDARD_DH + CURVE_DIGESTS[kind], AES256_WRAP, KEY)


@pytest.mark.parametrize(("kind", "scheme"), [("x25519", "19"), ("x448", "21")])
def test_a_key_is_agreed_on_as_rfc_8418_says(kind: str, scheme: str) -> None:
    found, wrap, key = agreed(holder(kind).recipient().info(KEY), holder(kind))
    assert (found, wrap, key) == (f"1.2.840.113549.1.9.16.3.{scheme}", AES256_WRAP, KEY)


@pytest.mark.parametrize(("length", "wrap"), [(16, AES128_WRAP), (24, AES256_WRAP)])
def test_the_key_wrap_is_as_strong_as_the_content_cipher(length: int, wrap: str) -> None:
    assert agreed(holder("p256").recipient().info(KEY[:length]), holder("p256"))[1:] == (
        wrap,
        KEY[:length],
    )


def test_no_ephemeral_key_is_used_twice() -> None:
    for kind in ("p256", "x25519", "x448", "mlkem768"):
        recipient = holder(kind).recipient()
        assert recipient.info(KEY) != recipient.info(KEY)


@pytest.mark.parametrize(("kind", "kem"), [("mlkem768", "2"), ("mlkem1024", "3")])
@pytest.mark.parametrize("length", [16, 32])
def test_a_key_is_encapsulated_as_rfc_9936_says(kind: str, kem: str, length: int) -> None:
    someone = holder(kind)
    outer = ber.read_only(someone.recipient().info(KEY[:length]))
    assert outer.tag == 0xA4
    type_, value = outer.children()
    assert ber.object_identifier(type_) == "1.2.840.113549.1.9.16.13.3"
    version, rid, algorithm, ciphertext, kdf, kek_length, wrap, encrypted = value.children()
    assert (ber.integer(version), rid.encoding.tobytes()) == (0, name(someone))
    assert oid(algorithm) == f"2.16.840.1.101.3.4.4.{kem}"
    assert (oid(kdf), ber.integer(kek_length)) == ("1.2.840.113549.1.9.16.3.28", 32)
    assert oid(wrap) == AES256_WRAP
    assert [len(one.children()) for one in (algorithm, kdf, wrap)] == [1, 1, 1]
    assert isinstance(someone.key, MLKEM768PrivateKey | MLKEM1024PrivateKey)
    secret = someone.key.decapsulate(ber.octet_string(ciphertext))
    other = b"\x30\x10" + wrap.encoding.tobytes() + b"\x02\x01\x20"
    kek = HKDF(hashes.SHA256(), 32, None, other).derive(secret)
    assert aes_key_unwrap(kek, ber.octet_string(encrypted)) == KEY[:length]
