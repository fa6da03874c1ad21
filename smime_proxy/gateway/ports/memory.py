"""What is known of mail that was decrypted here.

RFC 5322 3.6.4 (Message-ID).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from smime_proxy.smime.decrypted_mark import MarkKeys


class MemoryUnreadable(Exception):  # noqa: N818 - the state of the memory, not an error of ours
    """It cannot be told whether mail was decrypted here; the client is told 451 4.3.0."""


class Memory(Protocol):
    """What is known of mail that was decrypted here, by whichever process; no call waits long."""

    @property
    def keys(self) -> MarkKeys:
        """The keys marks are made with."""
        ...

    def knows(self, identifiers: Sequence[bytes]) -> bool:
        """Tell whether mail with one of these Message-IDs was decrypted.

        Raises `MemoryUnreadable`.
        """
        ...

    def remember(self, identifiers: Sequence[bytes], at: datetime) -> None:
        """Take note of the Message-IDs of mail that was decrypted; returns at once."""
        ...

    async def settle(self, identifiers: Sequence[bytes]) -> None:
        """Wait a few seconds at most until these are where a restart and every process finds them.

        Raises nothing: what cannot be written now is kept, and known to this process meanwhile.
        """
        ...
