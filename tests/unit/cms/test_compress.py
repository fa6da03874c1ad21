"""CompressedData: read in every form, and closed to whatever would grow without end."""

import hashlib
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import compress, der, oids
from smime_proxy.cms.compress import ALLOWANCE, MAX_RATIO, decompress
from smime_proxy.cms.errors import CmsError, MalformedCms, UnsupportedAlgorithm
from tests.unit.cms import made


@given(st.binary(max_size=2_000))
def test_what_was_compressed_comes_out_again(content: bytes) -> None:
    assert decompress(made.compressed_data(content)) == content


def in_chunks(deflated: bytes, size: int) -> bytes:
    """Give CompressedData of indefinite length throughout, as streaming writers make it."""
    chunks = b"".join(
        der.element(der.OCTET_STRING, deflated[at : at + size])
        for at in range(0, len(deflated), size)
    )
    fields = der.integer(0) + made.algorithm(compress.ZLIB_COMPRESS)
    content = b"\x30\x80" + der.object_identifier(oids.DATA) + b"\xa0\x80\x24\x80" + chunks
    body = b"\xa0\x80\x30\x80" + fields + content + bytes(6) + bytes(4)
    return b"\x30\x80" + der.object_identifier(oids.COMPRESSED_DATA) + body + bytes(2)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_e45_ber_in_chunks_of_any_size_is_read(size: int) -> None:
    """E45."""
    content = bytes(range(256)) * 40
    assert decompress(in_chunks(zlib.compress(content), size)) == content


def test_output_zlib_holds_back_at_the_end_is_not_lost() -> None:
    content = b"a" * (ALLOWANCE - 1)
    assert decompress(made.compressed_data(content)) == content
    content = bytes(range(256)) * 6_000
    stored = zlib.compress(content, 0)
    assert decompress(made.compressed_data(b"", deflated=stored)) == content


@pytest.mark.parametrize(
    "raw",
    [
        made.compressed_data(b"", deflated=zlib.compress(b"cut" * 100)[:-6]),
        made.compressed_data(b"", deflated=zlib.compress(b"more") + b"x"),
        made.compressed_data(b"", deflated=b"no zlib at all"),
        made.compressed_data(b"", deflated=b""),
        made.compressed_data(b"", deflated=zlib.compress(b"x" * 70_000, 0) + b"y" * 70_000),
        made.wrap(oids.COMPRESSED_DATA, der.integer(0)),
        made.wrap(
            oids.COMPRESSED_DATA,
            der.integer(0),
            made.algorithm(compress.ZLIB_COMPRESS),
            der.element(der.SEQUENCE, der.object_identifier(oids.DATA)),
        ),
        made.signed_data(),
        b"rubbish",
    ],
)
def test_what_is_no_whole_compressed_content_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        decompress(raw)


def test_another_algorithm_is_named() -> None:
    with pytest.raises(UnsupportedAlgorithm, match=r"1\.2\.3"):
        decompress(made.compressed_data(b"x", oid="1.2.3"))


def test_e91_a_bomb_is_refused_by_its_ratio_and_a_short_repetition_is_not() -> None:
    """E91: 1,000 octets out for one in; the allowance is for short mail."""
    with pytest.raises(MalformedCms, match="too large"):
        decompress(made.compressed_data(bytes(ALLOWANCE + 1)))
    assert len(decompress(made.compressed_data(bytes(ALLOWANCE)))) == ALLOWANCE


def test_e91_the_ratio_is_of_the_octets_that_came() -> None:
    """E91."""
    noise = hashlib.shake_256(b"noise").digest(ALLOWANCE // MAX_RATIO + 1_000)
    for more, allowed in ((ALLOWANCE - 50_000, True), (2 * ALLOWANCE, False)):
        raw = made.compressed_data(noise + bytes(more))
        if allowed:
            assert len(decompress(raw)) > ALLOWANCE
        else:
            with pytest.raises(MalformedCms, match="too large"):
                decompress(raw)


def test_e91_no_content_goes_past_the_absolute_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """E91: whatever its ratio."""
    monkeypatch.setattr(compress, "MAX_INFLATED", 1_000)
    assert len(decompress(made.compressed_data(bytes(1_000)))) == 1_000
    with pytest.raises(MalformedCms, match="too large"):
        decompress(made.compressed_data(bytes(1_001)))


def test_e91_a_bomb_costs_no_more_memory_than_its_cap() -> None:
    """E91: what is inflated is bounded before it is joined."""
    bomb = made.compressed_data(bytes(100 * ALLOWANCE))
    tracemalloc.start()
    try:
        with pytest.raises(MalformedCms, match="too large"):
            decompress(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * ALLOWANCE


@given(st.data())
def test_no_octets_raise_anything_else(data: st.DataObject) -> None:
    whole = made.compressed_data(bytes(range(200)))
    place = data.draw(st.integers(0, len(whole) - 1))
    altered = whole[:place] + data.draw(st.binary(max_size=2)) + whole[place + 1 :]
    try:
        decompress(altered)
    except CmsError:
        return
