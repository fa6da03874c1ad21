"""Which verified signatures a recipient is spared, as settings and receiving both name them.

RFC 8551 3.5.2 (opaque) and 3.5.3 (clear). A module of its own: settings need no cryptography.
"""

from enum import Enum


class Unwrap(Enum):
    """Which verified signatures are taken off before delivery; the result fields keep the word."""

    OPAQUE = "opaque"  # clients without S/MIME show nothing of these
    MEETINGS = "meetings"  # calendars do not look into these (E23, V27)
