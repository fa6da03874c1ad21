"""What is wanted is fetched behind the mail, kept when it is of use, renewed, and never hurried."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name
from smime_proxy.lookup import revocation
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.revocation import MAX_WANTED, RevocationFetcher
from tests import pki
from tests.unit.certs.answers import DAY, NOW, crl_der, ocsp_der
from tests.unit.certs.test_status_sources import access, points

ROOT = pki.root(kind="p256")
OCSP, LIST = "http://ocsp.test/", "http://lists.test/root.crl"
BOTH = pki.person(ROOT, "a@x.y", kind="p256", extra=[access(OCSP), points(LIST)])
ONLY_LIST = pki.person(ROOT, "b@x.y", kind="p256", extra=[points(LIST, "ldap://lists.test/")])
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
    taken: set[str] = field(default_factory=set)
    looks: int = 0
    before: dict[str, Crl | OcspAnswer] = field(default_factory=dict)

    def kept(self, name: str) -> Crl | OcspAnswer | None:
        return self.before.get(name)

    def refresh(self) -> int:
        self.looks += 1
        return 0

    def claim(self, name: str, at: datetime) -> bool:
        return name not in self.taken

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
        self.counts.append((name, labels["kind"], labels["outcome"]))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "PACE_SECONDS", 0.0)
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
    assert shelf.failed == [LIST, "ldap://lists.test/"]


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
    shelf.taken = {NAME, LIST}
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
