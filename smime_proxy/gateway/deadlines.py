"""How long a client waits for the reply to its final dot, and what is due by when.

RFC 5321 4.5.3.2.6 (10 minutes); Thunderbird and Postfix's smtpd_proxy_filter hang up after 100 s.
"""

from dataclasses import dataclass

SUBMISSION_SECONDS = 100.0
MTA_SECONDS = 600.0  # Postfix smtp_data_done_timeout
_MARGIN = 10.0  # seconds for our reply to be made and to arrive, or a tenth of all there is
_LAST_DOTS = 120.0  # seconds for the upstream to answer after the last moment for a first dot


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after the client's final dot.

    After `gate` no first dot is sent to an upstream; by `answer` the client is told something.
    """

    gate: float
    answer: float

    @classmethod
    def of(cls, seconds: float) -> "Deadlines":
        """Part a client's patience: 45 and 90 s of 100, 480 and 590 s of 600."""
        gate = max(0.45 * seconds, seconds - _LAST_DOTS)
        return cls(gate, max(0.9 * seconds, seconds - _MARGIN))


SUBMISSION = Deadlines.of(SUBMISSION_SECONDS)
MTA = Deadlines.of(MTA_SECONDS)
