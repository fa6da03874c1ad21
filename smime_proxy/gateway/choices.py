"""Which certificate each recipient is encrypted to, remembered for a while per snapshot.

Validating a path costs more than all other decisions of a message (RFC 5280 6), and its answer
changes only with the snapshot and the clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.lapse import find_lapse
from smime_proxy.certs.revocation import Revocation, Want
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.certs.source import MinimumSource
from smime_proxy.gateway.discovered import NOTHING, Found, candidates, unreachable
from smime_proxy.gateway.ports import Directory
from smime_proxy.policy.rules import Account

REMEMBER = timedelta(minutes=1)  # an expiry is noticed within this time
MAX_REMEMBERED = 50_000  # recipients; bounds memory, then all are forgotten


@dataclass(frozen=True, slots=True)
class RecipientChoice:
    """The certificate to encrypt to for one recipient, or why there is none.

    With a certificate `problem` says only what is worth knowing of it. `lapsed` says how the last
    one that was usable ended, where there was one and the recipient has none of his own now.
    `waits`: it cannot be told now whether his was revoked, and nothing passes until it can.
    """

    certificate: PartnerCertificate | None
    problem: str = ""
    lapsed: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """A choice of a time, and what was not known of revocations when it was made."""

    at: datetime
    choice: RecipientChoice
    wanted: tuple[tuple[Certificate, Certificate], ...] = ()


_Known: TypeAlias = dict[tuple[str, MinimumSource], Remembered]


class RecipientChoices:
    """The remembered choices; one per gateway.

    It forgets everything when the snapshot or what is known of revocations changes.

    For one mail that others were asked for, one of its own with what they said.
    """

    def __init__(
        self, revocation: Revocation | None = None, found: Found = MappingProxyType({})
    ) -> None:
        """Start with nothing remembered; `revocation` says who was revoked.

        `found` was found outside the store about recipients without a certificate in it.
        """
        self._revocation = revocation
        self._found = found
        # One attribute, so that threads never see the choices of another snapshot.
        self._state: tuple[Directory | None, int, _Known] = (None, 0, {})

    def choose(
        self,
        directory: Directory,
        mailbox: Mailbox,
        account: Account | None,
        at: datetime,
        minimum: MinimumSource = MinimumSource.HARVESTED,
        want: Want | None = None,
    ) -> RecipientChoice:
        """Give the certificate to encrypt to for one recipient, or why there is none (E72).

        `minimum` is the least source that is good enough for him. For our own accounts it is their
        own current certificate, which needs no anchor. For others it is one of theirs, and where
        none of these is usable that of their domain. `want` is told in place of the one of
        `revocation` what is not known, of a remembered choice too.
        """
        known = self._known(directory)
        name = (mailbox.key, minimum)
        before = known.get(name)
        if before is None or not timedelta(0) <= at - before.at < REMEMBER:
            before = self._choose(directory, mailbox, account, at, minimum)
            if not before.choice.waits:  # for an answer, which may come any time
                known[name] = before
        tell = want or (self._revocation.want if self._revocation else None)
        if tell is not None:
            for pair in before.wanted:
                tell(*pair)
        return before.choice

    def _known(self, directory: Directory) -> _Known:
        snapshot, version, known = self._state
        now = self._revocation.answers.version if self._revocation else 0
        if directory is not snapshot or version != now or len(known) > MAX_REMEMBERED:
            known = {}
            self._state = (directory, now, known)
        return known

    def _choose(
        self,
        directory: Directory,
        mailbox: Mailbox,
        account: Account | None,
        at: datetime,
        minimum: MinimumSource,
    ) -> Remembered:
        wanted: list[tuple[Certificate, Certificate]] = []
        revocation = self._revocation
        if revocation is not None:
            revocation = replace(revocation, want=lambda one, its: wanted.append((one, its)))
        found = candidates(self._found.get(mailbox, NOTHING), directory, mailbox, at)
        choice = _chosen(directory, mailbox, account, at, minimum, revocation, found)
        return Remembered(at, choice, tuple(dict.fromkeys(wanted)))

    def unreachable(self, mailbox: Mailbox) -> str:
        """Say which directories could not say whether they know a certificate, else ``""``."""
        return unreachable(self._found.get(mailbox, NOTHING))


def _chosen(
    directory: Directory,
    mailbox: Mailbox,
    account: Account | None,
    at: datetime,
    minimum: MinimumSource,
    revocation: Revocation | None,
    found: tuple[PartnerCertificate, ...],
) -> RecipientChoice:
    anchors = directory.anchors()
    own = (*_candidates(directory, mailbox, account), *found)
    choice = choose_recipient(own, mailbox, at, anchors, minimum, revocation)
    if choice.chosen is not None:
        return RecipientChoice(choice.chosen)
    shared = _of_domain(directory, mailbox) if account is None else ()
    of_domain = choose_recipient(shared, mailbox, at, anchors, minimum, revocation)
    lapse = find_lapse(own, mailbox, at, anchors, minimum, revocation)
    if of_domain.chosen is not None:
        told = f"encrypted to the certificate of {mailbox.domain}"
        if lapse is not None:
            return RecipientChoice(of_domain.chosen, f"{lapse.reason}; {told}", lapse.reason)
        return RecipientChoice(of_domain.chosen, told)
    lapse = lapse or find_lapse(shared, mailbox, at, anchors, minimum, revocation)
    problem = choice.why_none if own else of_domain.why_none
    waits = choice.waits or of_domain.waits
    return RecipientChoice(None, problem, lapse.reason if lapse else "", waits=waits)


def _candidates(
    directory: Directory, mailbox: Mailbox, account: Account | None
) -> tuple[PartnerCertificate, ...]:
    if account is None:
        return _linked(directory, directory.partner_certificates(mailbox))
    return tuple(
        PartnerCertificate(entry.certificate, pinned=True, bound_to=(mailbox,))
        for entry in directory.keys(account)
        if not entry.former
    )


def _of_domain(directory: Directory, mailbox: Mailbox) -> tuple[PartnerCertificate, ...]:
    return _linked(directory, directory.domain_certificates(mailbox.domain))


def _linked(
    directory: Directory, candidates: Iterable[PartnerCertificate]
) -> tuple[PartnerCertificate, ...]:
    known = directory.intermediates()
    return tuple(replace(candidate, known=known) for candidate in candidates)
