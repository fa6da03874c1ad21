"""Deliver what was made: one group on the transaction already open, several by prepare and commit.

RFC 5321 6.1 (responsibility), RFC 3464 (the report for those who cannot be served).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from smime_proxy.envelope import Envelope, ForwardPath
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    answered,
    drop,
    prepare,
    verdict,
)
from smime_proxy.gateway.dots import Attempt, Due
from smime_proxy.gateway.groups import copy_of, group_of, may_report, report_of
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.ports import LedgerError, Transaction, UpstreamError
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.reports import report_group, undelivered
from smime_proxy.gateway.sending import Sending, Unsent
from smime_proxy.gateway.work import Work
from smime_proxy.reply import EnhancedStatus, Reply

CLIENT_GONE = Reply(451, EnhancedStatus(4, 2), "The client left before the message was sent.")
SERVED = Reply(250, EnhancedStatus(0, 0), "The message was delivered by an attempt before")

_log = structlog.get_logger("smime_proxy.gateway")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client is told, and what each group's upstream said of whom, in the work's order.

    `copy` is the sent copy, prepared and to be filed now, or the reply that refused it for good.
    `each` has a reply for each forward-path, only where the client hears of each.
    """

    reply: Reply
    replies: tuple[PathReplies, ...]
    copy: Prepared | Reply | None = None
    each: tuple[Reply, ...] = ()


async def deliver(
    context: Context,
    envelope: Envelope,
    work: Work,
    opened: Transaction | None,
    client_gone: Callable[[], bool],
    begun: float | None = None,
) -> Outcome:
    """Hand all groups on, then the report for refused recipients; the sent copy is prepared.

    `opened` is the transaction of the recipients as the client named them; it is used when there
    is one group, else reset. Nothing is sent unless every group and the copy are prepared. Those
    who have the message from an attempt before are left out. `begun` is the loop time of the
    client's final dot.
    """
    try:
        delivery = _Delivery(context, envelope, work)
    except BaseException:
        await drop(opened)
        raise
    started = asyncio.get_running_loop().time() if begun is None else begun
    return await delivery.carry_out(opened, client_gone, started)


async def file_copy(copy: Prepared | Reply) -> Reply:
    """File the sent copy `deliver` prepared, or give the reply that refused it for good."""
    try:
        return copy if isinstance(copy, Reply) else verdict(await copy.commit())
    except UpstreamError as error:
        return error.reply


async def abort_copy(copy: Prepared | Reply | None) -> None:
    """Drop a sent copy that was prepared."""
    if isinstance(copy, Prepared):
        await copy.abort()


