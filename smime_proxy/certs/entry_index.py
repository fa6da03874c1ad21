"""Where the entries of a revocation list are: eight octets for each, and looked up at once.

RFC 5280 5.1.2.6 and 5.3.3 (an entry is of an issuer and a serial number). A list has up to millions
of them, of twenty octets each; as Python objects they would take ten times the memory of the list.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smime_proxy.certs.names import read_element

_PLACE_BITS = 32  # a list is shorter than 4 GB
_MASK = (1 << _PLACE_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class EntryIndex:
    """The places of entries in a list, sorted by a hash of what they are found by.

    The hash is Python's, whose secret nobody outside knows: nobody makes entries that collide.
    `_changes` are the places from which on entries are of another issuer, `_issuers` those.
    """

    _der: bytes = field(repr=False)
    _hashed: "array[int]" = field(repr=False)
    _changes: "array[int]" = field(repr=False)
    _issuers: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, der: bytes, entries: Iterable[tuple[bytes, bytes, int]]) -> "EntryIndex":
        """Index (key of the issuer's name, encoded serial number, place) in the order of a list."""
        changes, issuers, kept = array("Q"), [b""], {b"": b""}

        def hashed() -> Iterator[int]:
            for issuer, serial, place in entries:
                if issuer != issuers[-1]:
                    changes.append(place)
                    issuers.append(kept.setdefault(issuer, issuer))
                yield _hash(issuer, serial) << _PLACE_BITS | place

        return cls(der, array("Q", sorted(array("Q", hashed()))), changes, tuple(issuers))

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._hashed)

    def place(self, issuer: bytes, serial: bytes) -> int | None:
        """Find the last entry of an issuer with an encoded serial number; None without one."""
        wanted = _hash(issuer, serial)
        first = bisect_left(self._hashed, wanted << _PLACE_BITS)
        for at in range(
            bisect_right(self._hashed, wanted << _PLACE_BITS | _MASK) - 1, first - 1, -1
        ):
            place = self._hashed[at] & _MASK
            if self._is_of(place, issuer, serial):
                return place
        return None

    def _is_of(self, place: int, issuer: bytes, serial: bytes) -> bool:
        _, inside, _ = read_element(self._der, place)
        _, first, last = read_element(self._der, inside)
        its = self._issuers[bisect_right(self._changes, place)]
        return self._der[first:last] == serial and its == issuer


def _hash(issuer: bytes, serial: bytes) -> int:
    return hash((issuer, serial)) & _MASK
