"""Private keys in PKCS #8 (RFC 5958), in the three forms of RFC 9935 6 and RFC 9881 6."""

import pytest
from asn1crypto import core
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from smime_proxy.certs.pkcs8 import read_private_key
from tests import pki
from tests.unit.certs.seeds import EXPANDED, both, encrypted, in_form, seed_form

KINDS = [MLKEM768PrivateKey, MLKEM1024PrivateKey, MLDSA65PrivateKey]
Kind = type[MLKEM768PrivateKey | MLKEM1024PrivateKey | MLDSA65PrivateKey]


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_is_taken_from_a_key_that_holds_more(kind: Kind) -> None:
    key = kind.generate()
    der = in_form(seed_form(key), both(key.private_bytes_raw()))
    with pytest.raises(ValueError, match="deserialize"):  # or this module is not needed any more
        load_der_private_key(der, None)
    for read in (read_private_key(der, None), read_private_key(encrypted(der, b"pw"), b"pw")):
        assert isinstance(read, kind)
        assert read.private_bytes_raw() == key.private_bytes_raw()


@pytest.mark.parametrize("password", [None, b"pw"])
def test_other_keys_are_read_as_the_library_reads_them(password: bytes | None) -> None:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    key = pki.root().key
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, protection)
    assert read_private_key(der, password).public_key() == key.public_key()


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"0",
        in_form(seed_form(MLKEM768PrivateKey.generate()), core.OctetString(EXPANDED).dump()),
        in_form(seed_form(MLKEM768PrivateKey.generate()), both(bytes(63))),
        in_form(seed_form(MLDSA65PrivateKey.generate()), both(bytes(64))),
    ],
    ids=["nothing", "cut", "no seed", "short seed", "long seed"],
)
def test_a_key_without_its_seed_is_not_read(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"deserialize|parsing"):
        read_private_key(der, None)


def test_a_wrong_password_stays_the_librarys_word() -> None:
    key = MLKEM768PrivateKey.generate()
    der = encrypted(in_form(seed_form(key), both(key.private_bytes_raw())), b"pw")
    with pytest.raises(ValueError, match="password"):
        read_private_key(der, b"wrong")
    with pytest.raises(TypeError, match=r"[Pp]assword"):
        read_private_key(der, None)
