"""What a key file holds and would cost (RFC 7292 4, RFC 8018); row E83."""

import pytest
from asn1crypto import algos, core
from asn1crypto import keys as asn1_keys
from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.serialization import pkcs12

from smime_proxy.certs.definite import encoded
from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.keybags import MAX_KDF_ROUNDS, key_bags, refuse_costly, without_keys
from tests import pki

ALICE = pki.person(pki.root(), "alice@example.test")


@pytest.mark.parametrize("legacy", [False, True])
def test_the_encrypted_key_is_found(legacy: bool) -> None:
    (bag,) = key_bags(ALICE.pkcs12(b"secret", legacy=legacy))
    key = serialization.load_der_private_key(bag, b"secret")
    assert key.public_key() == ALICE.key.public_key()


def test_a_key_that_is_not_encrypted_is_found() -> None:
    (bag,) = key_bags(ALICE.pkcs12(None))
    assert bag == ALICE.key_der()


def with_ml_kem(password: bytes | None) -> tuple[bytes, bytes]:
    """Put an ML-KEM key in place of the key of a file without MAC; give file and key."""
    own = mlkem.MLKEM768PrivateKey.generate()
    key = own.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )
    kind = "1.2.840.113549.1.12.10.1." + ("2" if password else "1")
    oid = core.ObjectIdentifier(kind).dump()
    plain = without_keys(ALICE.pkcs12(None))
    pfx = asn1_pkcs12.Pfx.load(plain)
    safe = asn1_pkcs12.AuthenticatedSafe.load(bytes(pfx["auth_safe"]["content"]))
    bag = encoded(0x30, oid + encoded(0xA0, key))
    safe.append({"content_type": "data", "content": encoded(0x30, bag)})
    pfx["auth_safe"]["content"] = safe.dump()
    return pfx.dump(force=True), key


@pytest.mark.parametrize("password", [None, b"secret"])
def test_keys_of_kinds_asn1crypto_does_not_know_are_found(password: bytes | None) -> None:
    raw, key = with_ml_kem(password)
    assert key_bags(raw) == (key,)


def test_certificates_are_left_when_the_keys_are_taken_out() -> None:
    for password, legacy in ((b"secret", False), (b"secret", True), (None, False)):
        raw = without_keys(ALICE.pkcs12(password, legacy=legacy))
        assert key_bags(raw) == ()
        key, certificate, others = pkcs12.load_key_and_certificates(raw, password)
        found = [one for one in (certificate, *others) if one is not None]
        assert key is None
        assert found == [ALICE.certificate.x509()]


def test_a_fault_where_nobody_looked_for_keys_is_our_error() -> None:
    raw = ALICE.pkcs12(None)
    other_version = raw.replace(b"\x02\x01\x03", b"\x80\x01\x03", 1)
    assert key_bags(other_version) == key_bags(raw)
    with pytest.raises(KeyFileError, match="malformed"):
        without_keys(other_version)


@pytest.mark.parametrize("raw", [b"", b"text", b"\x30\x00", pki.root().der])
def test_what_is_no_pkcs12_is_our_error(raw: bytes) -> None:
    with pytest.raises(KeyFileError, match="neither PEM nor PKCS #12"):
        key_bags(raw)


def test_too_many_rounds_for_the_mac_are_refused() -> None:
    pfx = asn1_pkcs12.Pfx.load(ALICE.pkcs12(b"secret", legacy=True))
    pfx["mac_data"]["iterations"] = MAX_KDF_ROUNDS + 1
    with pytest.raises(KeyFileError, match="1000001 rounds"):
        key_bags(pfx.dump(force=True))


def test_too_many_rounds_for_a_key_are_refused() -> None:
    (bag,) = key_bags(ALICE.pkcs12(b"secret", legacy=True))
    refuse_costly(bag)
    key = asn1_keys.EncryptedPrivateKeyInfo.load(bag)
    key["encryption_algorithm"]["parameters"]["iterations"] = MAX_KDF_ROUNDS + 1
    with pytest.raises(KeyFileError, match="rounds of key derivation"):
        refuse_costly(key.dump(force=True))


def pbes2(derivation: dict[str, object]) -> bytes:
    return bytes(
        asn1_keys.EncryptedPrivateKeyInfo(
            {
                "encryption_algorithm": {
                    "algorithm": "pbes2",
                    "parameters": {
                        "key_derivation_func": derivation,
                        "encryption_scheme": {"algorithm": "aes256_cbc", "parameters": bytes(16)},
                    },
                },
                "encrypted_data": b"",
            }
        ).dump()
    )


def pbkdf2(rounds: int) -> dict[str, object]:
    salt = algos.Pbkdf2Salt(name="specified", value=core.OctetString(b"salt"))
    return {"algorithm": "pbkdf2", "parameters": {"salt": salt, "iteration_count": rounds}}


def test_pbkdf2_rounds_are_capped() -> None:
    refuse_costly(pbes2(pbkdf2(MAX_KDF_ROUNDS)))
    with pytest.raises(KeyFileError, match="rounds of key derivation"):
        refuse_costly(pbes2(pbkdf2(MAX_KDF_ROUNDS + 1)))


def test_derivations_that_take_memory_are_refused() -> None:
    scrypt = "1.3.6.1.4.1.11591.4.11"
    with pytest.raises(KeyFileError, match="not supported"):
        refuse_costly(pbes2({"algorithm": scrypt, "parameters": core.Null()}))


@pytest.mark.parametrize("rounds", [MAX_KDF_ROUNDS, MAX_KDF_ROUNDS + 1])
def test_the_rounds_of_a_pbmac1_are_capped_too(rounds: int) -> None:
    """RFC 9579 2: the outer count says nothing then."""
    pfx = asn1_pkcs12.Pfx.load(ALICE.pkcs12(b"secret", legacy=True))
    scheme = core.Sequence.load(b"\x30\x00")
    parameters = algos.KdfAlgorithm(pbkdf2(rounds)).dump() + scheme.dump()
    header = bytes([0x30, len(parameters)])
    pfx["mac_data"]["mac"]["digest_algorithm"] = algos.DigestAlgorithm(
        {
            "algorithm": "1.2.840.113549.1.5.14",
            "parameters": core.Any(core.Sequence.load(header + parameters)),
        }
    )
    raw = pfx.dump(force=True)
    if rounds <= MAX_KDF_ROUNDS:
        assert len(key_bags(raw)) == 1
        return
    with pytest.raises(KeyFileError, match="rounds of key derivation"):
        key_bags(raw)


def test_a_malformed_key_is_our_error() -> None:
    with pytest.raises(KeyFileError, match="malformed"):
        refuse_costly(b"\x30\x00")
