"""What becomes of a status of revocation that is not known.

RFC 5280 6.3 leaves it to local policy; settings name it without loading what judges.
"""

from enum import Enum


class Mode(Enum):
    """What is done about a status that is not known."""

    OFF = "off"
    SOFT = "soft"  # taken for good
    HARD = "hard"  # nothing passes, and encryption waits
