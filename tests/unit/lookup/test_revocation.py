"""What is wanted is fetched behind the mail, kept when it is of use, renewed, and never hurried."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name
from smime_proxy.gateway.ports import Claim
from smime_proxy.lookup import pace, revocation
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.revocation import MAX_WANTED, RevocationFetcher
from tests import pki
from tests.unit.certs.answers import DAY, NOW, crl_der, ocsp_der
from tests.unit.certs.test_status_sources import access, points

ROOT = pki.root(kind="p256")
OCSP, LIST = "http://ocsp.test/", "http://lists.test/root.crl"
BOTH = pki.person(ROOT, "a@x.y", kind="p256", extra=[access(OCSP), points(LIST)])
ONLY_LIST = pki.person(ROOT, "b@x.y", kind="p256", extra=[points(LIST, "ldap://lists.test/")])
Pair: TypeAlias = tuple[Certificate, Certificate]
NAME = ocsp_name(BOTH.certificate, ROOT.certificate)


@dataclass
class FakeWeb:
    pages: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    async def fetch(
        self, url: str, *, limit: int, seconds: float, send: bytes = b"", kind: str = ""
    ) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise LookupFailed("404 in answer")
        return self.pages[url]


@dataclass
class FakeShelf:
    stored: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    taken: dict[str, Claim] = field(default_factory=dict)
    claims: list[str] = field(default_factory=list)
    looks: int = 0
    before: dict[str, Crl | OcspAnswer] = field(default_factory=dict)

    def kept(self, name: str) -> Crl | OcspAnswer | None:
        return self.before.get(name)

    def refresh(self) -> int:
        self.looks += 1
        return 0

    def claim(self, name: str, at: datetime) -> Claim:
        self.claims.append(name)
        if name in self.failed or (name in self.stored and self.stored[name][1] > at):
            return Claim.LATER
        return self.taken.get(name, Claim.OURS)

    def keep(self, name: str, der: bytes, at: datetime, due: datetime) -> None:
        self.stored[name] = (der, due)

    def fail(self, name: str, at: datetime) -> None:
        self.failed.append(name)

    def forget_old(self, at: datetime) -> int:
        return 0


@dataclass
class Counted:
    counts: list[tuple[str, str, str]] = field(default_factory=list)

    def count(self, name: str, **labels: str) -> None:
        self.counts.append((name, labels.get("kind", ""), labels["outcome"]))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(revocation, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(revocation, "NOTICE_SECONDS", 0.01)


def fetcher(
    pages: dict[str, bytes], now: Callable[[], datetime] = lambda: NOW
) -> tuple[RevocationFetcher, FakeWeb, FakeShelf, Counted]:
    web, shelf, counted = FakeWeb(pages), FakeShelf(), Counted()
    return RevocationFetcher(web, shelf, counted, 1 << 20, now=now), web, shelf, counted


async def run(made: RevocationFetcher, seconds: float = 0.3) -> None:
    task = asyncio.create_task(made.run())
    await asyncio.sleep(seconds)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_an_ocsp_answer_is_enough() -> None:
    der = ocsp_der(BOTH, ROOT)
    made, web, shelf, counted = fetcher({OCSP: der, LIST: crl_der(ROOT)})
    made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == [OCSP]
    assert shelf.stored == {NAME: (der, NOW + timedelta(hours=19, minutes=12))}
    assert counted.counts == [("revocation_fetches", "ocsp", "kept")]
    assert shelf.looks > 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {OCSP: b"nonsense"},
        {OCSP: ocsp_der(ONLY_LIST, ROOT)},
        {OCSP: ocsp_der(BOTH, ROOT, responder=BOTH)},
    ],
)
async def test_without_one_the_lists_are_fetched(wrong: dict[str, bytes]) -> None:
    made, web, shelf, counted = fetcher({**wrong, LIST: crl_der(ROOT)})
    made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == [OCSP, LIST]
    assert list(shelf.stored) == [LIST]
    assert shelf.failed == [NAME]
    assert [outcome for _, _, outcome in counted.counts] == ["failed", "kept"]


async def test_an_answer_that_is_over_leaves_it_to_the_lists() -> None:
    """It is kept, as it may say of what it revoked; a responder may have stopped to renew."""
    over = ocsp_der(BOTH, ROOT, this_update=NOW - 3 * DAY, next_update=NOW - DAY)
    made, web, shelf, _ = fetcher({OCSP: over, LIST: crl_der(ROOT)})
    made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == [OCSP, LIST]
    assert list(shelf.stored) == [NAME, LIST]


async def test_a_list_its_issuer_did_not_sign_is_fetched_again_soon() -> None:
    """It may be a delegate's; whoever is on the way could have put it there."""
    forger = pki.root(kind="p256", label="forger")
    made, _, shelf, _ = fetcher({LIST: crl_der(ROOT, signer=forger, next_update=NOW + 30 * DAY)})
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    await run(made)
    assert shelf.stored[LIST][1] <= NOW + timedelta(hours=1)
    made, _, shelf, _ = fetcher({LIST: crl_der(ROOT, next_update=NOW + 30 * DAY)})
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    await run(made)
    assert shelf.stored[LIST][1] == NOW + DAY


