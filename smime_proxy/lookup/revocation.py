"""Fetches what is not known of revocations, behind the mail: OCSP answers first, then lists.

RFC 6960 appendix A.1 (OCSP over HTTP), RFC 5280 4.2.1.13 (lists). What is fetched is believed only
for what it says when it is judged (`certs.revocation`).
"""

import asyncio
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import structlog

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import MAX_OCSP_OCTETS, OcspAnswer
from smime_proxy.certs.revocation import holds
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name, ocsp_request, status_sources
from smime_proxy.gateway.ports import Claim, Measures
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.fetched import read_answer, read_list
from smime_proxy.lookup.pace import Pace, host_of

MAX_WANTED = 1000  # certificates that wait to be asked about; more are wanted again by later mail
MAX_WATCHED = 20_000  # answers renewed before they end
MAX_RENEWED = 64  # of them at once, so that mail never queues behind more than some minutes of it
OCSP_AT_ONCE, LISTS_AT_ONCE = 8, 4  # fetches; lists are held in memory
OCSP_SECONDS, LIST_SECONDS = 15.0, 120.0  # for one fetch
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=1)  # between two fetches of one answer
THREADS = 4  # for the store and for reading lists, the largest of which take some seconds
# For a list that the issuer's own key did not sign: a delegate's, or put there by anybody on the
# way, and then it shall not stand for long in the place of the real one.
UNPROVEN = timedelta(hours=1)
NOTICE_SECONDS = 0.5  # until what is wanted is noticed
LOOK_SECONDS = 10.0  # between looks at what other processes fetched and at what is due
IN_VAIN_SECONDS = 30.0  # until the store is asked again whether what gave nothing is due
HOUSEKEEPING = timedelta(hours=1)

OCSP_REQUEST = "application/ocsp-request"

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_log = structlog.get_logger("smime_proxy.revocation")


class Web(Protocol):
    """Fetches from URLs (`lookup.http.Http`)."""

    async def fetch(
        self, url: str, *, limit: int, seconds: float, send: bytes = b"", kind: str = ""
    ) -> bytes:
        """Give the octets, or raise `LookupFailed`."""
        ...


class Shelf(Protocol):
    """Where answers are kept (`stores.answers.AnswerShelf`); every call may block, none raises."""

    def refresh(self) -> int:
        """Take over what other processes fetched."""
        ...

    def kept(self, name: str) -> Crl | OcspAnswer | None:
        """Give what is kept under a name; does not block."""
        ...

    def claim(self, name: str, at: datetime) -> Claim:
        """Tell whether it is this process that fetches something now, or what else is."""
        ...

    def keep(self, name: str, der: bytes, at: datetime, due: datetime) -> None:
        """Keep an answer."""
        ...

    def fail(self, name: str, at: datetime) -> None:
        """Note that there is none."""
        ...

    def forget_old(self, at: datetime) -> int:
        """Forget what nobody asks for any more."""
        ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    certificate: Certificate
    issuer: Certificate

    @property
    def pair(self) -> tuple[Certificate, Certificate]:
        return self.certificate, self.issuer


@dataclass(slots=True, eq=False)
class _Job:
    """The search for what is not known of one certificate.

    `fresh`: something new is at hand; `elsewhere`: another process looks. `until` is the monotonic
    time that mail waits for it at most, `waiting` how many do, `host` who is asked now.
    """

    wanted: _Wanted
    is_renewal: bool = False
    fresh: bool = False
    elsewhere: bool = False
    until: float | None = None
    waiting: int = 0
    host: str = ""
    task: "asyncio.Task[None]" = field(init=False)


