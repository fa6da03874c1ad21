"""Send the groups of one message: prepare a wave, send its dots, write down who has it, go on.

RFC 5321 6.1. Before the first acceptance any refusal means that nobody gets anything; after it each
group has its own reply. Who is answered too late by the upstream is settled behind the client.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deadlines import Deadlines
from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    abort_all,
    answered,
    prepare_each,
    prepare_opened,
    verdict,
)
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.ports import LedgerError, Transaction, Unconfirmed, UpstreamError
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply

LOOK_SECONDS = 1.0  # so often it is seen that the client has left while the upstream is silent

_log = structlog.get_logger("smime_proxy.gateway")


class Unsent(Exception):  # noqa: N818 - what the client is told, not an error
    """Nobody got anything by this attempt; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        """Keep what the client is told."""
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Due:
    """Moments of loop time: no first dot after `gate`, and the client is told by `answer`."""

    gate: float
    answer: float

    @classmethod
    def after(cls, begun: float, deadlines: Deadlines) -> "Due":
        """Count from the client's final dot, in loop time."""
        return cls(begun + deadlines.gate, begun + deadlines.answer)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One client's attempt to send one message: what all steps of it share.

    `claimed`: the entries are in the ledger before the first dot, since there are several groups.
    `ready` is called once before the first dot, and raises `Unsent` if it must not be sent.
    """

    context: Context
    identifier: str
    entries: Entries
    due: Due
    client_gone: Callable[[], bool]
    claimed: bool
    ready: Callable[[], Awaitable[None]]


class Sending:
    """Sends the groups of one attempt; `started` once anybody has the message.

    `late`: an upstream did not answer a dot in time, and nothing more is sent.
    """

    def __init__(self, attempt: Attempt) -> None:
        """Begin with those who have the message from attempts before."""
        self._attempt = attempt
        self._is_ready = False
        self._whole = True  # all so far have it
        self.started = bool(attempt.entries.known.served)
        self.late = False

    async def send(self, groups: Sequence[Group], opened: Transaction | None) -> list[PathReplies]:
        """Send all and give what became of each recipient; raises `Unsent` when nothing was sent.

        `opened` is a transaction that has the recipients of the only group already.
        """
        replies: list[PathReplies] = []
        size = self._attempt.context.max_parallel_copies
        for start in range(0, len(groups), size):
            wave = groups[start : start + size]
            if self.late:
                replies += [answered(group, reply_for("out_of_time")) for group in wave]
            else:
                replies += await self._wave(wave, opened, is_last=start + size >= len(groups))
        return replies

    async def _wave(
        self, wave: Sequence[Group], opened: Transaction | None, *, is_last: bool
    ) -> list[PathReplies]:
        items = await self._prepare(wave, opened)
        try:
            await self._check(items)
            return await self._commit(wave, items, is_last=is_last)
        except BaseException:
            await abort_all(items)
            raise

    async def _prepare(
        self, wave: Sequence[Group], opened: Transaction | None
    ) -> Sequence[Prepared | Reply]:
        due = self._attempt.due
        until = due.answer if self.started else due.gate
        if opened is None:
            return await prepare_each(wave, until)
        try:
            async with asyncio.timeout_at(until):
                return [await prepare_opened(wave[0], opened)]
        except TimeoutError:
            return [reply_for("out_of_time")]

    async def _check(self, items: Sequence[Prepared | Reply]) -> None:
        """See whether the first dot may be sent; raises `Unsent`."""
        if not self.started:
            for item in items:
                if isinstance(item, Reply):
                    raise Unsent(item)
        if not self._is_ready:
            await self._attempt.ready()
            self._is_ready = True
        # Where one session ended meanwhile no dot is sent: nobody has the mail, and nobody twice.
        if not self.started and any(isinstance(one, Prepared) and one.is_lost for one in items):
            raise Unsent(reply_for("upstream_lost"))

    async def _commit(
        self, wave: Sequence[Group], items: Sequence[Prepared | Reply], *, is_last: bool
    ) -> list[PathReplies]:
        replies: list[PathReplies] = []
        for group, item in zip(wave, items, strict=True):
            told = await self._told(group, item)
            replies.append(told)
            served = [path for path, reply in told if reply.is_positive]
            if not served and not self.started and not self.late:
                raise Unsent(verdict(told))
            self.started |= bool(served)
            self._whole &= len(served) == len(told)
            # When all have it by the last dot, all of it is forgotten in a moment. By LMTP some of
            # the only group may have it, and the others not.
            is_end = is_last and len(replies) == len(wave)
            if not (is_end and self._whole):
                await self._attempt.entries.accept(group, served)
        return replies

    async def _told(self, group: Group, item: Prepared | Reply) -> PathReplies:
        if isinstance(item, Reply):
            return answered(group, item)
        if self.late:
            await item.abort()
            return answered(group, reply_for("out_of_time"))
        return await self._dot(group, item)

    async def _dot(self, group: Group, prepared: Prepared) -> PathReplies:
        """Send a dot and wait for its reply as long as the client does."""
        task = asyncio.get_running_loop().create_task(self._answer(group, prepared))
        try:
            await self._wait(group, task)
        except BaseException:
            self._leave(group, task)
            raise
        if task.done():
            return task.result()
        self.late = True
        self._leave(group, task)
        return answered(group, reply_for("unanswered"))

    async def _wait(self, group: Group, task: asyncio.Task[PathReplies]) -> None:
        """Wait until the upstream answers or the client must be told; then it is written down."""
        attempt, loop = self._attempt, asyncio.get_running_loop()
        noted = attempt.claimed
        while not task.done():
            left = attempt.due.answer - loop.time()
            await asyncio.wait({task}, timeout=max(0.0, min(LOOK_SECONDS, left)))
            is_over = left <= LOOK_SECONDS
            if not task.done() and not noted and (is_over or attempt.client_gone()):
                await self._note(group)
                noted = True
            if is_over:
                return

    async def _note(self, group: Group) -> None:
        try:
            await self._attempt.entries.claim([group])
        except LedgerError:
            return  # it is counted, and the client is told that the message may be sent

    async def _answer(self, group: Group, prepared: Prepared) -> PathReplies:
        try:
            return await prepared.commit()
        except Unconfirmed as error:
            self._attempt.context.measures.count("dup_possible")
            _log.warning("dup_possible", id=self._attempt.identifier, reason=str(error.reply))
            return answered(group, error.reply)
        except UpstreamError as error:
            return answered(group, error.reply)

    def _leave(self, group: Group, task: asyncio.Task[PathReplies]) -> None:
        """Let the upstream's answer be written down whenever it comes."""
        self._attempt.entries.leave(group)
        self._attempt.context.late.add(self._settle(group, task))

    async def _settle(self, group: Group, task: asyncio.Task[PathReplies]) -> None:
        entries = self._attempt.entries
        if not entries.written:
            await self._note(group)
        await asyncio.wait({task})
        told = task.result()
        await entries.accept(group, [path for path, reply in told if reply.is_positive])
        missed = tuple(path for path, reply in told if not reply.is_positive)
        await entries.forget([replace(group, paths=missed)])
        _log.info("answered late", id=self._attempt.identifier, reply=str(verdict(told)))
