import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import mlkem

from smime_proxy.cms.enveloped_data import RecipientInfo, parse_enveloped_data
from smime_proxy.cms.errors import DecryptionError
from smime_proxy.cms.key_encapsulation import EncapsulationKey, encapsulated_key
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
