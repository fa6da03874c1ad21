"""Looks from time to time at what ends: a gauge, a warning a day, mail at some numbers of days.

RFC 5321 4.5.5 (null reverse-path), RFC 3834 (automatic mail). Every process looks, what was told
is in the store, so that one tells.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.admin.expiry import Expiry, expiries
from smime_proxy.admin.expiry_texts import Text, line, to_account, to_administrator
from smime_proxy.admin.metrics import full_name
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.delivery import drop
from smime_proxy.gateway.ports import Transaction, Upstream, UpstreamError
from smime_proxy.message.notice import notice
from smime_proxy.policy.rules import Rules
from smime_proxy.reply import Reply
from smime_proxy.stores import anchors, notices
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.notices import Notice
from smime_proxy.stores.snapshot import Snapshot

EVERY_SECONDS = 3600.0  # days are counted, and what could not be sent is tried again
CHANGED_SECONDS = 60.0  # after a change of the store: an alert shall end when a key was renewed
FIRST_SECONDS = 5.0  # after the start, which it shall not slow down
WARN_BEFORE = timedelta(days=30)
SEND_SECONDS = 60.0  # for one mail; the next hour comes
STALE = timedelta(days=30)  # what ended longer ago is nothing anybody waits for
MAX_EACH = 100  # gauges of one certificate each; there may be ten thousand
ID_DIGITS = 16  # of a fingerprint, as commands show them

_log = structlog.get_logger("smime_proxy.expiry")


@dataclass(frozen=True, slots=True)
class Notified:
    """Who is told by mail, at how many days before the end; `upstream` None for nobody."""

    administrator: Mailbox | None = None
    accounts: bool = False
    days: tuple[int, ...] = ()
    upstream: Upstream | None = None


class ExpiryWatch:
    """What ends, as last looked at; made and used in one event loop."""

    def __init__(
        self,
        store: Store,
        snapshot: Callable[[], Snapshot],
        rules: Rules,
        hostname: str,
        notified: Notified,
    ) -> None:
        """Begin with nothing looked at; `snapshot` gives the newest state of the store.

        `rules` and `notified` may be exchanged for those of new settings.
        """
        self._store = store
        self._snapshot = snapshot
        self.rules = rules
        self._hostname = hostname
        self.notified = notified
        self._ends: dict[str, float] = {}

    def gauges(self) -> Mapping[str, float]:
        """Give the earliest end of each use, in seconds since the epoch, under its full name."""
        return self._ends

    async def watch(self) -> None:
        """Look from time to time, until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            seen = self._snapshot()
            try:
                await self.look(datetime.now(UTC))
            except StoreError as error:
                _log.error("expiry not looked at", reason=str(error), consequence="old state shown")
            for _ in range(int(EVERY_SECONDS / CHANGED_SECONDS)):
                await asyncio.sleep(CHANGED_SECONDS)
                if self._snapshot() is not seen:
                    break

    async def look(self, at: datetime) -> None:
        """Look once, at a time, aware UTC; raises `StoreError`."""
        # Reading ten thousand certificates for the first time takes a second.
        found = [one for one in await asyncio.to_thread(self._found, at) if at - one.ends < STALE]
        self._ends = _measured(found)
        near = [one for one in found if one.ends - at < WARN_BEFORE]
        await asyncio.to_thread(self._warn, near, at)
        if self.notified.upstream is not None:
            await self._send(found, self.notified.upstream, at)

    def _found(self, at: datetime) -> list[Expiry]:
        return expiries(self._snapshot(), anchors.listing(self._store), at)

    def _warn(self, near: Sequence[Expiry], at: datetime) -> None:
        today = at.replace(hour=0, minute=0, second=0, microsecond=0)
        by_notice = {Notice(_subject(one), "log", today): one for one in near}
        claimed = notices.claim(self._store, by_notice, at)
        for claim in claimed:
            expiry = by_notice[claim]
            days = (expiry.ends - at).days
            _log.warning("expires", use=str(expiry.use), what=line(expiry, at), days=days)
        if claimed:
            notices.told(self._store, claimed, at)

    async def _send(self, found: Sequence[Expiry], upstream: Upstream, at: datetime) -> None:
        due = [(one, day) for one in found if (day := due_day(one, self.notified.days, at)) >= 0]
        administrator = self.notified.administrator
        if administrator is not None:
            wanted = {Notice(_subject(one), f"administrator {day}"): one for one, day in due}
            await self._tell(upstream, administrator, wanted, to_administrator, at)
        if not self.notified.accounts:
            return
        by_account: dict[Mailbox, dict[Notice, Expiry]] = {}
        for one, day in due:
            if one.account is not None:
                own = by_account.setdefault(one.account.address, {})
                own[Notice(_subject(one), f"account {day}")] = one
        for mailbox, wanted in by_account.items():
            await self._tell(upstream, mailbox, wanted, to_account, at)

    async def _tell(
        self,
        upstream: Upstream,
        recipient: Mailbox,
        wanted: Mapping[Notice, Expiry],
        write: Callable[[Sequence[Expiry], Rules, str, datetime], Text],
        at: datetime,
    ) -> None:
        claimed = await asyncio.to_thread(notices.claim, self._store, wanted, at)
        if not claimed:
            return
        text = write([wanted[claim] for claim in claimed], self.rules, self._hostname, at)
        content = notice(
            hostname=self._hostname,
            recipient=recipient,
            subject=text.subject,
            text=text.text,
            identifier=secrets.token_hex(16),
            date=at,
        )
        reply = await _deliver(upstream, recipient, content)
        if reply is not None and (reply.is_positive or reply.is_permanent):
            if not reply.is_positive:  # it would be refused every hour
                _log.error("expiry notice refused", to=str(recipient), reply=str(reply))
            await asyncio.to_thread(notices.told, self._store, claimed, at)
            return
        _log.warning("expiry notice not sent", to=str(recipient), consequence="in an hour again")
        await asyncio.to_thread(notices.released, self._store, claimed)