class _Delivery:
    """One attempt: what it began with, and the sent copy once that is prepared."""

    def __init__(self, context: Context, envelope: Envelope, work: Work) -> None:
        report, copy = report_of(context, envelope, work), copy_of(context, envelope, work)
        self._context = context
        self._envelope = envelope
        self._work = work
        header = work.header
        self._groups = [group_of(context, envelope, one, header) for one in work.contents]
        self._due_groups = [*self._groups, *([report] if report else [])]
        self._copies = [copy] if copy else []
        self._route = context.routes[envelope.session.listener]
        self._given = self._route.mode.given  # what the client will hear decides what comes again
        self._entries = Entries(context, envelope)
        self._copy: Prepared | Reply | None = None
        self._due = Due(0.0, 0.0)
        self._client_gone: Callable[[], bool] = lambda: False

    async def carry_out(
        self, opened: Transaction | None, client_gone: Callable[[], bool], begun: float
    ) -> Outcome:
        self._client_gone, self._due = client_gone, Due.after(begun, self._route.deadlines)
        try:
            refusal = await self._known()
        except BaseException:
            await drop(opened)
            raise
        if refusal is not None:
            await drop(opened)
            return self._nobody(refusal)
        try:
            outcome = await self._send(opened)
        except Unsent as unsent:
            outcome = self._nobody(unsent.reply)
        except BaseException:
            await abort_copy(self._copy)
            await self._entries.release()
            raise
        await self._conclude(outcome)
        return outcome

    @property
    def _is_split(self) -> bool:
        return len(self._due_groups) > 1

    async def _known(self) -> Reply | None:
        """Ask the ledger; of several groups it must know before any dot. A reply: nothing goes."""
        try:
            if self._is_split:
                if self._copies:
                    # Not claimed: another transaction may bring the same mail to others.
                    await self._entries.look(self._copies)
                known = await self._entries.claim(self._due_groups)
            else:
                known = await self._entries.look([*self._due_groups, *self._copies])
        except LedgerError:
            return reply_for("ledger_failed")
        return reply_for("being_sent") if known.busy else None

    async def _send(self, opened: Transaction | None) -> Outcome:
        rest = [self._entries.rest(group) for group in self._due_groups]
        waiting = [group for group in rest if group.paths]
        is_whole = len(waiting) == len(self._due_groups) == 1 and (
            len(waiting[0].paths) == len(self._envelope.forward_paths)
        )
        if not is_whole:
            await drop(opened)
            opened = None
        sending = Sending(self._attempt(), self._ready)
        told = await sending.send(waiting, opened)
        if not waiting:
            await self._ready()
        replies = merged(self._due_groups, rest, told)
        return Outcome(
            await self._reply(replies, late=sending.late),
            tuple(replies[: len(self._groups)]),
            self._copy,
        )

    def _attempt(self) -> Attempt:
        return Attempt(
            self._context,
            self._envelope.identifier,
            self._entries,
            self._due,
            self._client_gone,
            claimed=self._is_split,
        )

    async def _ready(self) -> None:
        """Do what comes last before the first dot; raises `Unsent`."""
        try:
            async with asyncio.timeout_at(self._due.gate):
                for copy in map(self._entries.rest, self._copies):
                    self._copy = await prepare(copy) if copy.paths else None
        except TimeoutError:
            raise Unsent(reply_for("out_of_time")) from None
        if isinstance(self._copy, Reply) and self._given(self._copy).is_temporary:
            raise Unsent(replace(self._copy, code=451))
        if self._client_gone():
            _log.info("client_gone_unwound", id=self._envelope.identifier)
            raise Unsent(CLIENT_GONE)

    async def _conclude(self, outcome: Outcome) -> None:
        """Write down what the client's retry must know, or forget what it need not."""
        reply = self._given(outcome.reply)
        if not reply.is_positive:
            await abort_copy(self._copy)  # the client sends again, or nobody got it
        if reply.is_temporary:
            await self._entries.release()
        elif reply.is_positive and self._client_gone():
            for group in (*self._due_groups, *self._copies):
                await self._entries.accept(group, group.paths)
        else:
            await self._entries.forget([*self._due_groups, *self._copies])

    async def _reply(self, replies: Sequence[PathReplies], *, late: bool) -> Reply:
        """Say what became of the whole message, and tell the sender of those refused for good."""
        told = [pair for one in replies[: len(self._groups)] for pair in one]
        reports = replies[len(self._groups) :]
        sender = self._envelope.reverse_path
        if any(verdict(one).is_positive for one in reports) and sender is not None:
            self._context.rate.note(sender, self._envelope.received_at)
        if all(reply.is_positive for one in replies for _, reply in one):
            said = [reply for _, reply in told if reply is not SERVED]
            return said[0] if said else SERVED
        rest = [(path, reply) for path, reply in told if not reply.is_positive]
        count = f"{len(told) - len(rest)} of {len(told)} recipients have the message"
        if len(rest) < len(told):
            self._context.measures.count("partly_sent")
        if late:
            return reply_for("unanswered", count if len(told) > 1 else "")
        return await self._partly(told, rest, reports, count)

    async def _partly(
        self,
        told: Sequence[tuple[ForwardPath, Reply]],
        rest: Sequence[tuple[ForwardPath, Reply]],
        reports: Sequence[PathReplies],
        count: str,
    ) -> Reply:
        """Answer for mail that some got: the client sends again, or a report names the rest."""
        unreported = [verdict(one) for one in reports if not verdict(one).is_positive]
        refusals = [self._given(reply) for reply in (*(one for _, one in rest), *unreported)]
        if not all(reply.is_permanent for reply in refusals):
            return reply_for("partly_sent", count)
        if rest and not unreported and may_report(self._context, self._envelope, self._work):
            reported = await self._tell(rest)
            if reported.is_positive:
                self._count_reported(rest)
                return next(reply for _, reply in told if reply.is_positive)
            if reported.is_temporary:
                return reply_for("partly_sent", count)
        return reply_for("partly_refused", f"{count}; the rest was refused: {refusals[0]}")

    def _count_reported(self, rest: Sequence[tuple[ForwardPath, Reply]]) -> None:
        for path, reply in rest:
            if path.wants_failures:
                to = [str(path.mailbox)]
                mode = self._route.mode.value
                self._context.measures.count("reported", mode=mode)
                identifier = self._envelope.identifier
                _log.info("reported", id=identifier, to=to, reply=str(reply), mode=mode)

    async def _tell(self, rest: Sequence[tuple[ForwardPath, Reply]]) -> Reply:
        """Send the report while the client waits, and give the upstream's reply to it.

        Positive too where nobody wanted to hear of it (RFC 3461 4.1).
        """
        reports, header = self._route.reports, self._work.header
        if reports is None:
            return rest[0][1]
        hostname, wording = self._context.hostname, self._context.wording
        failed = undelivered(rest, wording)
        report = report_group(reports, self._envelope, header, failed, hostname, wording)
        try:
            async with asyncio.timeout_at(self._due.answer):
                return SERVED if report is None else await file_copy(await prepare(report))
        except TimeoutError:
            return reply_for("unanswered")

    def _nobody(self, reply: Reply) -> Outcome:
        return Outcome(reply, tuple(answered(group, reply) for group in self._groups))


def merged(
    groups: Sequence[Group], rest: Sequence[Group], told: Sequence[PathReplies]
) -> list[PathReplies]:
    """Put together who was served before and what the others were told, in the groups' order."""
    said = iter(told)
    replies = []
    for group, waiting in zip(groups, rest, strict=True):
        now = list(next(said)) if waiting.paths else []
        # In their order: spellings of one address are equal, and each has a reply of its own.
        replies.append(
            tuple(
                now.pop(0) if now and now[0][0] is path else (path, SERVED) for path in group.paths
            )
        )
    return replies