@dataclass(slots=True)
class RevocationFetcher:
    """What one process fetches; `want` from any thread, `run` and `wait` in the event loop.

    `own` is called from time to time, in a thread, and judges our own certificates, so that what
    is not known of them is wanted too. `max_list` is in octets; `budget` is the seconds that one
    mail may wait.
    """

    web: Web
    shelf: Shelf
    measures: Measures
    max_list: int
    budget: float = 0.0
    own: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _wanted: dict[str, _Wanted] = field(default_factory=dict)
    _watched: dict[str, tuple[datetime, _Wanted]] = field(default_factory=dict)
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _pace: Pace = field(default_factory=Pace)
    _in_vain: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _running: bool = False
    _fault: BaseException | None = None
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="revocation")
    )

    def want(self, certificate: Certificate, issuer: Certificate) -> None:
        """Take note that nothing is known of a certificate; returns at once."""
        name, wanted = ocsp_name(certificate, issuer), _Wanted(certificate, issuer)
        if len(self._wanted) < MAX_WANTED:
            self._wanted.setdefault(name, wanted)

    async def wait(
        self, wanted: Collection[tuple[Certificate, Certificate]], seconds: float
    ) -> bool:
        """Want all of these and wait for them; tells whether something new is at hand.

        Ends early when all arrived or failed. What failed before is over at once until it is due
        again; what made mail wait for the whole budget, it or another of its host, is not waited
        for. The search goes on behind the mail.
        """
        for certificate, issuer in wanted:
            self.want(certificate, issuer)
        if not self._running:
            return False
        self._take_up(())
        found = (self._jobs.get(ocsp_name(*pair)) for pair in wanted)
        jobs = [job for job in found if job is not None and not self._is_silent(job)]
        if not jobs or seconds <= 0:
            return False
        for job in jobs:
            job.until = job.until or time.monotonic() + self.budget
            job.waiting += 1
        try:
            last = max(job.until or 0.0 for job in jobs)
            patience = min(seconds, last - time.monotonic())
            await asyncio.wait([job.task for job in jobs], timeout=max(0.0, patience))
        finally:
            for job in jobs:
                job.waiting -= 1
        self._note_late(jobs)
        is_new = any(job.fresh for job in jobs)
        self.measures.count("revocation_waits", outcome="answered" if is_new else "in vain")
        return is_new

    async def run(self) -> None:
        """Fetch what is wanted, and again before it ends, until cancelled."""
        tidied = datetime.min.replace(tzinfo=UTC)
        self._running = True
        try:
            while self._fault is None:
                await self._apart(self.shelf.refresh)
                if self.now() - tidied > HOUSEKEEPING:
                    tidied = self.now()
                    await self._apart(self.shelf.forget_old, tidied)
                    await self._apart(self.own)
                self._take_up(list(self._watched.items()))
                await self._pause()
            raise self._fault
        finally:
            self._running = False
            tasks = [job.task for job in self._jobs.values()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _apart(
        self, function: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs
    ) -> _Result:
        """Call what blocks in a thread of our own, so that no mail queues behind it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *given, **named))

    async def _pause(self) -> None:
        """Wait until something is wanted, or it is time to look around again."""
        for _ in range(round(LOOK_SECONDS / NOTICE_SECONDS)):
            await asyncio.sleep(NOTICE_SECONDS)
            if self._wanted or self._fault is not None:
                return

    def _take_up(self, watched: Collection[tuple[str, tuple[datetime, _Wanted]]]) -> None:
        """Begin to look for all that is wanted, then for some of what is due of what is watched."""
        wanted_now, self._wanted = self._wanted, {}
        # A copy in one step: a thread may still be adding to what it found before.
        for wanted in list(wanted_now.values()):
            self._begin(wanted)
        now, room = self.now(), MAX_RENEWED - sum(job.is_renewal for job in self._jobs.values())
        for name, (at, wanted) in watched:
            if room > 0 and at <= now and self._begin(wanted, is_renewal=True):
                del self._watched[name]
                room -= 1

    def _begin(self, wanted: _Wanted, *, is_renewal: bool = False) -> bool:
        name = ocsp_name(wanted.certificate, wanted.issuer)
        in_vain = self._in_vain.get(name, 0.0) > time.monotonic()
        if in_vain or name in self._jobs or len(self._jobs) >= MAX_WANTED:
            return False
        job = self._jobs[name] = _Job(wanted, is_renewal)
        job.task = asyncio.create_task(self._ask(job))
        job.task.add_done_callback(lambda task: self._ended(name, task))
        return True

    def _ended(self, name: str, task: "asyncio.Task[None]") -> None:
        job = self._jobs.pop(name)
        if not (job.fresh or job.elsewhere):
            if len(self._in_vain) > MAX_WATCHED:
                self._in_vain.clear()
            self._in_vain[name] = time.monotonic() + IN_VAIN_SECONDS
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fault = fault  # ends `run`, where it is told

    def _is_silent(self, job: _Job) -> bool:
        sources = status_sources(job.wanted.certificate)
        return self._pace.is_silent((*sources.ocsp, *sources.lists))

    def _note_late(self, jobs: Collection[_Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            if job.host and not job.task.done() and (job.until or now) <= now:
                self._pace.note_silence(job.host)

    async def _ask(self, job: _Job) -> None:
        sources = status_sources(job.wanted.certificate)
        if not (sources.ocsp and await self._ask_responders(sources.ocsp, job)):
            for url in sources.lists:
                await self._fetch_list(url, job)
        if job.fresh:
            await self._apart(self.shelf.refresh)

    async def _ask_responders(self, urls: Collection[str], job: _Job) -> bool:
        """Ask OCSP responders, one after the other; False when they gave nothing to go by."""
        wanted = job.wanted
        name = ocsp_name(wanted.certificate, wanted.issuer)
        if not await self._claim(name, job):
            kept = self.shelf.kept(name)
            return job.fresh and isinstance(kept, OcspAnswer) and self._decides(kept)
        for url in urls:
            try:
                request = ocsp_request(wanted.certificate, wanted.issuer)
                der = await self._fetch(
                    job,
                    url,
                    limit=MAX_OCSP_OCTETS,
                    seconds=OCSP_SECONDS,
                    send=request,
                    kind=OCSP_REQUEST,
                )
                kept = self.shelf.kept(name)
                answer = read_answer(der, *wanted.pair, kept, self.now())
            except (LookupFailed, CertificateError, ValueError) as error:
                self._tell(name, url, error)
                continue
            await self._keep(name, der, answer.next_update, job)
            return self._decides(answer)
        await self._apart(self.shelf.fail, name, self.now())
        return False

    def _decides(self, answer: OcspAnswer) -> bool:
        """Tell whether no list need be fetched: one that is over leaves all to the lists."""
        over = not holds(answer.this_update, answer.next_update, self.now())
        return answer.revoked_at is not None or (answer.known and not over)

    async def _fetch_list(self, url: str, job: _Job) -> None:
        if not await self._claim(url, job):
            return
        try:
            der = await self._fetch(job, url, limit=self.max_list, seconds=LIST_SECONDS)
            crl = await self._apart(
                read_list, der, *job.wanted.pair, self.shelf.kept(url), self.now()
            )
        except (LookupFailed, CertificateError) as error:
            self._tell(url, url, error)
            await self._apart(self.shelf.fail, url, self.now())
            return
        until = crl.next_update or self.now()
        if not await self._apart(crl.signed_by, job.wanted.issuer):
            until = min(until, self.now() + UNPROVEN)
        await self._keep(url, der, until, job)

    async def _claim(self, name: str, job: _Job) -> bool:
        """Tell whether to fetch; while mail waits, so is for another process that does."""
        while True:
            claim = await self._apart(self.shelf.claim, name, self.now())
            job.fresh = job.fresh or claim is Claim.FRESH
            job.elsewhere = job.elsewhere or claim is Claim.THEIRS
            if claim is not Claim.THEIRS or not job.waiting:
                return claim is Claim.OURS
            await asyncio.sleep(NOTICE_SECONDS)

    async def _fetch(self, job: _Job, url: str, **options: object) -> bytes:
        """Fetch, no faster from one host than anybody minds."""
        job.host = host_of(url)
        is_ocsp = "send" in options
        kind, at_once = ("ocsp", OCSP_AT_ONCE) if is_ocsp else ("list", LISTS_AT_ONCE)
        async with self._pace.turn(job.host, kind, at_once):
            return await self.web.fetch(url, **options)  # type: ignore[arg-type]  # of `Web.fetch`

    async def _keep(self, name: str, der: bytes, next_update: datetime, job: _Job) -> None:
        now = self.now()
        # Early enough that one failure is no gap, and never so often that it is a nuisance.
        due = now + min(LONGEST, max(SHORTEST, (next_update - now) * 0.8))
        await self._apart(self.shelf.keep, name, der, now, due)
        job.fresh = True
        if len(self._watched) < MAX_WATCHED:
            self._watched[name] = (due, job.wanted)
        self.measures.count("revocation_fetches", kind=_kind(name), outcome="kept")

    def _tell(self, name: str, url: str, error: Exception) -> None:
        self.measures.count("revocation_fetches", kind=_kind(name), outcome="failed")
        if url not in self._told and len(self._told) < MAX_WANTED:
            self._told.add(url)  # once for each URL: the next failures say nothing new
            _log.warning("revocation source", url=url[:200], reason=str(error))


def _kind(name: str) -> str:
    return "ocsp" if name.startswith("ocsp:") else "list"
