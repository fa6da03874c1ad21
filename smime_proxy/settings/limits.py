"""The table of how much clients may ask for and how long they may take.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
RFC 5321 4.5.3.2.7 (timeouts), 7.8 (resistance to attacks).
"""

from typing import Annotated

from pydantic import Field

from smime_proxy.settings.fields import Size, read_size
from smime_proxy.settings.tables import Table

Count = Annotated[int, Field(ge=1, le=100_000)]  # each session takes two file descriptors
Seconds = Annotated[float, Field(gt=0, le=3600)]  # an hour: longer than any client waits
MAX_LAG = 60.0  # seconds; clients have given up long before


class Limits(Table):
    """`[limits]`: how much clients may ask for; of each process, and each listener."""

    sessions: Count = 1000
    """Sessions open at a time. From 80 of a hundred on patience is short (stress_idle), and one
    fault of syntax ends a session."""
    sessions_per_address: Count = 50
    """Sessions of one client address."""
    sessions_per_login: Count = 50
    """Sessions of one login, wherever they come from."""
    memory: Annotated[Size, Field(gt=0)] = read_size("512MB")
    """Octets of messages in memory, of all listeners together; mail beyond is answered 452."""
    min_rate: Annotated[float, Field(ge=0)] = 500.0
    """Octets a second that content must come with; who is slower is closed with 421. 0: any."""
    behind: Seconds = 60.0
    """Seconds that content may be behind min_rate at its beginning."""
    idle: Seconds = 300.0
    """Seconds of silence between commands."""
    stress_idle: Seconds = 10.0
    """The same, when sessions are nearly as many as may be."""
    command: Seconds = 60.0
    """Seconds from the first octet of a command to its last."""
    lag: Annotated[float, Field(ge=0, le=MAX_LAG)] = 0.1
    """Seconds the event loop may be late, for seconds on end, before new sessions are answered 421
    and new mail 451. 0: never."""
