"""Which certificate each recipient is encrypted to, remembered for a while per snapshot.

Validating a path costs more than all other decisions of a message (RFC 5280 6), and its answer
changes only with the snapshot and the clock.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

from smime_proxy.address import Mailbox
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.certs.source import MinimumSource
from smime_proxy.gateway.ports import Directory
from smime_proxy.policy.rules import Account

REMEMBER = timedelta(minutes=1)  # an expiry is noticed within this time
MAX_REMEMBERED = 50_000  # recipients; bounds memory, then all are forgotten

_Answer: TypeAlias = tuple[datetime, PartnerCertificate | None, str]
_Known: TypeAlias = dict[tuple[str, MinimumSource], _Answer]


class RecipientChoices:
    """The remembered choices; one per gateway, forgets everything when the snapshot changes."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        # One attribute, so that threads never see the choices of another snapshot.
        self._state: tuple[Directory | None, _Known] = (None, {})

    def choose(
        self,
        directory: Directory,
        mailbox: Mailbox,
        account: Account | None,
        at: datetime,
        minimum: MinimumSource = MinimumSource.HARVESTED,
    ) -> tuple[PartnerCertificate | None, str]:
        """Give the certificate to encrypt to for one recipient, or why there is none (E72).

        `minimum` is the least source that is good enough for him. For our own accounts it is their
        own current certificate, which needs no anchor.
        """
        snapshot, known = self._state
        if directory is not snapshot or len(known) > MAX_REMEMBERED:
            known = {}
            self._state = (directory, known)
        name = (mailbox.key, minimum)
        before = known.get(name)
        if before is not None and timedelta(0) <= at - before[0] < REMEMBER:
            return before[1], before[2]
        candidates = _candidates(directory, mailbox, account)
        choice = choose_recipient(candidates, mailbox, at, directory.anchors(), minimum)
        known[name] = (at, choice.chosen, choice.why_none)
        return choice.chosen, choice.why_none


def _candidates(
    directory: Directory, mailbox: Mailbox, account: Account | None
) -> tuple[PartnerCertificate, ...]:
    if account is None:
        known = tuple(directory.intermediates())
        return tuple(
            replace(candidate, chain=(*candidate.chain, *known))
            for candidate in directory.partner_certificates(mailbox)
        )
    return tuple(
        PartnerCertificate(entry.certificate, pinned=True, bound_to=(mailbox,))
        for entry in directory.keys(account)
        if not entry.former
    )
