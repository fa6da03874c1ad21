import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime_proxy.cms import ber, der
from smime_proxy.cms.enveloped_data import RecipientInfo, parse_enveloped_data
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.key_agreement import SCHEMES, AgreementKey, AgreementScheme, agreed_key
from tests.unit.cms import made, ways
from tests.unit.cms.parties import CONTENT, indefinite

KEY = bytes(range(32))
P256 = ec.generate_private_key(ec.SECP256R1())
X25519 = x25519.X25519PrivateKey.generate()
X448 = x448.X448PrivateKey.generate()
CURVES: list[ec.EllipticCurve] = [
    ec.SECP256R1(),
    ec.SECP384R1(),
    ec.SECP521R1(),
    ec.BrainpoolP256R1(),
    ec.BrainpoolP384R1(),
    ec.BrainpoolP512R1(),
    ec.SECP224R1(),
    ec.SECP192R1(),
]
DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha1": ways.SHA1,
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
X963 = [row for row in SCHEMES.values() if row.derive is not None and "hkdf" not in row.name]
HKDF = [row for row in SCHEMES.values() if "hkdf" in row.name]
MQV = [row for row in SCHEMES.values() if row.derive is None]


def recipient(info: bytes) -> RecipientInfo:
    content = made.encrypted_content(CONTENT, KEY)
    (only,) = parse_enveloped_data(made.enveloped_data(info, encrypted=content)).recipients
    return only


def test_the_schemes_are_those_of_the_rfcs() -> None:
    """RFC 5753 7.1.4 and RFC 8418 3: names and digests."""
    assert (len(X963), len(HKDF), len(MQV)) == (10, 3, 5)
    for row in SCHEMES.values():
        assert row.digest.name in row.name
    assert SCHEMES["1.3.133.16.840.63.0.2"].name == "dhsinglepass_stddh_sha1kdf"
    assert SCHEMES["1.3.132.1.14.3"].name == "dhsinglepass_cofactordh_sha512kdf"
    assert SCHEMES["1.2.840.113549.1.9.16.3.21"].name == "dhsinglepass_stddh_hkdf_sha512"


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_curve_opens(curve: ec.EllipticCurve) -> None:
    """E53."""
    key = ec.generate_private_key(curve)
    assert agreed_key(recipient(ways.kari(KEY, key)), key) == KEY


@pytest.mark.parametrize("scheme", X963, ids=lambda row: row.name)
@pytest.mark.parametrize("key", [P256, X25519, X448], ids=["p256", "x25519", "x448"])
def test_every_scheme_with_the_x963_key_derivation_opens(
    scheme: AgreementScheme, key: AgreementKey
) -> None:
    """E53, RFC 8418 2."""
    info = ways.kari(KEY, key, scheme=scheme.oid, digest=DIGESTS[scheme.digest.name])
    assert agreed_key(recipient(info), key) == KEY


@pytest.mark.parametrize("scheme", HKDF, ids=lambda row: row.name)
@pytest.mark.parametrize("key", [X25519, X448, P256], ids=["x25519", "x448", "p256"])
@pytest.mark.parametrize(
    ("ukm", "salt"), [(None, None), (b"keying", b"keying"), (b"keying", None), (b"", None)]
)
def test_every_scheme_with_hkdf_opens(
    scheme: AgreementScheme, key: AgreementKey, ukm: bytes | None, salt: bytes | None
) -> None:
    """E53, RFC 8418 2.2: with the ukm as salt, or in the info only."""
    digest = DIGESTS[scheme.digest.name]
    info = ways.kari(KEY, key, scheme=scheme.oid, digest=digest, ukm=ukm, salt=salt)
    assert agreed_key(recipient(info), key) == KEY


@pytest.mark.parametrize("wrap", [ways.AES128_WRAP, ways.AES192_WRAP, ways.AES256_WRAP])
@pytest.mark.parametrize("parameters", [b"", der.NULL])
@pytest.mark.parametrize("ukm", [None, b"", b"keying material"])
def test_the_shared_info_is_as_it_was_sent(wrap: str, parameters: bytes, ukm: bytes | None) -> None:
    """E53, RFC 5753 7.2: NULL or absent."""
    info = ways.kari(KEY, P256, wrap=wrap, wrap_parameters=parameters, ukm=ukm)
    assert agreed_key(recipient(info), P256) == KEY


@pytest.mark.parametrize(("sent", "derived"), [(b"", der.NULL), (der.NULL, b"")])
@pytest.mark.parametrize("scheme", [ways.STD_SHA256, HKDF[0].oid])
def test_the_shared_info_may_have_the_other_form_of_no_parameters(
    sent: bytes, derived: bytes, scheme: str
) -> None:
    """E53: Bouncy Castle derived with NULL whatever it sent."""
    info = ways.kari(
        KEY, P256, scheme=scheme, wrap_parameters=sent, derived_parameters=derived, ukm=b"keying"
    )
    assert agreed_key(recipient(info), P256) == KEY


