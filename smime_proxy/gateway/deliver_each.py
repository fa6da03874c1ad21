"""Deliver for a client that hears of each recipient by himself: no group waits for another.

RFC 2033 4.2 (LMTP): what one group is refused is its own, so nothing need be reported.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from smime_proxy.envelope import Envelope
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deliver import CLIENT_GONE, Outcome, abort_copy, merged
from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    abort_all,
    answered,
    drop,
    prepare,
    prepare_each,
)
from smime_proxy.gateway.dots import Attempt, Dots, Due
from smime_proxy.gateway.groups import copy_of, group_of
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.ports import Transaction
from smime_proxy.gateway.replies import refusal_reply, reply_for
from smime_proxy.gateway.work import Work
from smime_proxy.reply import Reply


async def deliver_each(
    context: Context,
    envelope: Envelope,
    work: Work,
    opened: Transaction | None,
    client_gone: Callable[[], bool],
    begun: float | None = None,
) -> Outcome:
    """Hand all groups on, each for itself; `Outcome.each` has the replies in RCPT order.

    A sent copy that is refused for now keeps everything back, as with SMTP; it is filed with the
    first recipient who has the message. Whose upstream does not answer in time is told 451, and
    the ledger remembers what it answers then. `begun` is the loop time of the client's final dot.
    """
    started = asyncio.get_running_loop().time() if begun is None else begun
    try:
        delivery = _Delivery(context, envelope, work, client_gone, started)
    except BaseException:
        await drop(opened)
        raise
    return await delivery.carry_out(opened)


class _Delivery:
    """One attempt; `_done` is what became of each group whose dot was sent."""

    def __init__(
        self,
        context: Context,
        envelope: Envelope,
        work: Work,
        client_gone: Callable[[], bool],
        started: float,
    ) -> None:
        copy = copy_of(context, envelope, work)
        self._context = context
        self._given = context.routes[envelope.session.listener].mode.given
        self._envelope = envelope
        self._work = work
        header = work.header
        self._groups = [group_of(context, envelope, one, header) for one in work.contents]
        self._copies = [copy] if copy else []
        self._copy: Prepared | Reply | None = None
        self._entries = Entries(context, envelope)
        self._attempt = Attempt(
            context,
            envelope.identifier,
            self._entries,
            Due.after(started, context.routes[envelope.session.listener].deadlines),
            client_gone,
            claimed=False,
        )
        self._dots = Dots(self._attempt)
        self._done: list[tuple[Group, PathReplies]] = []

    async def carry_out(self, opened: Transaction | None) -> Outcome:
        """Send what nobody has yet; `opened` is the transaction of the client's recipients."""
        try:
            refusal = await self._begin()
        except BaseException:
            await drop(opened)
            raise
        if refusal is not None:
            await drop(opened)
            return self._outcome([answered(group, refusal) for group in self._groups])
        try:
            outcome = self._outcome(await self._send(opened))
        except BaseException:
            await abort_copy(self._copy)
            await self._remember_served()
            await self._entries.release()
            raise
        await self._conclude(outcome)
        return replace(outcome, copy=self._copy)

    async def _begin(self) -> Reply | None:
        """Ask the ledger, and prepare the sent copy unless it is filed; a reply keeps all back."""
        if (await self._entries.look([*self._groups, *self._copies])).busy:
            return reply_for("being_sent")
        try:
            async with asyncio.timeout_at(self._attempt.due.gate):
                for copy in map(self._entries.rest, self._copies):
                    self._copy = await prepare(copy) if copy.paths else None
        except TimeoutError:
            return reply_for("out_of_time")
        if isinstance(self._copy, Reply) and self._given(self._copy).is_temporary:
            return replace(self._copy, code=451)
        return None

    async def _send(self, opened: Transaction | None) -> list[PathReplies]:
        rest = [self._entries.rest(group) for group in self._groups]
        waiting = [group for group in rest if group.paths]
        if len(waiting) != 1 or len(waiting[0].paths) != len(self._envelope.forward_paths):
            await drop(opened)
            opened = None
        told: list[PathReplies] = []
        size = self._context.max_parallel_copies
        for start in range(0, len(waiting), size):
            told += await self._wave(waiting[start : start + size], opened)
        return merged(self._groups, rest, told)

    async def _wave(
        self, wave: Sequence[Group], opened: Transaction | None
    ) -> Sequence[PathReplies]:
        """Prepare as many groups as may be held at once, and send their dots."""
        due = self._attempt.due
        items = await prepare_each(wave, due.answer if self._done else due.gate, opened)
        try:
            if self._attempt.client_gone():
                await abort_all(items)
                return [answered(group, CLIENT_GONE) for group in wave]
            return await self._commit(wave, items)
        except BaseException:
            await abort_all(items)  # of what is committed nothing is left to abort
            raise

    async def _commit(
        self, wave: Sequence[Group], items: Sequence[Prepared | Reply]
    ) -> Sequence[PathReplies]:
        """Send all dots of a wave at once; the unforeseen with one is raised after the others."""
        dots = [self._dot(group, item) for group, item in zip(wave, items, strict=True)]
        replies = []
        for told in await asyncio.gather(*dots, return_exceptions=True):
            if isinstance(told, BaseException):
                raise told
            replies.append(told)
        return replies

    async def _dot(self, group: Group, item: Prepared | Reply) -> PathReplies:
        if isinstance(item, Reply):
            return answered(group, item)
        told = await self._dots.send(group, item)
        self._done.append((group, told))
        return told

    def _outcome(self, replies: Sequence[PathReplies]) -> Outcome:
        each = _in_order(self._envelope, self._work, self._groups, replies)
        positive = next((reply for reply in each if reply.is_positive), None)
        return Outcome(positive or each[0], tuple(replies), None, each)

    async def _conclude(self, outcome: Outcome) -> None:
        """Write down what the client's retry must know, or forget what it need not."""
        if not outcome.reply.is_positive:
            await abort_copy(self._copy)
            self._copy = None
        comes_again = any(self._given(reply).is_temporary for reply in outcome.each)
        if self._attempt.client_gone():
            comes_again = True
            await self._remember_served()
        else:
            heard = zip(self._groups, outcome.replies, strict=True)
            await self._entries.forget([self._settled(group, told) for group, told in heard])
        if not comes_again:
            await self._entries.forget(self._copies)
        elif self._copy is not None:
            for copy in self._copies:
                await self._entries.accept(copy, copy.paths)
        await self._entries.release()

    def _settled(self, group: Group, told: PathReplies) -> Group:
        """Give a group with those only of whom the client has nothing left to send."""
        done = tuple(path for path, one in told if not self._given(one).is_temporary)
        return replace(group, paths=done)

    async def _remember_served(self) -> None:
        for group, told in self._done:
            await self._entries.accept(group, [path for path, one in told if one.is_positive])


def _in_order(
    envelope: Envelope, work: Work, groups: Sequence[Group], replies: Sequence[PathReplies]
) -> tuple[Reply, ...]:
    """Give each forward-path its reply; one that was named twice has two."""
    queues = [
        (frozenset(path.mailbox for path in group.paths), iter(told))
        for group, told in zip(groups, replies, strict=True)
    ]
    refused = {
        item.recipient: refusal_reply(item.why, item.detail, item.instead)
        for item in work.plan.refused
    }
    each = []
    for path in envelope.forward_paths:
        told = next((queue for mailboxes, queue in queues if path.mailbox in mailboxes), None)
        each.append(refused[path.mailbox] if told is None else next(told)[1])
    return tuple(each)
