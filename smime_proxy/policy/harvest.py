"""What becomes of a key found in signed mail: taken, kept for a decision, or left.

No RFC; the setting `harvest`, E06 and A13. A known partner's new key that rests on the same trust
is taken silently; one that does not waits, whatever the setting, and mail goes on to the old one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.certs.succession import Succession
from smime_proxy.policy.rules import Harvest

MAX_AN_ADDRESS = 8  # certificates taken without a decision; a renewal a quarter makes five valid


class Caution(Enum):
    """What somebody who decides about a waiting key has to know."""

    NONE = ""
    UNTRUSTED = "untrusted"
    CHANGED = "changed"
    CHANGED_UNTRUSTED = "changed-untrusted"

    @property
    def is_untrusted(self) -> bool:
        """Tell whether no chain vouches for the key, so that accepting it pins it."""
        return self in {Caution.UNTRUSTED, Caution.CHANGED_UNTRUSTED}


@dataclass(frozen=True, slots=True)
class Accept:
    """The key is taken at once; `why` goes into the audit."""

    why: str


@dataclass(frozen=True, slots=True)
class Pend:
    """The key waits for somebody to decide."""

    caution: Caution


def decide_key(
    harvest: Harvest, *, trusted: bool, stands: Succession, full: bool = False
) -> Accept | Pend | None:
    """Decide about a key that is neither imported nor declined; None leaves it.

    `trusted`: its chain leads to an anchor; `stands`: how it stands to the keys known before;
    `full`: there are too many of those for another one without a decision.
    """
    if harvest is Harvest.NEVER:
        return None
    if stands is Succession.OTHER_TRUST:
        return Pend(Caution.CHANGED if trusted else Caution.CHANGED_UNTRUSTED)
    if not trusted:
        return Pend(Caution.UNTRUSTED)
    if full:
        return Pend(Caution.NONE)
    if stands is Succession.SAME_TRUST:
        return Accept("same trust as before")
    return Accept("harvest = trusted") if harvest is Harvest.TRUSTED else Pend(Caution.NONE)


def harvested(known: Iterable[PartnerCertificate]) -> tuple[PartnerCertificate, ...]:
    """Give those of the certificates that came with mail and that no person vouched for."""
    return tuple(one for one in known if one.source is Source.HARVESTED and not one.pinned)


def is_full(known: Iterable[PartnerCertificate], at: datetime) -> bool:
    """Tell whether an address has as many as are taken without a decision, none of them expired."""
    taken = harvested(known)
    return len(taken) >= MAX_AN_ADDRESS and all(one.certificate.not_after >= at for one in taken)
