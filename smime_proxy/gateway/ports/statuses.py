"""What is fetched of revocations while mail may wait for it.

RFC 5280 5 (lists), RFC 6960 (OCSP).
"""

from collections.abc import Collection
from enum import Enum
from typing import Protocol

from smime_proxy.certs.certificate import Certificate


class Claim(Enum):
    """What becomes of the wish to fetch an answer about revocation that all processes share."""

    OURS = "ours"  # to be fetched now, by who asked
    THEIRS = "theirs"  # another process is fetching it
    FRESH = "fresh"  # another process has fetched it, and it is at hand now
    LATER = "later"  # it failed, or is held, and is not due yet


class Statuses(Protocol):
    """Fetches what is not known of revocations, and may let mail wait for it."""

    @property
    def budget(self) -> float:
        """Give the seconds one mail may wait for all of it; 0: none waits."""
        ...

    async def wait(
        self, wanted: Collection[tuple[Certificate, Certificate]], seconds: float
    ) -> bool:
        """Wait for certificates, each with its issuer; tells whether something new is known."""
        ...
