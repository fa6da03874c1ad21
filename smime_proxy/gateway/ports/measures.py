"""What is counted.

No RFC; docs/metrics.md has the names.
"""

from typing import Protocol


class Measures(Protocol):
    """Counters; names and labels are documented in docs/metrics.md."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        ...
