"""What the built-in authority publishes on the status port: revocation lists and certificates.

RFC 5280 4.2.1.13 and 4.2.2.1, RFC 2585 (HTTP and the media types).
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from smime_proxy.stores.errors import StoreError

FRESH_SECONDS = 30.0  # a revocation is shown within; strangers' requests cost the store no more
MEDIA_TYPES = {".crl": "application/pkix-crl", ".cer": "application/pkix-cert"}


class Publication:
    """The files by name, read again from time to time; what was read once outlives a lost store."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, bytes]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing read; `read` blocks and raises `StoreError`."""
        self._read = read
        self._clock = clock
        self._files: Mapping[str, bytes] | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def find(self, name: str) -> bytes | None:
        """Give a file, or None when there is none of that name.

        Raises `StoreError` when the store could never be read.
        """
        async with self._reading:
            if self._files is None or self._clock() - self._read_at >= FRESH_SECONDS:
                self._files = await self._fresh()
                self._read_at = self._clock()
        return self._files.get(name)

    async def _fresh(self) -> Mapping[str, bytes]:
        try:
            return await asyncio.to_thread(self._read)
        except StoreError:
            if self._files is None:
                raise
            return self._files
