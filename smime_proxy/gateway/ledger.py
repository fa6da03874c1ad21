"""The ledger's entries of one message: how it is known again, and what is written of it when.

RFC 5322 3.6.7 and RFC 8601 4 (trace fields, which each hop puts in front). docs/adr/0021.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import structlog

from smime_proxy.envelope import Envelope, ForwardPath
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.delivery import Group
from smime_proxy.gateway.ports import NOTHING_KNOWN, Known, LedgerError

# What a server in front may write anew with each attempt, if it stands before all other fields.
TRACE_FIELDS = frozenset(
    {
        b"received",
        b"return-path",
        b"authentication-results",
        b"received-spf",
        b"dkim-signature",
        b"arc-seal",
        b"arc-message-signature",
        b"arc-authentication-results",
    }
)
_TELLING = re.compile(rb"^(?:date|message-id)[ \t]*:", re.IGNORECASE | re.MULTILINE)
LARGE = 256 * 1024  # octets; beyond this a digest costs the loop more than a thread's hand-over

_log = structlog.get_logger("smime_proxy.gateway")


def digest(content: bytes) -> bytes:
    """Give what a message has in common with itself when it is sent again: SHA-256.

    Taken of everything behind the trace fields in front.
    """
    start = 0
    while (colon := content.find(b":", start, start + 100)) > 0:
        if content[start:colon].strip(b" \t").lower() not in TRACE_FIELDS:
            break
        start = _field_end(content, colon)
    return hashlib.sha256(memoryview(content)[start:]).digest()


def is_unique(content: bytes) -> bool:
    """Tell whether two mails sent on purpose differ: a field says which it is, or when written.

    Programs leave out both (RFC 5322 3.6 wants the date), and send the same alert day by day.
    """
    end = content.find(b"\r\n\r\n")
    return _TELLING.search(content, 0, len(content) if end < 0 else end) is not None


def _field_end(content: bytes, start: int) -> int:
    end = content.find(b"\r\n", start)
    while end >= 0 and content[end + 2 : end + 3] in (b" ", b"\t"):
        end = content.find(b"\r\n", end + 2)
    return len(content) if end < 0 else end + 2


class Entries:
    """The entries of one message; only `claim` fails with the ledger, the rest is counted."""

    def __init__(self, context: Context, envelope: Envelope) -> None:
        """Touch nothing yet."""
        self._ledger = context.ledger
        self._context = context
        self._listener = envelope.session.listener
        self._sender = envelope.reverse_path.text if envelope.reverse_path else ""
        self._identifier = envelope.identifier
        # Until its digest is taken: an answer may be awaited long after the client has his.
        self._content = envelope.content if self._ledger is not None else b""
        self._digest = b""
        self._claimed: set[bytes] = set()
        self.known = NOTHING_KNOWN
        self.written = False  # there are entries of this message

    async def look(self, groups: Sequence[Group]) -> Known:
        """Say what is known, nothing when the ledger cannot be read: mail of one copy goes on."""
        if self._ledger is not None and not self._ledger.is_empty():
            await self._read()
            try:
                self._note(await self._ledger.look(self._names(groups)))
            except LedgerError as error:
                self._failed("look", error)
        return self.known

    async def claim(self, groups: Sequence[Group]) -> Known:
        """Say what is known and write down that the rest is about to be sent.

        Raises `LedgerError` when that is not durable.
        """
        if self._ledger is None:
            return self.known
        await self._read()
        names = self._names(groups)
        try:
            self._note(await self._ledger.claim(names))
        except LedgerError as error:
            self._failed("claim", error)
            raise
        if not self.known.busy:
            self.written = True
            self._claimed.update(set(names) - self.known.served)
        return self.known

    def rest(self, group: Group) -> Group:
        """Give a group without those who have the message already."""
        served = self.known.served
        if not served:
            return group
        paths = tuple(path for path in group.paths if self._name(group, path) not in served)
        return replace(group, paths=paths)

    async def accept(self, group: Group, paths: Iterable[ForwardPath]) -> None:
        """Remember that these have the message; the upstream's 250 stands whatever happens."""
        paths = tuple(paths)
        if self._ledger is None or not paths:
            return
        await self._read()
        names = [self._name(group, path) for path in paths]
        self._claimed.difference_update(names)
        self.written = True
        try:
            await self._ledger.accept(names)
        except LedgerError as error:
            self._failed("accept", error)

    def leave(self, group: Group) -> None:
        """Keep `release` from what somebody else settles."""
        if self._claimed:
            self._claimed.difference_update(self._names([group]))

    async def release(self) -> None:
        """Forget what was claimed and nobody was sent, so that the client's retry may send it."""
        names, self._claimed = self._claimed, set()
        await self._forget(tuple(names))

    async def forget(self, groups: Sequence[Group]) -> None:
        """Forget all of these: the client has been told the end of it."""
        if self.written:
            await self._read()
            await self._forget(self._names(groups))

    async def _forget(self, names: Sequence[bytes]) -> None:
        if self._ledger is None or not names:
            return
        try:
            await self._ledger.forget(names)
        except LedgerError as error:
            self._failed("forget", error)

    def _note(self, known: Known) -> None:
        self.known = replace(known, served=known.served | self.known.served)
        self.written |= bool(known.served or known.doubtful)
        if known.doubtful and not known.busy:
            self._context.measures.count("dup_possible")
            reason = "a process ended while it was sent"
            _log.warning("dup_possible", id=self._identifier, reason=reason)

    def _failed(self, operation: str, error: LedgerError) -> None:
        self._context.measures.count("ledger_failures", operation=operation)
        identifier, reason = self._identifier, str(error)
        _log.error("ledger failed", id=identifier, operation=operation, reason=reason)

    def _names(self, groups: Sequence[Group]) -> list[bytes]:
        return [self._name(group, path) for group in groups for path in group.paths]

    def _name(self, group: Group, path: ForwardPath) -> bytes:
        assert self._ledger is not None  # noqa: S101 - whoever calls has looked
        # A report of some is none of others, whom another transaction of the same mail names.
        about = sorted(mailbox.text for mailbox in group.about)
        parts = (self._listener, self._sender, group.kind.value, path.mailbox.text, *about)
        return self._ledger.name(*(part.encode() for part in parts), self._digest)

    async def _read(self) -> None:
        """Take the digest, once; in a thread where that takes long. What is not unique has none."""
        if self._digest:
            return
        if not is_unique(self._content):
            self._digest = self._context.random(hashlib.sha256().digest_size)  # better twice
        elif len(self._content) > LARGE:
            self._digest = await asyncio.to_thread(digest, self._content)
        else:
            self._digest = digest(self._content)
        self._content = b""
