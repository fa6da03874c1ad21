from contextlib import suppress

import pytest
from asn1crypto import algos
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import algorithms, der
from smime_proxy.cms.algorithms import MGF1, SHA1, SHA256, SHA384, SHA512
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from smime_proxy.cms.pss import DEFAULT, PssParameters, read_pss_parameters
from tests.unit.cms.made import algorithm

DIGESTS = [SHA1, SHA256, SHA384, SHA512, algorithms.DIGESTS_BY_NAME["sha3_256"]]
MD5 = algorithm("1.2.840.113549.2.5", der.NULL)


def encoded(*fields: tuple[int, bytes]) -> bytes:
    return der.element(der.SEQUENCE, *(der.element(0xA0 + n, value) for n, value in fields))


@given(st.sampled_from(DIGESTS), st.sampled_from(DIGESTS), st.integers(0, 1024))
def test_what_is_written_is_read(
    digest: algorithms.Digest, mask: algorithms.Digest, salt_length: int
) -> None:
    parameters = PssParameters(digest, mask, salt_length)
    assert read_pss_parameters(parameters.encode()) == parameters


def test_they_are_the_ones_asn1crypto_reads_and_writes() -> None:
    raw = PssParameters(SHA256, SHA384, 48).encode()
    read = algos.RSASSAPSSParams.load(raw, strict=True)
    assert read["hash_algorithm"]["algorithm"].native == "sha256"
    assert read["mask_gen_algorithm"]["parameters"]["algorithm"].native == "sha384"
    assert (read["salt_length"].native, read["trailer_field"].native) == (48, "trailer_field_bc")
    assert read.dump(force=True) == raw
    assert PssParameters(SHA1, SHA1, 20).encode() == der.element(der.SEQUENCE)


def test_absent_parameters_and_fields_are_sha1_and_twenty() -> None:
    """RFC 4055 3.1."""
    for raw in (b"", der.NULL, der.element(der.SEQUENCE)):
        assert read_pss_parameters(raw) == DEFAULT
    only_hash = encoded((0, algorithm(SHA256.oid)))
    assert read_pss_parameters(only_hash) == PssParameters(SHA256, SHA1, 20)
    assert read_pss_parameters(encoded((1, algorithm(MGF1)))) == DEFAULT
    assert read_pss_parameters(encoded((3, der.integer(1)))) == DEFAULT


@pytest.mark.parametrize(
    "raw",
    [
        encoded((0, MD5)),
        encoded((0, algorithm("1.2.3"))),
        encoded((0, algorithm("2.16.840.1.101.3.4.2.12"))),
        encoded((1, algorithm("1.2.3", algorithm(SHA256.oid)))),
        encoded((1, algorithm(MGF1, MD5))),
        encoded((3, der.integer(2))),
    ],
)
def test_what_nobody_uses_is_unsupported(raw: bytes) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        read_pss_parameters(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x04\x00",
        encoded((2, der.integer(-1))),
        encoded((2, der.integer(1025))),
        encoded((2, der.NULL)),
        encoded((2, b"")),
        encoded((4, der.integer(1))),
        encoded((2, der.integer(20)), (2, der.integer(32))),
        encoded((2, der.integer(20))) + b"\x00",
    ],
)
def test_malformed_ones_are_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        read_pss_parameters(raw)


@given(st.binary(max_size=60))
def test_arbitrary_octets_raise_nothing_else(raw: bytes) -> None:
    with suppress(CmsError):
        read_pss_parameters(raw)
