import hashlib
from contextlib import suppress

import pytest
from asn1crypto import algos
from cryptography.x509.oid import ObjectIdentifier, SignatureAlgorithmOID

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import SHA256, Strength


def test_digest_names_are_those_of_asn1crypto() -> None:
    for row in algorithms.DIGESTS.values():
        if row.name != "md4":
            assert algos.DigestAlgorithmId.map(row.oid).removesuffix("_len") == row.name


def test_each_signature_algorithm_with_a_digest_is_the_pair_asn1crypto_knows() -> None:
    compared = 0
    for row in algorithms.SIGNATURES.values():
        if row.digest:
            with suppress(ValueError):
                digest = algos.SignedDigestAlgorithm({"algorithm": row.oid}).hash_algo
                assert digest == row.digest
                compared += 1
    assert compared == 17


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_sha3_signatures_are_the_ones_the_library_names(bits: int) -> None:
    for kind, name in (("RSA", "rsassa_pkcs1v15"), ("ECDSA", "ecdsa")):
        oid: ObjectIdentifier = getattr(SignatureAlgorithmOID, f"{kind}_WITH_SHA3_{bits}")
        row = algorithms.SIGNATURES[oid.dotted_string]
        assert (row.name, row.digest) == (name, f"sha3_{bits}")
        assert algorithms.DIGESTS_BY_NAME[row.digest].strength is Strength.STRONG


def test_a_shake_that_says_its_length_must_say_the_one_of_cms() -> None:
    """RFC 8419 3.1."""
    with_length = algorithms.SHAKE256_LEN.oid
    assert algorithms.read_digest(with_length, der.integer(512)) is algorithms.SHAKE256_LEN
    for parameters in (b"", der.integer(256), der.NULL):
        assert algorithms.read_digest(with_length, parameters) is None
    assert algorithms.read_digest(SHA256.oid, der.NULL) is SHA256
    assert algorithms.read_digest(SHA256.oid, b"") is SHA256
    assert algorithms.read_digest("1.2.3", b"") is None


def test_digests_are_the_ones_they_are_called() -> None:
    for row in algorithms.DIGESTS.values():
        if row.new is None or row.primitive is None:
            assert row.strength is Strength.BROKEN
            continue
        state = row.new()
        state.update(b"abc")
        known = hashlib.new(row.name, b"abc")
        size = row.primitive.digest_size
        lengths = (size,) if row.name.startswith("shake") else ()
        assert state.digest() == known.digest(*lengths)
        assert len(state.digest()) == size
        assert row.primitive.name.replace("-", "_") == row.name


def test_what_is_outside_the_table_goes_by_its_dotted_name() -> None:
    """E94."""
    for name in (algorithms.digest_name, algorithms.signature_name):
        assert name("1.2.3.4") == "1.2.3.4"


def test_strengths_are_what_a_signature_is_judged_by() -> None:
    assert algorithms.DIGESTS_BY_NAME["sha1"].strength is Strength.WEAK
    assert algorithms.DIGESTS_BY_NAME["md5"].strength is Strength.BROKEN
