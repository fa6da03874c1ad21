from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_are_what_asn1crypto_writes(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@given(
    st.tuples(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=8))
)
def test_object_identifiers_are_what_asn1crypto_writes(
    arcs: tuple[int, int, list[int]],
) -> None:
    dotted = ".".join(map(str, (arcs[0], arcs[1], *arcs[2])))
    assert der.object_identifier(dotted) == core.ObjectIdentifier(dotted).dump()


@pytest.mark.parametrize(
    ("length", "encoded"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100")],
)
def test_lengths_take_the_fewest_octets(length: int, encoded: str) -> None:
    assert der.header(der.OCTET_STRING, length) == bytes.fromhex(encoded)


def test_an_element_is_header_and_parts() -> None:
    assert der.element(der.SEQUENCE, b"\x05\x00", b"\x02\x01\x01") == bytes.fromhex(
        "30050500020101"
    )


def test_a_set_is_sorted() -> None:
    assert der.set_of([b"\x02\x01\x02", b"\x02\x01\x01"]) == b"\x02\x01\x01\x02\x01\x02"


@pytest.mark.parametrize(
    ("moment", "encoded"),
    [
        (datetime(2026, 6, 1, 12, 30, 5, 99, tzinfo=UTC), b"\x17\x0d260601123005Z"),
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
        (datetime(1949, 12, 31, tzinfo=UTC), b"\x18\x0f19491231000000Z"),
        (
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            b"\x17\x0d251231230000Z",
        ),
    ],
)
def test_times_are_utc_and_general_outside_the_hundred_years(
    moment: datetime, encoded: bytes
) -> None:
    assert der.time(moment) == encoded


def test_content_is_pieces_and_has_a_size() -> None:
    assert list(der.pieces(b"ab")) == [b"ab"]
    assert list(der.pieces([b"ab", memoryview(b"c")])) == [b"ab", b"c"]
    assert der.size([b"ab", memoryview(b"c")]) == 3
