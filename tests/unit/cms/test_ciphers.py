from asn1crypto import algos

from smime_proxy.cms import ciphers
from smime_proxy.cms.algorithms import RSA_ENCRYPTION, Strength


def test_cipher_names_are_those_of_asn1crypto_where_it_knows_them() -> None:
    for row in ciphers.CIPHERS.values():
        assert algos.EncryptionAlgorithmId._map.get(row.oid, row.name) == row.name


def test_key_transport_names_are_those_of_asn1crypto() -> None:
    known = {"rsaes_pkcs1v15": RSA_ENCRYPTION, "rsaes_oaep": "1.2.840.113549.1.1.7"}
    assert {row.name: row.oid for row in ciphers.KEY_TRANSPORTS.values()} == known


def test_key_and_block_lengths_are_the_ciphers() -> None:
    for row in ciphers.CIPHERS.values():
        if row.algorithm is not None:
            cipher = row.algorithm(bytes(range(row.key_length)))
            assert (cipher.key_size, cipher.block_size) == (
                row.key_length * 8,
                row.block_length * 8,
            )


def test_what_is_outside_the_table_goes_by_its_dotted_name_and_is_weak() -> None:
    """E94."""
    assert ciphers.cipher_name("1.2.3.4") == "1.2.3.4"
    assert ciphers.cipher_strength("1.2.3.4") is Strength.WEAK


def test_only_ciphers_with_a_tag_are_authenticated() -> None:
    authenticated = {row.name for row in ciphers.CIPHERS.values() if row.is_authenticated}
    modes = {f"aes{bits}_{mode}" for bits in (128, 192, 256) for mode in ("gcm", "ccm")}
    assert authenticated == modes | {"chacha20_poly1305"}


def test_strengths_are_what_the_lock_shows() -> None:
    """V24."""
    for name in ("aes128_cbc", "aes256_gcm", "chacha20_poly1305"):
        assert ciphers.cipher_strength(name) is Strength.STRONG
    for name in ("tripledes_3key", "rc2", "rc4", "des"):
        assert ciphers.cipher_strength(name) is Strength.WEAK
