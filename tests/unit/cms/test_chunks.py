import sys

from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms.chunks import CHUNK, chunks, room, tail, without_tail

PIECES = st.lists(st.binary(max_size=20), max_size=6)


@given(PIECES)
def test_nothing_is_lost_or_moved(pieces: list[bytes]) -> None:
    assert b"".join(chunks(pieces)) == b"".join(pieces)


def test_large_pieces_are_cut_and_small_ones_joined() -> None:
    pieces = [b"a", b"b" * (3 * CHUNK + 5), *[b"c"] * (CHUNK + 7), b"d" * CHUNK]
    cut = list(chunks(pieces))
    assert b"".join(cut) == b"".join(pieces)
    assert max(map(len, cut)) <= 2 * CHUNK
    assert len(cut) < 10


@given(PIECES, st.integers(0, 50))
def test_an_end_can_be_cut_off(pieces: list[bytes], length: int) -> None:
    whole = b"".join(pieces)
    end = tail(pieces, length)
    assert end == (whole[-length:] if length else b"")
    assert b"".join(without_tail(pieces, length)) + end == whole


@given(st.binary(max_size=300))
def test_room_holds_what_is_written_into_it(octets: bytes) -> None:
    buffer = room(len(octets))
    for octet in octets:
        buffer.write(bytes((octet,)))
    assert buffer.getvalue() == octets


def test_room_is_there_at_once() -> None:
    buffer = room(1_000_000)
    before = sys.getsizeof(buffer)
    buffer.write(bytes(1_000_000))
    assert sys.getsizeof(buffer) == before
