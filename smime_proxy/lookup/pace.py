"""How hosts are asked that strangers' certificates name: few at once, and not in a rush.

No RFC. Mail is not made to wait for a host that let mail wait in vain a moment ago.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

PER_HOST = 2  # questions at once, so that one that is slow does not hold up the others
PACE_SECONDS = 0.5  # between two questions to one host
SILENCE_SECONDS = 60.0  # mail waits for no host that let mail wait in vain before
MAX_HOSTS = 1000  # remembered; bounds memory


class Pace:
    """The hosts one process asks; for one event loop."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._kinds: dict[str, asyncio.Semaphore] = {}
        self._last: dict[str, float] = {}
        self._silent: dict[str, float] = {}

    @asynccontextmanager
    async def turn(self, host: str, kind: str, at_once: int) -> AsyncIterator[None]:
        """Wait until a host may be asked; of a kind of question there are some `at_once`.

        A host whose turn ends without an exception is silent no more.
        """
        if len(self._last) > MAX_HOSTS:
            self._last.clear()
            self._turns.clear()
        at_host = self._turns.setdefault(host, asyncio.Semaphore(PER_HOST))
        of_kind = self._kinds.setdefault(kind, asyncio.Semaphore(at_once))
        async with at_host, of_kind:
            turn = max(time.monotonic(), self._last.get(host, 0.0) + PACE_SECONDS)
            self._last[host] = turn
            await asyncio.sleep(turn - time.monotonic())
            yield
        self._silent.pop(host, None)

    def note_silence(self, host: str) -> None:
        """Take note that mail waited for a host in vain."""
        if len(self._silent) > MAX_HOSTS:
            self._silent.clear()
        self._silent[host] = time.monotonic() + SILENCE_SECONDS

    def is_silent(self, urls: Collection[str]) -> bool:
        """Tell whether mail waited in vain for the host of one of these URLs, a moment ago."""
        now = time.monotonic()
        return any(self._silent.get(host_of(url), 0.0) > now for url in urls)


def host_of(url: str) -> str:
    """Give host and port as they stand in a URL, folded; "" of what is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # whoever fetches says so
        return ""