def _measured(found: Sequence[Expiry]) -> dict[str, float]:
    """Give the end of each use and of each certificate under full names; the earliest is first."""
    first = {full_name("expiry_seconds", one.use): one.ends.timestamp() for one in reversed(found)}
    each = {
        full_name(
            "certificate_expiry_seconds", one.use, one.certificate.fingerprint[:ID_DIGITS]
        ): one.ends.timestamp()
        for one in reversed(found[:MAX_EACH])
    }
    return first | each


def due_day(expiry: Expiry, days: Sequence[int], at: datetime) -> int:
    """Give the number of days before the end that is to be told now, 0 for the end itself.

    It is the least that has been reached, -1 when none has.
    """
    left = expiry.ends - at
    reached = [day for day in (0, *days) if left <= timedelta(days=day)]
    return min(reached, default=-1)


def _subject(expiry: Expiry) -> str:
    whose = "" if expiry.account is None else expiry.account.address.key
    return f"{expiry.use} {whose} {expiry.certificate.fingerprint}"


async def _deliver(upstream: Upstream, recipient: Mailbox, content: bytes) -> Reply | None:
    """Send one mail; None when the upstream cannot be used now."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            transaction = await upstream.open()
            try:
                return await _converse(transaction, recipient, content)
            finally:
                await drop(transaction)
    except (UpstreamError, TimeoutError):
        return None


async def _converse(transaction: Transaction, recipient: Mailbox, content: bytes) -> Reply:
    parameters = () if recipient.is_ascii else ("SMTPUTF8",)
    reply = await transaction.mail(None, parameters)
    if reply.is_positive:
        reply = await transaction.rcpt(ForwardPath(recipient))
    if not reply.is_positive:
        return reply
    return await transaction.prepare((content,)) or (await transaction.commit())[0]
