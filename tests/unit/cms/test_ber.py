import tracemalloc

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import ber, der
from smime_proxy.cms.errors import CmsError, MalformedCms
from tests.unit.cms.parties import indefinite


def chunk(octets: bytes) -> bytes:
    return der.element(der.OCTET_STRING, octets)


def trees() -> st.SearchStrategy[bytes]:
    leaves = st.binary(max_size=200).map(chunk)
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from([0x30, 0xA0, 0x24]), st.lists(inner), st.booleans())
        .map(lambda t: indefinite(t[0], *t[1]) if t[2] else der.element(t[0], *t[1])),
        max_leaves=12,
    )  # fmt: skip


@given(st.binary(max_size=300))
def test_arbitrary_octets_raise_nothing_else(raw: bytes) -> None:
    try:
        element, rest = ber.read(raw)
        ber.to_der(element)
        ber.octets(element)
    except CmsError:
        return
    assert element.encoding.tobytes() + rest.tobytes() == raw


@given(trees())
def test_an_element_ends_where_it_ends(raw: bytes) -> None:
    element, rest = ber.read(raw + b"more")
    assert element.encoding == raw
    assert rest.tobytes() == b"more"


@given(trees())
def test_der_of_anything_is_definite_and_stable(raw: bytes) -> None:
    try:
        encoded = ber.to_der(ber.read_only(raw))
    except MalformedCms:  # a chunked string with something else in it
        return
    assert ber.read_only(encoded).definite
    assert ber.to_der(ber.read_only(encoded)) == encoded


SOME_TINY = st.one_of(st.binary(max_size=20), st.integers(0, 400).map(bytes))


@given(st.lists(SOME_TINY, max_size=20))
def test_chunked_strings_come_in_one_piece_whatever_their_form(chunks: list[bytes]) -> None:
    """E45, M3: asn1crypto refuses the definite-length constructed form."""
    parts = [chunk(octets) for octets in chunks]
    for raw in (der.element(0x24, *parts), indefinite(0x24, *parts), indefinite(0xA0, *parts)):
        assert b"".join(ber.octets(ber.read_only(raw))) == b"".join(chunks)


def test_tiny_chunks_come_together_and_large_ones_uncopied() -> None:
    """A view of each would take a hundred times the memory of the octet it shows."""
    large = bytes(1_000)
    raw = indefinite(0x24, chunk(b"a"), chunk(b"b"), chunk(large), chunk(large), chunk(b"c"))
    pieces = ber.octets(ber.read_only(raw))
    assert pieces == [b"ab", large, large, b"c"]
    assert [piece.obj is raw for piece in pieces] == [False, True, True, False]


def test_chunks_of_one_octet_take_no_more_memory_than_their_elements() -> None:
    """The elements themselves are bounded in number."""
    raw = indefinite(0x24, *(chunk(b"a") for _ in range(20_000)))
    element = ber.read_only(raw)
    tracemalloc.start()
    try:
        ber.octets(element)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 20_000


def test_chunks_may_be_chunked_themselves() -> None:
    raw = indefinite(0x24, chunk(b"a"), indefinite(0x24, chunk(b"b"), chunk(b"c")), chunk(b"d"))
    assert ber.octet_string(ber.read_only(raw)) == b"abcd"


def test_something_else_inside_a_chunked_string_is_refused() -> None:
    with pytest.raises(MalformedCms, match="foreign element"):
        ber.octets(ber.read_only(indefinite(0x24, der.integer(1))))


def test_a_bit_string_in_chunks_keeps_the_last_count_of_unused_bits() -> None:
    raw = indefinite(0x23, b"\x03\x02\x00\xff", b"\x03\x02\x04\xf0")
    assert ber.to_der(ber.read_only(raw)) == b"\x03\x03\x04\xff\xf0"


def test_der_sorts_a_set_and_keeps_its_order_when_told() -> None:
    """E46."""
    raw = indefinite(0xA0, der.integer(2), der.integer(1))
    element = ber.read_only(raw)
    assert ber.to_der(element, tag=der.SET) == bytes.fromhex("3106020101020102")
    assert ber.to_der(element, tag=der.SET, sort=False) == bytes.fromhex("3106020102020101")


def test_der_shortens_long_lengths() -> None:
    assert ber.to_der(ber.read_only(bytes.fromhex("30830000020500"))) == b"\x30\x02\x05\x00"


