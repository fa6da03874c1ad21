"""How long a client may take for a command or for content, and how much it must send meanwhile.

RFC 5321 4.5.3.2.5 (blocks), 4.5.3.2.7 (server timeout), 7.8 (resistance to attacks). The rule of
Postfix's smtpd_min_data_rate: a client has some time, and earns more with each octet.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one session may take; times in seconds, `rate` in octets a second, 0 for any.

    `idle` is silence between commands, `line` a command line from its first octet to its last,
    `chunk` silence within content, `content` all of it, `behind` what content may be behind the
    rate at its beginning. No more than `chunk` can be earned in advance.
    """

    idle: float
    line: float
    chunk: float
    content: float
    behind: float
    rate: float

    def hurried(self, seconds: float) -> "Allowance":
        """Give the allowance for when time is short: of each patience `seconds` at most."""
        return replace(
            self,
            idle=min(self.idle, seconds),
            line=min(self.line, seconds),
            chunk=min(self.chunk, seconds),
            behind=min(self.behind, seconds),
        )

    def begun(self, now: float) -> float:
        """Give the loop time until which content that begins now may be too slow."""
        return now + self.behind if self.rate else math.inf

    def earned(self, until: float, octets: int, now: float) -> float:
        """Move the end that `begun` gave: by what `octets` more are worth."""
        if not self.rate:
            return math.inf
        return min(until + octets / self.rate, now + self.chunk)
