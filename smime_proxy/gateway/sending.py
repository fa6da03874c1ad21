"""Send the groups of one message: prepare a wave, send its dots, write down who has it, go on.

RFC 5321 6.1. Before the first acceptance any refusal means that nobody gets anything; after it each
group has its own reply. Who is answered too late by the upstream is settled behind the client.
"""

from collections.abc import Awaitable, Callable, Sequence

from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    abort_all,
    answered,
    prepare_each,
    verdict,
)
from smime_proxy.gateway.dots import Attempt, Dots
from smime_proxy.gateway.ports import Transaction
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply


class Unsent(Exception):  # noqa: N818 - what the client is told, not an error
    """Nobody got anything by this attempt; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        """Keep what the client is told."""
        super().__init__(str(reply))
        self.reply = reply


class Sending:
    """Sends the groups of one attempt; `started` once anybody has the message.

    `ready` is called once before the first dot, and raises `Unsent` if it must not be sent.
    """

    def __init__(self, attempt: Attempt, ready: Callable[[], Awaitable[None]]) -> None:
        """Begin with those who have the message from attempts before."""
        self._attempt = attempt
        self._ready = ready
        self._dots = Dots(attempt)
        self._is_ready = False
        self._whole = True  # all so far have it
        self.started = bool(attempt.entries.known.served)

    @property
    def late(self) -> bool:
        """Tell whether an upstream did not answer a dot in time; then nothing more is sent."""
        return self._dots.late

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
        return await prepare_each(wave, due.answer if self.started else due.gate, opened)

    async def _check(self, items: Sequence[Prepared | Reply]) -> None:
        """See whether the first dot may be sent; raises `Unsent`."""
        if not self.started:
            for item in items:
                if isinstance(item, Reply):
                    raise Unsent(item)
        if not self._is_ready:
            await self._ready()
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
        return await self._dots.send(group, item)