@pytest.mark.parametrize("raw", [b"\x1f\x05\x01\x00", b"\xbf\x87\x68\x80\x02\x01\x01\x00\x00"])
def test_a_tag_number_of_several_octets_is_not_lost(raw: bytes) -> None:
    element = der.element(der.SEQUENCE, raw, der.NULL)
    assert ber.to_der(ber.read_only(element)) == element


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "no octets"),
        ("30", "ends inside"),
        ("3005", "longer than what holds it"),
        ("3080", "ends inside"),
        ("30800400", "ends inside"),
        ("0480", "primitive element of indefinite"),
        ("0000", "end mark"),
        ("30020000", "end mark"),
        ("3085", "unreadable"),
        ("30890000000000000000", "unreadable"),
        ("1f8080808080808000", "tag number"),
        ("308000050000", "end mark"),
    ],
)  # fmt: skip
def test_broken_headers_are_refused(raw: str, reason: str) -> None:
    with pytest.raises(MalformedCms, match=reason):
        ber.read_only(bytes.fromhex(raw)).children()


def test_long_tag_numbers_are_walked_over() -> None:
    raw = bytes.fromhex("3080 bf8105 03 020107 020101 0000")
    assert [child.tag for child in ber.read_only(raw).children()] == [0xBF, 0x02]


def nested(depth: int, *, definite: bool) -> bytes:
    raw = b""
    for _ in range(depth):
        raw = der.element(0x30, raw) if definite else indefinite(0x30, raw)
    return raw


@pytest.mark.parametrize("definite", [True, False])
def test_depth_is_limited(definite: bool) -> None:
    """M6, asn1crypto issue 300: a stack is no limit."""
    ber.to_der(ber.read_only(nested(ber.MAX_DEPTH, definite=definite)))
    with pytest.raises(MalformedCms, match="too deep"):
        ber.to_der(ber.read_only(nested(ber.MAX_DEPTH + 1, definite=definite)))
    with pytest.raises(MalformedCms, match="too deep"):
        ber.to_der(ber.read_only(nested(10_000, definite=False)))


def test_elements_are_limited() -> None:
    """M5: three megabytes of one octet chunks."""
    with pytest.raises(MalformedCms, match="too many elements"):
        ber.read(indefinite(0x24, chunk(b"x") * (ber.MAX_ELEMENTS + 1)))
    ber.read(indefinite(0x24, chunk(b"x") * (ber.MAX_ELEMENTS - 1)))


def test_each_header_is_read_once() -> None:
    """Linear: an element costs one from the budget however deep it stands."""
    parts = chunk(b"x") * 50
    raw = indefinite(0x30, indefinite(0x30, indefinite(0x30, parts)), der.element(0x30, parts))
    element = ber.read_only(raw)
    outer, definite = element.children()
    outer.children()[0].children()
    definite.children()
    assert ber.MAX_ELEMENTS - element.walk.left == 4 + 50 + 50


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.7.2", "2.999.3", "0.9.2342", "2.5.4.3"])
def test_object_identifiers_read_as_asn1crypto_writes_them(dotted: str) -> None:
    assert ber.object_identifier(ber.read_only(core.ObjectIdentifier(dotted).dump())) == dotted


@pytest.mark.parametrize("raw", ["0600", "0602 2a86", "06 41" + "2a" * 65, "0201 01"])
def test_odd_object_identifiers_are_refused(raw: str) -> None:
    with pytest.raises(MalformedCms):
        ber.object_identifier(ber.read_only(bytes.fromhex(raw)))


@given(st.integers(min_value=-(2**100), max_value=2**100))
def test_integers_read_as_they_were_written(value: int) -> None:
    assert ber.integer(ber.read_only(der.integer(value))) == value


@pytest.mark.parametrize("raw", [b"\x02\x00", der.element(2, b"\x01" * (ber.MAX_INTEGER + 1))])
def test_odd_integers_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        ber.integer(ber.read_only(raw))


def test_octets_behind_the_end_are_refused() -> None:
    with pytest.raises(MalformedCms, match="behind"):
        ber.read_only(b"\x05\x00\x00")


def test_what_is_no_octet_string_is_refused() -> None:
    with pytest.raises(MalformedCms):
        ber.octet_string(ber.read_only(der.integer(1)))


def test_the_first_element_is_measured_without_its_contents() -> None:
    assert ber.first_element(bytes.fromhex("31820100")) == (0x31, 260)
    with pytest.raises(MalformedCms):
        ber.first_element(b"\x31\x80")
    assert ber.first_header(bytes.fromhex("3080")) == (0x30, 2)