async def test_mail_comes_before_what_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever once named a thousand slow sources would keep all others waiting for ever."""
    monkeypatch.setattr(revocation, "MAX_WANTED", 3)
    monkeypatch.setattr(revocation, "MAX_RENEWED", 2)
    made, web, _, _ = fetcher({OCSP: ocsp_der(BOTH, ROOT)})
    for number in range(5):
        old = pki.person(ROOT, f"p{number}@x.y", kind="p256", extra=[points(f"{LIST}?{number}")])
        wanted = revocation._Wanted(old.certificate, ROOT.certificate)
        made._watched[f"{LIST}?{number}"] = (NOW - DAY, wanted)
    made.want(BOTH.certificate, ROOT.certificate)
    made._take_up(list(made._watched.items()))
    asking = [job.wanted.certificate for job in made._jobs.values()]
    assert asking[0] == BOTH.certificate
    assert len(asking) == 3
    made._take_up(list(made._watched.items()))
    assert (len(made._jobs), len(made._watched)) == (3, 3)
    await run(made)
    assert web.asked[0] == OCSP


async def test_it_needs_no_thread_of_those_that_mail_has() -> None:
    made, web, _, _ = fetcher({LIST: crl_der(ROOT)})
    done, mail = threading.Event(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(mail)
    mail.submit(done.wait)
    try:
        made.want(ONLY_LIST.certificate, ROOT.certificate)
        await run(made)
    finally:
        done.set()
    assert web.asked == [LIST]


async def test_what_a_thread_wants_meanwhile_is_no_fault() -> None:
    made, web, _, _ = fetcher({LIST: crl_der(ROOT)})

    class Meanwhile(Certificate):
        """Is wanted by a thread that found the dictionary before it was taken away."""

        __slots__ = ()

        def __getattribute__(self, name: str) -> object:
            if name == "fingerprint":
                found[str(len(found))] = found[min(found)]
            return super().__getattribute__(name)

    plain = BOTH.certificate
    seen = Meanwhile(**{f.name: getattr(plain, f.name) for f in fields(Certificate)})
    found = made._wanted
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    made.want(seen, ROOT.certificate)
    await run(made)
    assert sorted(set(web.asked)) == [LIST, OCSP]


@pytest.mark.parametrize(
    "page",
    [b"nonsense", crl_der(pki.root("Another", kind="p256")), b"<html>"],
    ids=["nonsense", "another's", "a page"],
)
async def test_a_list_of_another_or_none_is_not_kept(page: bytes) -> None:
    made, _, shelf, _ = fetcher({LIST: page})
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    await run(made)
    assert shelf.stored == {}
    assert shelf.failed == [LIST]


IMPOSTOR = pki.root(label="impostor", kind="p256")
OLD = NOW - 2 * DAY
ENDED = crl_der(ROOT, this_update=NOW - 3 * DAY, next_update=OLD)


@pytest.mark.parametrize(
    ("before", "page", "kept"),
    [
        (crl_der(ROOT, BOTH), crl_der(ROOT, this_update=OLD), False),
        (crl_der(ROOT, BOTH), crl_der(ROOT, signer=IMPOSTOR), False),
        (crl_der(ROOT, BOTH, this_update=OLD), crl_der(ROOT), True),
        (crl_der(ROOT, signer=IMPOSTOR), crl_der(ROOT, this_update=OLD), True),
        (crl_der(ROOT, signer=IMPOSTOR), crl_der(ROOT, signer=IMPOSTOR), True),
        (ENDED, crl_der(ROOT, signer=IMPOSTOR, this_update=OLD), True),
    ],
    ids=["replayed", "forged", "younger", "the issuer's at last", "another key's", "after its end"],
)
async def test_a_list_at_hand_is_not_taken_away(before: bytes, page: bytes, kept: bool) -> None:
    """Lists come without protection on the way: whoever sits there gives the old one again."""
    made, _, shelf, _ = fetcher({LIST: page})
    shelf.before[LIST] = Crl.from_der(before)
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    await run(made)
    assert (LIST in shelf.stored) is kept
    assert (LIST in shelf.failed) is not kept


async def test_nor_is_an_ocsp_answer() -> None:
    made, _, shelf, _ = fetcher({OCSP: ocsp_der(BOTH, ROOT, this_update=NOW - 2 * DAY)})
    shelf.before[NAME] = OcspAnswer.from_der(ocsp_der(BOTH, ROOT))
    made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert NAME in shelf.failed
    assert shelf.stored == {}


async def test_what_another_process_fetches_is_left_to_it() -> None:
    made, web, shelf, _ = fetcher({OCSP: ocsp_der(BOTH, ROOT), LIST: crl_der(ROOT)})
    shelf.taken = {NAME: Claim.THEIRS, LIST: Claim.LATER}
    made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == []


async def test_the_same_is_wanted_once_and_not_without_end() -> None:
    made, web, _, _ = fetcher({OCSP: ocsp_der(BOTH, ROOT)})
    for _ in range(5):
        made.want(BOTH.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == [OCSP]
    for number in range(MAX_WANTED):
        made.want(pki.person(ROOT, "c@x.y", kind="p256", label="c").certificate, ROOT.certificate)
        assert len(made._wanted) == number + 1
    made.want(BOTH.certificate, ROOT.certificate)
    assert NAME not in made._wanted


async def test_an_answer_is_renewed_before_it_ends() -> None:
    times = [NOW]
    made, web, _, _ = fetcher({LIST: crl_der(ROOT, next_update=NOW + DAY)}, lambda: times[0])
    made.want(ONLY_LIST.certificate, ROOT.certificate)
    await run(made)
    assert web.asked.count(LIST) == 1
    times[0] = NOW + DAY * 0.9
    await run(made)
    assert web.asked.count(LIST) == 2


async def test_our_own_certificates_are_looked_at_from_time_to_time() -> None:
    looks = []
    made, _, _, _ = fetcher({})
    made.own = lambda: looks.append(1)
    await run(made)
    assert looks == [1]


PAIR = (BOTH.certificate, ROOT.certificate)
LIST_PAIR = (ONLY_LIST.certificate, ROOT.certificate)


@dataclass
class SlowWeb(FakeWeb):
    """A web whose pages come after some seconds each, by URL."""

    seconds: dict[str, float] = field(default_factory=dict)

    async def fetch(
        self, url: str, *, limit: int, seconds: float, send: bytes = b"", kind: str = ""
    ) -> bytes:
        await asyncio.sleep(self.seconds.get(url, 0.0))
        return await FakeWeb.fetch(self, url, limit=limit, seconds=seconds)


@asynccontextmanager
async def at_work(
    pages: dict[str, bytes], budget: float = 5.0, **seconds: float
) -> AsyncIterator[tuple[RevocationFetcher, SlowWeb, FakeShelf]]:
    web, shelf = SlowWeb(pages, seconds={OCSP: seconds.get("ocsp", 0.0)}), FakeShelf()
    web.seconds[LIST] = seconds.get("list", 0.0)
    made = RevocationFetcher(web, shelf, Counted(), 1 << 20, budget, now=lambda: NOW)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0.05)
    yield made, web, shelf
    task.cancel()
    await asyncio.wait([task])
    assert len(asyncio.all_tasks()) == 1  # nobody is left


async def timed(made: RevocationFetcher, *pairs: Pair, seconds: float = 5.0) -> tuple[bool, float]:
    start = time.monotonic()
    return await made.wait(pairs, seconds), time.monotonic() - start


async def test_mail_waits_no_longer_than_until_all_arrived_or_failed() -> None:
    pages = {OCSP: ocsp_der(BOTH, ROOT), LIST: b"nonsense"}
    async with at_work(pages, ocsp=0.2) as (made, web, shelf):
        is_new, took = await timed(made, PAIR, LIST_PAIR)
        assert is_new
        assert 0.2 <= took < 2
        assert NAME in shelf.stored
        assert LIST in shelf.failed
        looks = len(web.asked)
        is_new, took = await timed(made, LIST_PAIR)  # not before it is due again
        assert (is_new, took < 0.2, len(web.asked)) == (False, True, looks)
        claims = len(shelf.claims)
        await timed(made, LIST_PAIR)  # nor is the store asked by every mail
        assert len(shelf.claims) == claims


async def test_many_that_want_the_same_share_one_fetch() -> None:
    async with at_work({OCSP: ocsp_der(BOTH, ROOT)}, ocsp=0.2) as (made, web, _):
        told = await asyncio.gather(*(timed(made, PAIR) for _ in range(9)))
        assert [is_new for is_new, _ in told] == [True] * 9
        assert isinstance(made.measures, Counted)
        assert made.measures.counts.count(("revocation_waits", "", "answered")) == 9
        assert web.asked == [OCSP]


async def test_a_slow_responder_costs_the_budget_once() -> None:
    pages = {OCSP: ocsp_der(BOTH, ROOT)}
    async with at_work(pages, 0.3, ocsp=1.5) as (made, _, shelf):
        first, second = await asyncio.gather(timed(made, PAIR, seconds=0.3), later(made))
        assert (first[0], 0.3 <= first[1] < 0.6) == (False, True)
        assert (second[0], second[1] < 0.3) == (False, True)  # until the same moment
        other = pki.person(ROOT, "d@x.y", kind="p256", extra=[access(OCSP)]).certificate
        assert await timed(made, (other, ROOT.certificate)) < (False, 0.2)  # same host
        await asyncio.sleep(1.5)
        assert NAME in shelf.stored  # it came behind the mail
        assert not made._pace.is_silent([OCSP])


async def later(made: RevocationFetcher) -> tuple[bool, float]:
    await asyncio.sleep(0.15)
    return await timed(made, PAIR, seconds=0.3)


async def test_a_slow_host_does_not_hold_up_the_others() -> None:
    slow = [
        pki.person(ROOT, f"s{number}@x.y", kind="p256", extra=[access("http://slow.test/")])
        for number in range(12)
    ]
    async with at_work({OCSP: ocsp_der(BOTH, ROOT)}) as (made, web, _):
        web.seconds["http://slow.test/"] = 1.0
        for one in slow:
            made.want(one.certificate, ROOT.certificate)
        is_new, took = await timed(made, PAIR)
        assert is_new
        assert took < 0.5


async def test_who_gives_up_waiting_stops_no_fetch() -> None:
    async with at_work({OCSP: ocsp_der(BOTH, ROOT)}, ocsp=0.3) as (made, _, shelf):
        waiting = asyncio.create_task(made.wait([PAIR], 5.0))
        await asyncio.sleep(0.1)
        (job,) = made._jobs.values()
        assert job.waiting == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert job.waiting == 0
        await asyncio.sleep(0.5)
        assert NAME in shelf.stored


@pytest.mark.parametrize(("then", "is_new"), [(Claim.FRESH, True), (Claim.LATER, False)])
async def test_mail_waits_for_what_another_process_fetches(then: Claim, is_new: bool) -> None:
    async with at_work({}) as (made, web, shelf):
        shelf.taken = {NAME: Claim.THEIRS, LIST: Claim.LATER}
        waiting = asyncio.create_task(timed(made, PAIR))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        shelf.taken[NAME] = then
        told, took = await waiting
        assert (told, took < 1.0) == (is_new, True)
        assert web.asked == []
        shelf.taken[NAME] = Claim.THEIRS
        assert not await made.wait([PAIR], 0.1)
        await asyncio.sleep(0.1)
        asked = len(shelf.claims)
        await asyncio.sleep(0.1)
        assert len(shelf.claims) == asked  # only while somebody waits


async def test_without_a_source_nobody_waits() -> None:
    bare = pki.person(ROOT, "e@x.y", kind="p256").certificate
    async with at_work({}) as (made, _, _):
        assert await timed(made, (bare, ROOT.certificate)) < (False, 0.2)
        assert await made.wait([], 5.0) is False
        assert await made.wait([PAIR], 0.0) is False


async def test_when_nothing_is_fetched_nobody_waits() -> None:
    made, _, _, _ = fetcher({})
    assert await timed(made, PAIR) < (False, 0.2)
    assert NAME in made._wanted


async def test_a_fault_of_ours_ends_the_fetching_aloud() -> None:
    made, web, _, _ = fetcher({})

    async def broken(url: str, **_: object) -> bytes:
        raise RuntimeError(url)

    web.fetch = broken  # type: ignore[method-assign]  # a fault
    made.want(*PAIR)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(made.run(), 2)


async def test_all_responders_of_a_certificate_are_asked() -> None:
    two = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
            )
            for url in ("http://gone.test/", OCSP)
        ]
    )
    one = pki.person(ROOT, "f@x.y", kind="p256", extra=[(two, False)])
    made, web, shelf, _ = fetcher({OCSP: ocsp_der(one, ROOT)})
    made.want(one.certificate, ROOT.certificate)
    await run(made)
    assert web.asked == ["http://gone.test/", OCSP]
    assert len(shelf.stored) == 1
