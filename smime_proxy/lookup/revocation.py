"""Fetches what is not known of revocations, behind the mail: OCSP answers first, then lists.

RFC 6960 appendix A.1 (OCSP over HTTP), RFC 5280 4.2.1.13 (lists). What is fetched is believed only
for what it says when it is judged (`certs.revocation`).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import MAX_OCSP_OCTETS, OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name, ocsp_request, status_sources
from smime_proxy.gateway.ports import Measures
from smime_proxy.lookup.errors import LookupFailed

MAX_WANTED = 1000  # certificates that wait to be asked about; more are wanted again by later mail
MAX_WATCHED = 20_000  # answers renewed before they end
AT_ONCE = 2  # fetches; nobody waits for them
PACE_SECONDS = 0.5  # between two fetches from one host
OCSP_SECONDS, LIST_SECONDS = 15.0, 120.0  # for one fetch
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=1)  # between two fetches of one answer
NOTICE_SECONDS = 0.5  # until what is wanted is noticed
LOOK_SECONDS = 10.0  # between looks at what other processes fetched and at what is due
HOUSEKEEPING = timedelta(hours=1)

_OCSP_REQUEST = "application/ocsp-request"

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

    def claim(self, name: str, at: datetime) -> bool:
        """Tell whether it is this process that fetches something now."""
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


@dataclass(slots=True)
class RevocationFetcher:
    """What one process fetches; `want` from any thread, `run` in the event loop.

    `own` is called from time to time, in a thread, and judges our own certificates, so that what
    is not known of them is wanted too. `max_list` is in octets.
    """

    web: Web
    shelf: Shelf
    measures: Measures
    max_list: int
    own: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _wanted: dict[str, _Wanted] = field(default_factory=dict)
    _watched: dict[str, tuple[datetime, _Wanted]] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def want(self, certificate: Certificate, issuer: Certificate) -> None:
        """Take note that nothing is known of a certificate; returns at once."""
        if len(self._wanted) < MAX_WANTED:
            wanted = _Wanted(certificate, issuer)
            self._wanted.setdefault(ocsp_name(certificate, issuer), wanted)

    async def run(self) -> None:
        """Fetch what is wanted, and again before it ends, until cancelled."""
        tidied = datetime.min.replace(tzinfo=UTC)
        while True:
            await asyncio.to_thread(self.shelf.refresh)
            if self.now() - tidied > HOUSEKEEPING:
                tidied = self.now()
                await asyncio.to_thread(self.shelf.forget_old, tidied)
                await asyncio.to_thread(self.own)
            await self._round()
            await self._pause()

    async def _pause(self) -> None:
        """Wait until something is wanted, or it is time to look around again."""
        for _ in range(round(LOOK_SECONDS / NOTICE_SECONDS)):
            await asyncio.sleep(NOTICE_SECONDS)
            if self._wanted:
                return

    async def _round(self) -> None:
        now = self.now()
        due = [name for name, (at, _) in self._watched.items() if at <= now]
        batch = [self._watched.pop(name)[1] for name in due]
        wanted, self._wanted = self._wanted, {}
        batch += wanted.values()
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(wanted: _Wanted) -> None:
            async with gate:
                await self._ask(wanted)

        await asyncio.gather(*map(one, batch))
        if batch:
            await asyncio.to_thread(self.shelf.refresh)

    async def _ask(self, wanted: _Wanted) -> None:
        sources = status_sources(wanted.certificate)
        for url in sources.ocsp:
            if await self._ask_responder(url, wanted):
                return
        for url in sources.lists:
            await self._fetch_list(url, wanted)

    async def _ask_responder(self, url: str, wanted: _Wanted) -> bool:
        """Ask an OCSP responder; False when it gave nothing to go by."""
        name = ocsp_name(wanted.certificate, wanted.issuer)
        if not await asyncio.to_thread(self.shelf.claim, name, self.now()):
            return False
        try:
            request = ocsp_request(wanted.certificate, wanted.issuer)
            der = await self._fetch(
                url, limit=MAX_OCSP_OCTETS, seconds=OCSP_SECONDS, send=request, kind=_OCSP_REQUEST
            )
            answer = _answer(der, wanted, self.now())
            _check_younger(answer, self.shelf.kept(name))
        except (LookupFailed, CertificateError, ValueError) as error:
            await self._failed(name, url, error)
            return False
        await self._keep(name, der, answer.next_update, wanted)
        return answer.known

    async def _fetch_list(self, url: str, wanted: _Wanted) -> None:
        if not await asyncio.to_thread(self.shelf.claim, url, self.now()):
            return
        try:
            der = await self._fetch(url, limit=self.max_list, seconds=LIST_SECONDS)
            crl = await asyncio.to_thread(_list, der, wanted, self.shelf.kept(url), self.now())
        except (LookupFailed, CertificateError) as error:
            await self._failed(url, url, error)
            return
        await self._keep(url, der, crl.next_update or self.now(), wanted)

    async def _fetch(self, url: str, **options: object) -> bytes:
        """Fetch, no faster from one host than anybody minds."""
        host = urlsplit(url).netloc.lower()
        turn = max(time.monotonic(), self._last.get(host, 0.0) + PACE_SECONDS)
        self._last[host] = turn
        await asyncio.sleep(turn - time.monotonic())
        if len(self._last) > MAX_WANTED:
            self._last.clear()
        return await self.web.fetch(url, **options)  # type: ignore[arg-type]  # those of `Web.fetch`

    async def _keep(self, name: str, der: bytes, next_update: datetime, wanted: _Wanted) -> None:
        now = self.now()
        # Early enough that one failure is no gap, and never so often that it is a nuisance.
        due = now + min(LONGEST, max(SHORTEST, (next_update - now) * 0.8))
        await asyncio.to_thread(self.shelf.keep, name, der, now, due)
        if len(self._watched) < MAX_WATCHED:
            self._watched[name] = (due, wanted)
        self.measures.count("revocation_fetches", kind=_kind(name), outcome="kept")

    async def _failed(self, name: str, url: str, error: Exception) -> None:
        await asyncio.to_thread(self.shelf.fail, name, self.now())
        self.measures.count("revocation_fetches", kind=_kind(name), outcome="failed")
        if url not in self._told and len(self._told) < MAX_WANTED:
            self._told.add(url)  # once for each URL: the next failures say nothing new
            _log.warning("revocation source", url=url[:200], reason=str(error))


def _answer(der: bytes, wanted: _Wanted, at: datetime) -> OcspAnswer:
    answer = OcspAnswer.from_der(der)
    if not answer.is_about(wanted.certificate, wanted.issuer):
        raise LookupFailed("an answer about another certificate")
    if not answer.is_given_by(wanted.issuer, at):
        raise LookupFailed("an answer that is not the issuer's")
    return answer


def _list(der: bytes, wanted: _Wanted, kept: Crl | OcspAnswer | None, at: datetime) -> Crl:
    crl = Crl.from_der(der)
    if not (crl.is_indirect or crl.issuer_key == wanted.certificate.issuer_key):
        raise LookupFailed("a list of another issuer")
    # A list of the issuer's own that holds is not taken away by what anybody on the way to the
    # server may have put in its place. Once it ended, another key may have come to sign.
    holds = isinstance(kept, Crl) and kept.next_update is not None and kept.next_update >= at
    if holds and isinstance(kept, Crl) and kept.signed_by(wanted.issuer):
        _check_younger(crl, kept)
        if not crl.signed_by(wanted.issuer):
            raise LookupFailed("a list that is not the issuer's, in place of one that is")
    return crl


def _check_younger(found: Crl | OcspAnswer, kept: Crl | OcspAnswer | None) -> None:
    """Refuse an answer that is older than the one at hand: somebody gave it once more."""
    if kept is not None and found.this_update < kept.this_update:
        raise LookupFailed("an older answer than the one at hand")


def _kind(name: str) -> str:
    return "ocsp" if name.startswith("ocsp:") else "list"
