"""What `doctor` found: how bad, what, where, and what to do about it.

No RFC; docs/commands.md has the words.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

HORIZON = timedelta(days=30)  # what ends within it is told: time enough to order a certificate


class Severity(StrEnum):
    """How bad it is: an error hurts now, a warning will, a note is only good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; the names are those of the JSON. `todo` is what to do about it."""

    severity: Severity
    where: str
    what: str
    todo: str
