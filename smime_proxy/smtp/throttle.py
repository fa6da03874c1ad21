"""Failed logins remembered, so that nobody tries a thousand passwords.

RFC 4954 9 (limits on failed attempts), RFC 4422 6.1.3; row A19. Each process has its own.

Failures count against the login, from wherever, and against the network they come from. From where
a login has succeeded it is judged by its failures from there alone: who guesses elsewhere, however
long, locks nobody out at his usual place.
"""

import hashlib
import ipaddress
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

FREE_FOR_LOGIN = 10  # failures before there is any wait
FREE_FOR_NETWORK = 50  # an office with many people comes from one address
FREE_WHERE_KNOWN = 50  # attempts count until they are judged; programs log in many times at once
FIRST_WAIT = 1.0  # seconds; twice as long with each failure more
LONGEST_WAIT = 900.0  # a stranger who guesses must not lock a person out for good
FORGET_AFTER = 3600.0  # seconds without a failure
KNOWN_FOR = 30 * 86400.0  # seconds since a login succeeded from somewhere
MAX_REMEMBERED = 20_000  # failures of each kind together, places too; bounds memory
IPV6_SITE = 64  # bits; within them one host has all the addresses it wants, RFC 4291 2.5.4
_DIGEST = 16  # octets; logins may be long, and people type their password there


class _What(Enum):
    LOGIN = auto()
    NETWORK = auto()
    PLACE = auto()  # a login at a network


_Key = tuple[_What, bytes, str]


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failures of each login and of each network; times in seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a clean slate."""
        self._clock = clock
        self._failures: OrderedDict[_Key, _Failures] = OrderedDict()
        self._known: OrderedDict[_Key, float] = OrderedDict()

    def allows(self, login: str, address: str) -> bool:
        """Tell whether an attempt may be made now."""
        now = self._clock()
        by_login, by_network, place = _keys(login, address)
        if now - self._known.get(place, -KNOWN_FOR) < KNOWN_FOR:
            return self._due(place, FREE_WHERE_KNOWN) <= now
        wait = (self._due(by_login, FREE_FOR_LOGIN), self._due(by_network, FREE_FOR_NETWORK))
        return max(wait) <= now

    def failed(self, login: str, address: str) -> None:
        """Note a failure, or an attempt whose outcome is not known yet."""
        now = self._clock()
        for key in _keys(login, address):
            known = self._failures.pop(key, None)
            count = known.count if known and now - known.last < FORGET_AFTER else 0
            self._failures[key] = _Failures(count + 1, now)
        while len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, login: str, address: str) -> None:
        """Note that the attempt succeeded, and its place.

        The failures of others stay: a person who logs in gives nobody a clean slate for guessing
        his password, nor himself one for guessing that of others.
        """
        self.undecided(login, address)
        *_, place = _keys(login, address)
        self._failures.pop(place, None)
        self._known.pop(place, None)
        self._known[place] = self._clock()
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def undecided(self, login: str, address: str) -> None:
        """Take an attempt back that nobody could judge."""
        for key in _keys(login, address):
            known = self._failures.get(key)
            if known is not None:
                known.count -= 1
                if known.count <= 0:
                    del self._failures[key]

    def _due(self, key: _Key, free: int) -> float:
        known = self._failures.get(key)
        if known is None or known.count < free:
            return 0.0
        doublings = min(known.count - free, 32)  # the longest wait comes long before
        return known.last + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def _keys(login: str, address: str) -> tuple[_Key, _Key, _Key]:
    folded, network = _fold(login), network_of(address)
    return (
        (_What.LOGIN, folded, ""),
        (_What.NETWORK, b"", network),
        (_What.PLACE, folded, network),
    )


def _fold(login: str) -> bytes:
    """Give the same for all spellings that a server may take for the same name (RFC 4013)."""
    plain = unicodedata.normalize("NFKC", login).casefold()
    seen = [char for char in unicodedata.normalize("NFKC", plain) if char.isprintable()]
    raw = "".join(seen).strip().encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=_DIGEST).digest()


def network_of(address: str) -> str:
    """Give what stands for all addresses one host can have: of IPv6 the first 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(ipaddress.IPv6Network((found, IPV6_SITE), strict=False))
