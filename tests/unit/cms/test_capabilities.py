from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.cms.capabilities import (
    MAX_CAPABILITIES,
    Capabilities,
    encode_capabilities,
    parse_capabilities,
)
from smime_proxy.cms.errors import CmsError, MalformedCms
from tests.unit.cms.made import algorithm

RC2 = "1.2.840.113549.3.2"
AES256 = "2.16.840.1.101.3.4.1.42"
ENTRIES = st.tuples(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=6).map(
        lambda arcs: ".".join(map(str, (1, 3, *arcs)))
    ),
    st.sampled_from([b"", der.NULL, der.integer(128)]),
)


@given(st.lists(ENTRIES, max_size=20, unique=True))
def test_what_is_written_is_read_in_its_order(entries: list[tuple[str, bytes]]) -> None:
    capabilities = Capabilities(tuple(entries))
    assert parse_capabilities(encode_capabilities(capabilities)) == capabilities


def test_unknown_ones_and_parameters_are_kept() -> None:
    """RFC 8551 2.5.2."""
    raw = der.element(
        der.SEQUENCE,
        algorithm("1.2.3.4", der.NULL),
        algorithm(AES256),
        algorithm(RC2, b"\x02\x01\x28"),
    )
    found = parse_capabilities(raw)
    assert found.identifiers == (("1.2.3.4", der.NULL), (AES256, b""), (RC2, b"\x02\x01\x28"))
    assert encode_capabilities(found) == raw


def test_each_is_kept_once() -> None:
    raw = der.element(der.SEQUENCE, *[algorithm(AES256)] * 3)
    assert parse_capabilities(raw).identifiers == ((AES256, b""),)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x05\x00",
        der.element(der.SET, algorithm(AES256)),
        der.element(der.SEQUENCE, der.NULL),
        der.element(der.SEQUENCE, der.element(der.SEQUENCE)),
        der.element(der.SEQUENCE, *[algorithm("1.2.3")] * (MAX_CAPABILITIES + 1)),
        der.element(der.SEQUENCE, algorithm("1.2.3", der.element(0x04, bytes(5000)))),
    ],
)
def test_malformed_ones_and_floods_are_refused(raw: bytes) -> None:
    """E91."""
    with pytest.raises(MalformedCms):
        parse_capabilities(raw)


@given(st.binary(max_size=60))
def test_arbitrary_octets_raise_nothing_else(raw: bytes) -> None:
    with suppress(CmsError):
        parse_capabilities(raw)
