import hashlib

from asn1crypto import algos

from smime_proxy.cms import algorithms
from smime_proxy.cms.algorithms import Strength


def test_digest_names_are_those_of_asn1crypto() -> None:
    for row in algorithms.DIGESTS.values():
        assert algos.DigestAlgorithmId.map(row.oid) == row.name if row.name != "md4" else True


def test_each_signature_algorithm_with_a_digest_is_the_pair_asn1crypto_knows() -> None:
    for row in algorithms.SIGNATURES.values():
        if row.digest and row.oid != "1.3.14.3.2.29":  # sha1WithRSA of OIW
            digest = algos.SignedDigestAlgorithm({"algorithm": row.oid}).hash_algo
            assert digest == row.digest


def test_digests_are_the_ones_they_are_called() -> None:
    for row in algorithms.DIGESTS.values():
        if row.new is None or row.primitive is None:
            assert row.strength is Strength.BROKEN
            continue
        state = row.new()
        state.update(b"abc")
        assert state.digest() == hashlib.new(row.name, b"abc").digest()
        assert row.primitive.name == row.name


def test_what_is_outside_the_table_goes_by_its_dotted_name() -> None:
    """E94."""
    for name in (algorithms.digest_name, algorithms.signature_name):
        assert name("1.2.3.4") == "1.2.3.4"


def test_strengths_are_what_a_signature_is_judged_by() -> None:
    assert algorithms.DIGESTS_BY_NAME["sha1"].strength is Strength.WEAK
    assert algorithms.DIGESTS_BY_NAME["md5"].strength is Strength.BROKEN
