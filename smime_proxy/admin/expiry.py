"""Until when accounts can sign and be encrypted to, and anchors vouch: successors counted in.

RFC 5280 4.1.2.5 (validity); which key is in use at a time says `certs.selection`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.selection import (
    KeyEntry,
    PartnerCertificate,
    choose_recipient,
    choose_signing,
)
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores.anchors import MOZILLA, StoredAnchor

# RFC 5280 4.1.2.5: that of what has no end; there is no second behind it.
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_TICK = timedelta(seconds=1)  # times in certificates have whole seconds


class Use(StrEnum):
    """What ends: an account's signing, mail being encrypted to it, an authority's word."""

    SIGNING = "signing"
    ENCRYPTION = "encryption"
    ANCHOR = "anchor"


@dataclass(frozen=True, slots=True)
class Expiry:
    """The end of something in use; `certificate` is the last one, `account` None for an anchor.

    `ends` is aware UTC and may have passed.
    """

    use: Use
    ends: datetime
    certificate: Certificate
    account: Account | None = None

    @property
    def name(self) -> str:
        """Say whose it is: the account's address, or the subject of the anchor."""
        if self.account is not None:
            return self.account.address.text
        return self.certificate.subject or self.certificate.fingerprint[:16]


class Holdings(Protocol):
    """Accounts with their keys: a snapshot of the store."""

    def all_accounts(self) -> Sequence[Account]:
        """Give every account once."""
        ...

    def keys(self, account: Account) -> Sequence[KeyEntry]:
        """Give all keys of an account, current and former."""
        ...


def expiries(holdings: Holdings, anchors: Iterable[StoredAnchor], at: datetime) -> list[Expiry]:
    """Give the end of everything in use, the earliest first; `at` is now, aware UTC.

    An account that never had a key has no end, and one that is disabled signs no more anyway.
    Authorities of Mozilla's list come and go with it, and nobody here can renew them.
    """
    found = [
        ending
        for account in holdings.all_accounts()
        for ending in _of_account(holdings, account, at)
    ]
    found += [
        Expiry(Use.ANCHOR, anchor.certificate.not_after, anchor.certificate)
        for anchor in anchors
        if anchor.source != MOZILLA
    ]
    return sorted(found, key=lambda expiry: (expiry.ends, expiry.use, expiry.name))


def signing_key(entries: Iterable[KeyEntry], account: Account, at: datetime) -> Certificate | None:
    """Give the certificate that signs for the account's address at a time."""
    chosen = choose_signing(entries, account.address, at).chosen
    return None if chosen is None else chosen.certificate


def encryption_key(
    entries: Iterable[KeyEntry], account: Account, at: datetime
) -> Certificate | None:
    """Give the account's own certificate that mail to it is encrypted to at a time."""
    own = [
        PartnerCertificate(entry.certificate, pinned=True, bound_to=(account.address,))
        for entry in entries
        if not entry.former
    ]
    chosen = choose_recipient(own, account.address, at, ()).chosen
    return None if chosen is None else chosen.certificate


_Chooser = Callable[[Sequence[KeyEntry], Account, datetime], Certificate | None]


def last_of(
    choose: _Chooser, entries: Sequence[KeyEntry], account: Account, at: datetime
) -> Certificate | None:
    """Follow the keys in use from `at` without a gap, and give the last of them.

    Without one now, the one that was in use last, if there ever was.
    """
    last = choose(entries, account, at)
    if last is None:
        ended = [e.certificate.not_after for e in entries if e.certificate.not_after < at]
        earlier = (choose(entries, account, end) for end in sorted(ended, reverse=True))
        return next((certificate for certificate in earlier if certificate is not None), None)
    for _ in entries:
        if last.not_after >= _NEVER:
            break
        following = choose(entries, account, last.not_after + _TICK)
        if following is None:
            break
        last = following
    return last


def _of_account(holdings: Holdings, account: Account, at: datetime) -> Iterable[Expiry]:
    if not account.enabled:
        return
    entries = holdings.keys(account)
    uses: dict[Use, _Chooser] = {Use.SIGNING: signing_key}
    if account.kind is Kind.PERSONAL:
        uses[Use.ENCRYPTION] = encryption_key
    for use, choose in uses.items():
        last = last_of(choose, entries, account, at)
        if last is not None:
            yield Expiry(use, last.not_after, last, account)
