"""Looks for certificates of people the store knows none of: in order, within a budget, once.

RFC 8550 2.3. Answers are remembered, those of nothing too; several mails that wait for one address
wait for one question; a source that is away is not asked again at once.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Validity
from smime_proxy.certs.revocation import Revocation
from smime_proxy.gateway.discovered import suffices
from smime_proxy.gateway.ports import Answer, Answers, Directory, Findings, Measures, Silence
from smime_proxy.lookup.source import Source, SourceDown, SourceUnreachable, Told
from smime_proxy.policy.lacking import Lack

MAX_REMEMBERED = 10_000  # answers in memory, some kB each; then those that came first go
MAX_AT_ONCE = 8  # questions to one source; directories serve few sessions well
MAX_WAITING = 2_000  # questions of one process, the recipients of two large mails
MIN_SECONDS = 60  # an answer holds at least so long, whatever its TTL: mail comes in bursts
GRACE_SECONDS = 0.5  # a source keeps to its time itself, this is for one that does not
SILENCE_SECONDS = 30.0  # a source that is away for all is left alone for so long

_log = structlog.get_logger("smime_proxy.discovery")


def _drop(logger: object, method: str, event: MutableMapping[str, object]) -> NoReturn:
    del logger, method, event
    raise structlog.DropEvent


_SILENT = structlog.wrap_logger(None, processors=[_drop])


@dataclass(frozen=True, slots=True)
class Terms:
    """How long all is allowed to take, and how long answers hold; in seconds.

    `budget` is for one mail; `keep` holds at most for what was found, `keep_none` for nothing.
    """

    budget: float = 5.0
    keep: int = 86_400
    keep_none: int = 3_600


@dataclass(slots=True)
class _Search:
    """How far the search for one recipient is; `asking` is the source that is asked now."""

    lack: Lack
    answers: list[Answer] = field(default_factory=list)
    unreachable: list[Silence] = field(default_factory=list)
    asking: str = ""

    def findings(self) -> Findings:
        return Findings(tuple(self.answers), tuple(self.unreachable))


class SourcesInOrder:
    """Implements `gateway.ports.Discovery`; made anywhere, used in one event loop."""

    def __init__(
        self,
        sources: Sequence[Source],
        answers: Answers,
        terms: Terms,
        measures: Measures,
        clock: Callable[[], float] = time.monotonic,
        *,
        revocation: Revocation | None = None,
        quiet: bool = False,
    ) -> None:
        """Ask nobody yet; `clock` gives seconds that only grow. `quiet`: nothing is logged.

        `revocation` says who was revoked: then the next source is asked.
        """
        self._sources = tuple(sources)
        self._answers = answers
        self._terms = terms
        self.measures = measures
        self._clock = clock
        self._revocation = revocation
        self._log = _SILENT if quiet else _log
        self._known: dict[tuple[str, str], Answer] = {}
        self._running: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._silent_until: dict[str, tuple[float, str]] = {}
        self._turns = {source.name: asyncio.Semaphore(MAX_AT_ONCE) for source in sources}

    def sources_for(self, mailbox: Mailbox) -> Sequence[str]:
        """Name the sources that would be asked, in their order; no I/O."""
        return tuple(source.name for source in self._sources if source.serves(mailbox))

    async def find(self, lacks: Sequence[Lack], directory: Directory) -> dict[Mailbox, Findings]:
        """Look for certificates of all at once; who is not done in time is unreachable.

        The questions go on behind the mail, so that the next one finds them answered.
        """
        if not lacks:
            return {}
        searches = [_Search(lack) for lack in lacks]
        tasks = [asyncio.create_task(self._search(one, directory)) for one in searches]
        done, late = await asyncio.wait(tasks, timeout=self._terms.budget)
        for task in late:
            task.cancel()
        for search, task in zip(searches, tasks, strict=True):
            if task in late:
                reason = f"no answer in {self._terms.budget:g} s"
                search.unreachable.append(Silence(search.asking, reason))
        for task in done:
            task.result()  # a fault of ours is the pipeline's to answer for
        return {search.lack.mailbox: search.findings() for search in searches}

    async def ask_all(self, mailbox: Mailbox) -> Findings:
        """Ask every source anew, whatever it said before."""
        answers, unreachable = [], []
        for source in self._sources:
            if source.serves(mailbox):
                try:
                    answers.append(await self._ask(source, mailbox))
                except SourceUnreachable as error:
                    unreachable.append(Silence(source.name, str(error)))
        return Findings(tuple(answers), tuple(unreachable))

    async def keep(self, answers: Sequence[Answer]) -> None:
        """Remember answers as if mail had brought them up."""
        for answer in answers:
            self._remember(answer)
        await self._answers.write(answers)

    async def close(self) -> None:
        """Stop asking, write what is being written, and let go of connections."""
        for task in self._running.values():
            task.cancel()
        pending = (*self._running.values(), *self._writing)
        if pending:
            await asyncio.wait(pending)
        for source in self._sources:
            await source.close()

    async def _search(self, search: _Search, directory: Directory) -> None:
        mailbox = search.lack.mailbox
        for source in self._sources:
            if not source.serves(mailbox):
                continue
            search.asking = source.name
            try:
                search.answers.append(await self._answer(source, mailbox))
            except SourceUnreachable as error:
                search.unreachable.append(Silence(source.name, str(error)))
                continue
            # In a thread: chains are judged, and strangers may have written them.
            enough = await asyncio.to_thread(
                suffices, search.findings(), directory, search.lack, _now(), self._revocation
            )
            if enough:
                return

    async def _answer(self, source: Source, mailbox: Mailbox) -> Answer:
        """Give what is remembered, or wait for the one question that is being asked."""
        name = (source.name, mailbox.exact)
        known = self._known.get(name)
        if known is not None and known.expires_at > _now():
            return known
        task = self._running.get(name)
        if task is None:
            if len(self._running) >= MAX_WAITING:
                raise SourceUnreachable("too many questions wait already")
            task = asyncio.create_task(self._look_up(source, mailbox))
            self._running[name] = task
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return await asyncio.shield(task)

    def _ended(self, name: tuple[str, str], task: "asyncio.Task[Answer]") -> None:
        del self._running[name]
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more, and that is no fault

    async def _look_up(self, source: Source, mailbox: Mailbox) -> Answer:
        now = _now()
        for kept in await self._answers.read(mailbox):
            if kept.source == source.name and kept.expires_at > now:
                self._remember(kept)
                return kept
        until, reason = self._silent_until.get(source.name, (0.0, ""))
        if self._clock() < until:
            self.measures.count("lookups", source=source.name, outcome="silenced")
            raise SourceUnreachable(reason)
        answer = await self._ask(source, mailbox)
        self._remember(answer)
        self._later(self._answers.write((answer,)))
        return answer

    async def _ask(self, source: Source, mailbox: Mailbox) -> Answer:
        """Put the question; log and count what becomes of it. Raises `SourceUnreachable`."""
        try:
            async with self._turns[source.name], asyncio.timeout(source.timeout + GRACE_SECONDS):
                told = await source.ask(mailbox)
        except (SourceUnreachable, TimeoutError) as error:
            reason = str(error) or f"no answer in {source.timeout + GRACE_SECONDS:g} s"
            if isinstance(error, SourceDown):
                self._silent_until[source.name] = (self._clock() + SILENCE_SECONDS, reason)
            self.measures.count("lookups", source=source.name, outcome="unreachable")
            self._log.warning("lookup failed", source=source.name, to=[str(mailbox)], reason=reason)
            raise SourceUnreachable(reason) from None
        now = _now()
        is_found = _is_of_use(told, now)
        self.measures.count("lookups", source=source.name, outcome="found" if is_found else "none")
        self._log.info(
            "lookup",
            source=source.name,
            to=[str(mailbox)],
            certificates=[one.fingerprint[:16] for one in told.certificates],
            records=len(told.associations),
            reason=told.reason,
        )
        most = self._terms.keep if is_found else self._terms.keep_none
        seconds = most if told.seconds is None else min(most, max(MIN_SECONDS, told.seconds))
        return Answer(
            mailbox,
            source.name,
            now,
            now + timedelta(seconds=seconds),
            told.certificates,
            told.associations,
            told.reason,
        )

    def _remember(self, answer: Answer) -> None:
        name = (answer.source, answer.mailbox.exact)
        self._known.pop(name, None)
        self._known[name] = answer
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]

    def _later(self, writing: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


def _is_of_use(told: Told, now: datetime) -> bool:
    """Tell whether something was found that is not over: who renews shall not wait for a day."""
    in_dates = any(one.valid_at(now) is Validity.VALID for one in told.certificates)
    return not told.reason and (in_dates or bool(told.associations))


def _now() -> datetime:
    return datetime.now(UTC)
