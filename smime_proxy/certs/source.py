"""Where a partner's certificate came from, and how far that is believed before other sources.

No RFC ranks sources; RFC 8550 2.3 names them (messages, directories), RFC 8162 the DNS.
"""

from enum import Enum


class Source(Enum):
    """Who gave us a certificate: in the order of trust, the best first.

    An administrator; a directory whose answer a chain or DNSSEC proves; signed mail, accepted by
    decision or by policy; a directory that nothing vouches for.
    """

    MANUAL = "manual"
    DIRECTORY = "directory-verified"
    SMIMEA = "smimea"
    HARVESTED = "harvested"
    DISCOVERED = "discovered"

    @property
    def rank(self) -> int:
        """Give the place in the order of trust; sources of equal rank are equally good."""
        return _RANKS[self]


class MinimumSource(Enum):
    """The least of sources whose certificates mail is encrypted to, in the words of settings."""

    DISCOVERED = "discovered"
    HARVESTED = "harvested"
    VERIFIED = "verified"
    MANUAL = "manual"

    @property
    def rank(self) -> int:
        """Give the least rank of a source that is good enough; the stricter the higher."""
        return _LEAST[self]

    def admits(self, source: Source) -> bool:
        """Tell whether a certificate of this source may be encrypted to."""
        return source.rank >= self.rank


_DISCOVERED, _HARVESTED, _VERIFIED, _MANUAL = range(4)
_RANKS = {
    Source.MANUAL: _MANUAL,
    Source.DIRECTORY: _VERIFIED,
    Source.SMIMEA: _VERIFIED,
    Source.HARVESTED: _HARVESTED,
    Source.DISCOVERED: _DISCOVERED,
}
_LEAST = {
    MinimumSource.MANUAL: _MANUAL,
    MinimumSource.VERIFIED: _VERIFIED,
    MinimumSource.HARVESTED: _HARVESTED,
    MinimumSource.DISCOVERED: _DISCOVERED,
}
