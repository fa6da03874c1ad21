"""Entries are found by issuer and serial number, in little memory, whoever made the list."""

import tracemalloc

import pytest

from smime_proxy.certs import entry_index
from smime_proxy.certs.definite import encoded
from smime_proxy.certs.entry_index import EntryIndex


def entry(serial: bytes) -> bytes:
    return encoded(0x30, encoded(0x02, serial) + encoded(0x17, b"260101000000Z"))


def index(*entries: tuple[bytes, bytes]) -> tuple[EntryIndex, list[int]]:
    der, places = b"", []
    for _, serial in entries:
        places.append(len(der))
        der += entry(serial)
    given = [(*one, place) for one, place in zip(entries, places, strict=True)]
    return EntryIndex.of(der, given), places


def test_what_is_there_is_found_and_nothing_else() -> None:
    made, places = index((b"", b"\x01"), (b"", b"\x02"), (b"other", b"\x01"), (b"third", b"\x03"))
    assert len(made) == 4
    assert [made.place(b"", b"\x01"), made.place(b"", b"\x02")] == places[:2]
    assert [made.place(b"other", b"\x01"), made.place(b"third", b"\x03")] == places[2:]
    assert made.place(b"other", b"\x02") is None
    assert made.place(b"", b"\x03") is None
    assert EntryIndex.of(b"", ()).place(b"", b"\x01") is None


def test_of_two_entries_the_last_counts() -> None:
    made, places = index((b"", b"\x01"), (b"", b"\x02"), (b"", b"\x01"))
    assert made.place(b"", b"\x01") == places[2]


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_index, "_hash", lambda _issuer, _serial: 7)
    made, places = index((b"", b"\x01"), (b"", b"\x02"), (b"other", b"\x01"))
    assert made.place(b"", b"\x01") == places[0]
    assert made.place(b"other", b"\x01") == places[2]
    assert made.place(b"", b"\x03") is None


def test_the_smallest_entries_take_no_more_memory_than_the_list() -> None:
    """Whoever makes a list to fill our memory writes it so."""
    serials = [number.to_bytes(3, "big") for number in range(20_000)]
    der = b"".join(map(entry, serials))
    size = len(entry(serials[0]))
    tracemalloc.start()
    try:
        made = EntryIndex.of(der, ((b"", s, nth * size) for nth, s in enumerate(serials)))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert made.place(b"", serials[-1]) == len(der) - size
    assert kept < len(der)
