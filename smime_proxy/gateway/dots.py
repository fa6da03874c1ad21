"""One final dot: sent, and its reply awaited as long as the client waits for ours.

RFC 5321 4.5.3.2.6 and 6.1. What an upstream answers too late is written down behind the client, so
that his retry hears of it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deadlines import Deadlines
from smime_proxy.gateway.delivery import Group, PathReplies, Prepared, answered, verdict
from smime_proxy.gateway.ledger import Entries
from smime_proxy.gateway.ports import LedgerError, Unconfirmed, UpstreamError
from smime_proxy.gateway.replies import reply_for

LOOK_SECONDS = 1.0  # so often it is seen that the client has left while the upstream is silent

_log = structlog.get_logger("smime_proxy.gateway")


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

    `claimed`: the entries are in the ledger before the first dot, since there are several groups
    and one reply for all.
    """

    context: Context
    identifier: str
    entries: Entries
    due: Due
    client_gone: Callable[[], bool]
    claimed: bool


class Dots:
    """The dots of one attempt; `late`: an upstream did not answer one in time."""

    def __init__(self, attempt: Attempt) -> None:
        """Begin with none sent."""
        self._attempt = attempt
        self.late = False

    async def send(self, group: Group, prepared: Prepared) -> PathReplies:
        """Send a dot and give what became of each recipient; 451 when the client waits no more."""
        group = replace(group, content=())  # it may be awaited for long after the client left
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
