"""Who has a message already, for the client that sends it again.

RFC 5321 4.5.4.1 (a client tries again), 6.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class LedgerError(Exception):
    """The ledger cannot be read or written now; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger knows of the entries it was asked for.

    `served` have the message; `busy`: some are being sent at this moment, by whomever; `doubtful`
    of them were about to be sent by a process that ended, and nobody knows whether they were.
    """

    served: frozenset[bytes] = frozenset()
    busy: bool = False
    doubtful: int = 0


NOTHING_KNOWN = Known()


class Ledger(Protocol):
    """Who has a message already, for the client that sends it again: an entry a recipient.

    Everything may raise `LedgerError`, within seconds.
    """

    def name(self, *parts: bytes) -> bytes:
        """Give the name of an entry; touches nothing."""
        ...

    def is_empty(self) -> bool:
        """Tell, at once and at no cost, whether nothing is known of anything; if unsure, no."""
        ...

    async def look(self, names: Sequence[bytes]) -> Known:
        """Say what is known; changes nothing."""
        ...

    async def claim(self, names: Sequence[bytes]) -> Known:
        """Say what is known; unless busy, nobody else may send what is not served from now on.

        Durable when this returns; it ends with `accept`, `forget`, this process, or in time.
        """
        ...

    async def accept(self, names: Sequence[bytes]) -> None:
        """Remember that these have the message; durable when this returns."""
        ...

    async def forget(self, names: Sequence[bytes]) -> None:
        """Forget these: the client was answered, or nobody was sent anything."""
        ...
