"""The service is away while mail goes through a layout: what waits, and what is there in the end.

RFC 5321 4.5.4. Postfix keeps what it has taken; what it has not taken its client still has, which
is played here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.deploy.postfix.house import STRANGER, PostfixHouse
from tests.deploy.postfix.letters import fresh, letter, sealed
from tests.e2e.client import Answer
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER
from tests.e2e.proxy import eventually

INBOUND = ("inbound", "mx")
AGAIN_SECONDS = 1  # until a client that was put off sends again
RECOVERY_SECONDS = 1000  # Postfix may wait for its maximal_backoff_time
ANSWERED = 400  # and above: not taken, RFC 5321 4.2.1


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the mail; `recovery` is in seconds from the service's return."""

    layout: str
    seconds: float
    sent: int
    refused: int  # of them put off by Postfix, in the dialogue
    waiting: int  # in Postfix's queue at the end of the outage
    recovery: float
    lost: int
    duplicates: int

    def __str__(self) -> str:
        counts = (self.sent, self.refused, self.waiting)
        shown = " ".join(f"{count:8}" for count in counts)
        return f"{self.layout:12} {shown} {self.recovery:8.1f} {self.lost:8} {self.duplicates:8}"


HEADING = (
    " ".join(
        (f"{'layout':12}", *(f"{word:>8}" for word in ("sent", "refused", "waiting", "seconds")))
    )
    + f" {'lost':>8} {'twice':>8}"
)


def away(house: PostfixHouse, seconds: float, messages: int, *, flush: bool) -> Result:
    """Stop the service, send evenly while it is away, start it, and count what arrives.

    `flush`: whether Postfix is told then to try all mail at once; else it does so by its times.
    """
    identifiers = [fresh() for _ in range(messages)]
    house.proxy.stop()
    until = time.monotonic() + seconds
    refused = []
    for number, one in enumerate(identifiers):
        if _send(house, one).code >= ANSWERED:
            refused.append(one)
        ahead = (messages - number - 1) / messages * seconds
        time.sleep(max(0.0, until - ahead - time.monotonic()))
    waiting = house.postfix.held()
    house.proxy.start()
    returned = time.monotonic()
    if flush:
        house.postfix.flush()
    for one in refused:
        while _send(house, one).code >= ANSWERED:
            time.sleep(AGAIN_SECONDS)
    eventually(lambda: _are_there(house, identifiers), house.explain, RECOVERY_SECONDS)
    recovery = time.monotonic() - returned
    house.settle()
    counts = [_copies(house, one) for one in identifiers]
    lost, twice = counts.count(0), sum(max(0, count - 1) for count in counts)
    name = house.layout.name
    return Result(name, seconds, messages, len(refused), waiting, recovery, lost, twice)


def _send(house: PostfixHouse, identifier: str) -> Answer:
    if house.layout.name in INBOUND:
        content = sealed(house.made.files, identifier, PARTNER, ALICE, "alice")
        return house.send(STRANGER, PARTNER, [ALICE], content)
    return house.submit(ALICE, ALICE, [OUTSIDE], letter(identifier))


def _copies(house: PostfixHouse, identifier: str) -> int:
    if house.layout.name in INBOUND:
        return len(house.inside(ALICE, identifier))
    return len(house.outside(identifier))


def _are_there(house: PostfixHouse, identifiers: Sequence[str]) -> bool:
    return all(_copies(house, one) for one in identifiers) and house.postfix.is_idle()
