from dataclasses import replace

import pytest

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import SHA1, SHA256, SHA512, KeyKind
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters
from smime_proxy.cms.schemes import PSS_SHA256
from smime_proxy.cms.signed_data import SignerInfo, parse_signed_data
from smime_proxy.cms.ways import Way, content_digest, ways
from tests.unit.cms import made

MD5 = algorithms.DIGESTS_BY_NAME["md5"]
RSA_SHA1 = "1.2.840.113549.1.1.5"
RSA_MD5 = "1.2.840.113549.1.1.4"


def info(
    signature_algorithm: str = algorithms.RSA_ENCRYPTION,
    digest: str = SHA256.oid,
    parameters: bytes = b"",
    digest_parameters: bytes = b"",
    *,
    attributes: bool = True,
) -> SignerInfo:
    (signer,) = parse_signed_data(made.signed_data(made.signer_info([]))).signers
    return replace(
        signer,
        digest=digest,
        digest_parameters=digest_parameters,
        signature_algorithm=signature_algorithm,
        signature_parameters=parameters,
        signed_attributes=signer.signed_attributes if attributes else None,
    )


def test_the_digest_is_the_one_that_is_named() -> None:
    assert content_digest(info()) is SHA256
    assert content_digest(info(attributes=False)) is SHA256
    shake = algorithms.SHAKE256_LEN
    assert content_digest(info(algorithms.ED448, shake.oid, b"", shake.parameters)) is shake
    with pytest.raises(UnsupportedAlgorithm, match="unsupported digest"):
        content_digest(info(algorithms.ED448, shake.oid, b"", der.integer(256)))
    with pytest.raises(UnsupportedAlgorithm, match=r"unsupported digest: 1\.2\.3"):
        content_digest(info(digest="1.2.3"))
    with pytest.raises(CmsError, match="weak digest md5"):
        content_digest(info(digest=MD5.oid))


@pytest.mark.parametrize(
    "oid", [algorithms.ED25519, algorithms.ED448, algorithms.ML_DSA_44, algorithms.ML_DSA_87]
)
def test_the_digest_is_not_looked_at_where_the_content_is_signed(oid: str) -> None:
    """RFC 9882 3.3."""
    for digest in (SHA256.oid, MD5.oid, "1.2.3"):
        signer = info(oid, digest, attributes=False)
        assert content_digest(signer) is None
        assert ways(signer, None)[0].digest is None
    with pytest.raises(CmsError, match="weak digest md5"):
        content_digest(info(oid, MD5.oid))


def test_the_digest_of_the_algorithm_comes_before_the_signers() -> None:
    assert ways(info(), SHA256) == [Way(KeyKind.RSA, SHA256)]
    assert ways(info(RSA_SHA1), SHA256) == [Way(KeyKind.RSA, SHA1), Way(KeyKind.RSA, SHA256)]
    assert ways(info(RSA_SHA1), SHA1) == [Way(KeyKind.RSA, SHA1)]
    with pytest.raises(CmsError, match="weak digest md5"):
        ways(info(RSA_MD5), SHA256)


def test_shake_is_for_ecdsa() -> None:
    shake = algorithms.DIGESTS_BY_NAME["shake256"]
    ecdsa = algorithms.ECDSA_WITH_SHA256
    assert ways(info(ecdsa), shake) == [Way(KeyKind.EC, SHA256), Way(KeyKind.EC, shake)]
    with pytest.raises(UnsupportedAlgorithm, match="shake256"):
        ways(info(), shake)


def test_pss_is_by_its_parameters() -> None:
    pss = info(algorithms.RSASSA_PSS, parameters=PSS_SHA256.encode())
    assert ways(pss, SHA256) == [Way(KeyKind.RSA, SHA256, PSS_SHA256)]
    with_sha1 = info(algorithms.RSASSA_PSS)
    assert ways(with_sha1, SHA1) == [Way(KeyKind.RSA, SHA1, PssParameters(SHA1, SHA1, 20))]


def test_pss_over_another_digest_than_the_contents_is_refused() -> None:
    """E56, RFC 4056 3."""
    pss = info(algorithms.RSASSA_PSS, parameters=PSS_SHA256.encode())
    with pytest.raises(CmsError, match="RSASSA-PSS with sha256 over a sha512 digest"):
        ways(pss, SHA512)
    with pytest.raises(CmsError, match="RSASSA-PSS with sha1"):
        ways(info(algorithms.RSASSA_PSS), SHA256)


@pytest.mark.parametrize("oid", ["1.2.3.4", "1.3.6.1.5.5.7.6.31"])
def test_other_algorithms_are_unsupported_and_named(oid: str) -> None:
    """E94."""
    with pytest.raises(UnsupportedAlgorithm, match=algorithms.signature_name(oid)):
        ways(info(oid), SHA256)
