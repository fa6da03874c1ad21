"""Failed logins remembered, so that nobody tries a thousand passwords.

RFC 4954 9 (limits on failed attempts), RFC 4422 6.1.3; row A19. Each process has its own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FOR_LOGIN = 10  # failures before there is any wait
FREE_FOR_ADDRESS = 50  # an office with many people comes from one address
FIRST_WAIT = 1.0  # seconds; twice as long with each failure more
LONGEST_WAIT = 900.0  # a stranger who guesses must not lock a person out for good
FORGET_AFTER = 3600.0  # seconds without a failure
MAX_REMEMBERED = 20_000  # logins and addresses together; bounds memory


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Throttle:
    """Counts failures of each login and of each address; times in seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a clean slate."""
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def allows(self, login: str, address: str) -> bool:
        """Tell whether an attempt may be made now."""
        now = self._clock()
        return all(self._due(key, free) <= now for key, free in _keys(login, address))

    def failed(self, login: str, address: str) -> None:
        """Note a failure, or an attempt whose outcome is not known yet."""
        now = self._clock()
        for key, _ in _keys(login, address):
            known = self._failures.pop(key, None)
            count = known.count if known and now - known.last < FORGET_AFTER else 0
            self._failures[key] = _Failures(count + 1, now)
        while len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, login: str, address: str) -> None:
        """Forget a login's failures; of the address only the attempt that now succeeded.

        Who has one password must not get a clean slate for guessing others.
        """
        for key, free in _keys(login, address):
            if free == FREE_FOR_LOGIN:
                self._failures.pop(key, None)
            else:
                self._take_back(key)

    def undecided(self, login: str, address: str) -> None:
        """Take an attempt back that nobody could judge."""
        for key, _ in _keys(login, address):
            self._take_back(key)

    def _take_back(self, key: tuple[str, str]) -> None:
        known = self._failures.get(key)
        if known is not None:
            known.count -= 1
            if known.count <= 0:
                del self._failures[key]

    def _due(self, key: tuple[str, str], free: int) -> float:
        known = self._failures.get(key)
        if known is None or known.count < free:
            return 0.0
        doublings = min(known.count - free, 32)  # the longest wait comes long before
        return known.last + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def _keys(login: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return (
        (("login", login.casefold()), FREE_FOR_LOGIN),
        (("address", address), FREE_FOR_ADDRESS),
    )