def test_triple_des_wrap_opens() -> None:
    key = bytes(range(24))
    info = ways.kari(key, P256, wrap=ways.TRIPLE_DES_WRAP, wrap_parameters=der.NULL)
    assert agreed_key(recipient(info), P256) == key


def test_recipients_are_named_by_key_identifier_too() -> None:
    """E53: RecipientKeyIdentifier, with its date."""
    date = der.element(der.GENERALIZED_TIME, b"20260101000000Z")
    rid = der.element(0xA0, ways.octet_string(b"\x01\x02"), date)
    named = recipient(ways.kari(KEY, P256, rid=rid))
    assert named.ski == b"\x01\x02"
    assert agreed_key(named, P256) == KEY


def test_a_chunked_public_key_opens() -> None:
    """E45."""
    info = ways.kari(KEY, P256)
    at = info.index(b"\x03\x42\x00\x04")
    whole = info[at : at + 0x44]
    chunked = indefinite(0x23, b"\x03\x0b\x00" + whole[3:13], b"\x03\x38\x00" + whole[13:])
    algorithm = made.algorithm("1.2.840.10045.2.1")
    before, after = (
        der.element(0xA0, der.element(0xA1, algorithm, bits)) for bits in (whole, chunked)
    )
    assert agreed_key(recipient(exchanged(info, before, after)), P256) == KEY


def exchanged(info: bytes, before: bytes, after: bytes) -> bytes:
    """Put an element in place of another one inside a recipientInfo."""
    assert before in info
    body = ber.first_header(info)[1]
    return der.element(0xA1, info[body:].replace(before, after))


def test_a_compressed_point_opens() -> None:
    sender = ec.generate_private_key(ec.SECP256R1())
    short = sender.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    secret = sender.exchange(ec.ECDH(), P256.public_key())
    info = ways.kari(KEY, P256, originator=short, secret=secret)
    assert agreed_key(recipient(info), P256) == KEY


def test_the_curve_may_stand_in_the_originators_algorithm() -> None:
    named = made.algorithm("1.2.840.10045.2.1", der.object_identifier("1.2.840.10045.3.1.7"))
    info = ways.kari(KEY, P256, originator_algorithm=named)
    assert agreed_key(recipient(info), P256) == KEY


def other_point() -> bytes:
    return ways.ephemeral(ec.generate_private_key(ec.BrainpoolP256R1()))[0]


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\x00",
        b"\x04" + bytes(64),
        b"\x04" + b"\x01" * 64,
        bytes(32),
        bytes(300),
        other_point(),
    ],
    ids=["empty", "short", "origin", "off the curve", "zero", "long", "other curve"],
)
@pytest.mark.parametrize("key", [P256, X25519, X448], ids=["p256", "x25519", "x448"])
def test_points_that_are_not_on_the_curve_open_nothing(point: bytes, key: AgreementKey) -> None:
    """Nor do points of small order (RFC 8418 2: an all-zero secret)."""
    with pytest.raises(DecryptionError):
        agreed_key(recipient(ways.kari(KEY, key, originator=point)), key)


def test_curves_outside_the_list_open_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    with pytest.raises(DecryptionError):
        agreed_key(recipient(ways.kari(KEY, key)), key)


@pytest.mark.parametrize("scheme", [MQV[0].oid, "1.2.3"])
def test_schemes_known_by_name_only_open_nothing(scheme: str) -> None:
    with pytest.raises(DecryptionError):
        agreed_key(recipient(ways.kari(KEY, P256, scheme=scheme)), P256)


def test_an_originator_known_by_certificate_only_opens_nothing() -> None:
    info = ways.kari(KEY, P256)
    end = info.index(made.algorithm(ways.STD_SHA256, made.algorithm(ways.AES256_WRAP)))
    for originator in (made.ALICE, der.element(0x80, b"ski")):
        body = der.integer(3) + der.element(0xA0, originator) + info[end:]
        named = recipient(der.element(0xA1, body))
        assert named.agreement is not None
        assert named.agreement.public_key == b""
        with pytest.raises(DecryptionError):
            agreed_key(named, P256)


def test_key_wraps_outside_the_list_open_nothing() -> None:
    for parameters in (made.algorithm("1.2.840.113549.1.9.16.3.7"), der.NULL, b""):
        before = made.algorithm(ways.STD_SHA256, made.algorithm(ways.AES256_WRAP))
        info = exchanged(ways.kari(KEY, P256), before, made.algorithm(ways.STD_SHA256, parameters))
        with pytest.raises(CmsError):
            agreed_key(recipient(info), P256)
