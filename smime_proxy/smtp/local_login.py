"""Credentials of clients checked here, by passwords of our own.

RFC 4954 4 and 9. A check costs much time and memory on purpose: two at a time, beside the loop, in
threads that nothing else waits for.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from smime_proxy.reply import Reply
from smime_proxy.smtp.auth import REFUSED, UNAVAILABLE, Identity
from smime_proxy.smtp.sasl import Credentials

AT_A_TIME = 2  # checks; each takes 19 MiB
MAX_WAITING = 100  # checks; some five seconds' work, beyond that clients had better come again


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """A client we know ourselves; his mail takes the way everybody's takes."""

    login: str
    upstream: None = None

    async def close(self) -> None:
        """Do nothing: no secret was kept."""


class LocalAuthenticator:
    """Asks `fits`, which may take time, whether a password is that of a login."""

    def __init__(self, fits: Callable[[str, str], bool]) -> None:
        """Start no thread yet: processes are forked after this."""
        self._fits = fits
        self._threads = ThreadPoolExecutor(AT_A_TIME, "passwords")
        self._waiting = 0

    def __eq__(self, other: object) -> bool:
        """There is one store: what one finds holds for every other."""
        return isinstance(other, LocalAuthenticator)

    def __hash__(self) -> int:
        return hash(LocalAuthenticator)

    async def judge(self, credentials: Credentials) -> Identity | Reply:
        """Give the same refusal for an unknown login and a wrong password.

        Raises what `fits` raises.
        """
        if self._waiting >= MAX_WAITING:
            return UNAVAILABLE
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            given = (credentials.login, credentials.password)
            fits = await loop.run_in_executor(self._threads, self._fits, *given)
        finally:
            self._waiting -= 1
        return LocalIdentity(credentials.login) if fits else REFUSED
