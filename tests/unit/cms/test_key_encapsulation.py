import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smime_proxy.cms.enveloped_data import RecipientInfo, parse_enveloped_data
from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.key_encapsulation import EncapsulationKey, encapsulated_key, kem_info
from smime_proxy.cms.key_wrap import key_wrap
from tests.unit.cms import made, ways
from tests.unit.cms.parties import CONTENT

KEY = bytes(range(32))
SMALL = mlkem.MLKEM768PrivateKey.generate()
LARGE = mlkem.MLKEM1024PrivateKey.generate()
KEYS: list[tuple[str, EncapsulationKey]] = [
    (ways.ML_KEM_768, SMALL),
    (ways.ML_KEM_1024, LARGE),
]


def recipient(info: bytes) -> RecipientInfo:
    content = made.encrypted_content(CONTENT, KEY)
    (only,) = parse_enveloped_data(made.enveloped_data(info, encrypted=content)).recipients
    return only


@pytest.mark.parametrize(("kem", "key"), KEYS, ids=["768", "1024"])
@pytest.mark.parametrize("ukm", [None, b"", b"keying"])
def test_ml_kem_opens(kem: str, key: EncapsulationKey, ukm: bytes | None) -> None:
    """E94, RFC 9936."""
    named = recipient(ways.kemri(KEY, key, kem=kem, ukm=ukm))
    assert (named.type, named.algorithm) == ("ori", kem)
    assert named.id.startswith("CN=Test Root serial ")
    assert encapsulated_key(named, key) == KEY


def test_key_derivation_and_wrap_of_the_rfc_come_out() -> None:
    """RFC 9936 appendix: its KEM, ML-KEM-512, is missing in the primitives, the rest is as here."""
    secret = bytes.fromhex("7df12d412ae299a24fde6d7c3bb8e3194c80ad3c733dcf2775e09fe8bedb86d8")
    info = kem_info(made.algorithm(ways.AES128_WRAP), 16, None)
    assert info.hex() == "3010300b0609608648016503040105020110"
    kek = HKDF(hashes.SHA256(), 16, None, info).derive(secret)
    assert kek.hex() == "cf453a3e2bae0a78701b8206c185a008"
    wrapped = bytes.fromhex("c050e4392f9c14dd0ac2220203f317d701f94f9dd92778f5")
    key = key_wrap(ways.AES128_WRAP).unwrap(kek, wrapped)
    assert key.hex() == "c5153005588269a0a59f3c01943fdd56"


@pytest.mark.parametrize("wrap", [ways.AES128_WRAP, ways.AES192_WRAP, ways.AES256_WRAP])
@pytest.mark.parametrize(
    ("kdf", "digest"), [("28", hashes.SHA256()), ("29", hashes.SHA384()), ("30", hashes.SHA512())]
)
def test_every_key_derivation_and_wrap_opens(
    wrap: str, kdf: str, digest: hashes.HashAlgorithm
) -> None:
    oid = f"1.2.840.113549.1.9.16.3.{kdf}"
    info = ways.kemri(KEY, SMALL, kdf=oid, digest=digest, wrap=wrap)
    assert encapsulated_key(recipient(info), SMALL) == KEY


@pytest.mark.parametrize(
    "info",
    [
        ways.kemri(KEY, SMALL, stated_length=16),  # RFC 9629 2
        ways.kemri(KEY, SMALL, stated_length=-1),
        ways.kemri(KEY, SMALL, kdf="1.2.3"),
        ways.kemri(KEY, SMALL, kem=ways.ML_KEM_1024),
        ways.kemri(KEY, SMALL, kem="2.16.840.1.101.3.4.4.1"),
        ways.kemri(KEY, SMALL, ciphertext=b""),
        ways.kemri(KEY, SMALL, ciphertext=bytes(1088)),
        ways.kemri(KEY, LARGE),
        made.ktri(KEY),
    ],
)
def test_others_open_nothing(info: bytes) -> None:
    with pytest.raises(DecryptionError):
        encapsulated_key(recipient(info), SMALL)
