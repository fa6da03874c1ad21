"""The order, the budget, the memory and the patience of looking people up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.association import Association, Matching, Selector, Usage
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.source import MinimumSource
from smime_proxy.gateway.ports import Answer, Findings
from smime_proxy.lookup import discovery
from smime_proxy.lookup.discovery import SILENCE_SECONDS, SourcesInOrder, Terms
from smime_proxy.lookup.source import SourceDown, SourceUnreachable, Told
from smime_proxy.policy.lacking import Lack
from tests import pki
from tests.fakes import FakeDirectory, FakeMeasures
from tests.unit.certs.answers import Known, crl

PAT, SAM = parse_mailbox("pat@example.org"), parse_mailbox("sam@example.org")
ROOT = pki.root("Found Root", kind="p256")
GOOD = Told((pki.person(ROOT, PAT.text, kind="p256").certificate,))
UNPROVEN = pki.person(None, PAT.text, kind="p256", label="unproven").certificate
NOTHING = Told(reason="it has no certificate")


@dataclass
class FakeSource:
    """Answers as told, after `delay` seconds; counts who was asked for."""

    name: str
    told: Told | Exception = NOTHING
    delay: float = 0.0
    timeout: float = 5.0
    refuses: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    closed: int = 0

    def serves(self, mailbox: Mailbox) -> bool:
        return mailbox.domain not in self.refuses

    async def ask(self, mailbox: Mailbox) -> Told:
        self.asked.append(mailbox.text)
        await asyncio.sleep(self.delay)
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    async def check(self) -> None:
        return

    async def close(self) -> None:
        self.closed += 1


@dataclass
class FakeAnswers:
    """A store in memory."""

    kept: list[Answer] = field(default_factory=list)

    async def read(self, mailbox: Mailbox) -> Sequence[Answer]:
        return [answer for answer in self.kept if answer.mailbox.exact == mailbox.exact]

    async def write(self, answers: Sequence[Answer]) -> None:
        self.kept += answers


@dataclass
class Surroundings:
    """All that a search works with."""

    sources: Sequence[FakeSource]
    terms: Terms = field(default_factory=Terms)
    answers: FakeAnswers = field(default_factory=FakeAnswers)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    seconds: float = 0.0

    def build(self) -> SourcesInOrder:
        return SourcesInOrder(
            self.sources, self.answers, self.terms, self.measures, lambda: self.seconds
        )

    def outcomes(self) -> list[tuple[str, str]]:
        return [(labels["source"], labels["outcome"]) for _, labels in self.measures.counted]


def directory() -> FakeDirectory:
    return FakeDirectory(roots=[Anchor(ROOT.certificate)])


async def find(
    built: SourcesInOrder, *mailboxes: Mailbox, least: MinimumSource = MinimumSource.HARVESTED
) -> dict[Mailbox, Findings]:
    lacks = [Lack(mailbox, least) for mailbox in mailboxes or (PAT,)]
    return await built.find(lacks, directory())


async def test_sources_are_asked_in_order_until_one_suffices() -> None:
    first, second, third = FakeSource("a"), FakeSource("b", GOOD), FakeSource("c", GOOD)
    made = Surroundings([first, second, third])
    found = (await find(made.build()))[PAT]
    assert [answer.source for answer in found.answers] == ["a", "b"]
    assert (first.asked, second.asked, third.asked) == ([PAT.text], [PAT.text], [])
    assert made.outcomes() == [("a", "none"), ("b", "found")]


async def test_what_is_not_good_enough_does_not_end_the_search() -> None:
    record = Association.of(UNPROVEN, Usage.DANE_EE, Selector.PUBLIC_KEY, Matching.SHA256)
    weak, proof = FakeSource("a", Told((UNPROVEN,))), FakeSource("b", Told((), (record,)))
    last = FakeSource("c")
    found = (await find(Surroundings([weak, proof, last]).build()))[PAT]
    assert ([one.source for one in found.answers], last.asked) == (["a", "b"], [])
    weak.asked, proof.asked = [], []
    await find(Surroundings([weak, proof]).build(), least=MinimumSource.DISCOVERED)
    assert (weak.asked, proof.asked) == ([PAT.text], [])


async def test_a_revoked_certificate_is_no_reason_to_stop_asking() -> None:
    person = pki.person(ROOT, PAT.text, kind="p256")
    first, second = FakeSource("a", Told((person.certificate,))), FakeSource("b")
    made = Surroundings([first, second])
    lists = Known([crl(ROOT, person, next_update=datetime(2039, 1, 1, tzinfo=UTC))])
    built = SourcesInOrder(
        made.sources,
        made.answers,
        made.terms,
        made.measures,
        revocation=Revocation(Mode.SOFT, lists),
    )
    await find(built)
    assert second.asked == [PAT.text]


async def test_who_is_not_served_by_a_source_is_not_told_to_it() -> None:
    picky, other = FakeSource("a", refuses=frozenset({"example.org"})), FakeSource("b")
    built = Surroundings([picky, other]).build()
    assert built.sources_for(PAT) == ("b",)
    await find(built)
    assert (picky.asked, other.asked) == ([], [PAT.text])


async def test_answers_are_remembered_and_those_of_nothing_too() -> None:
    source = FakeSource("a")
    built = Surroundings([source]).build()
    for _ in range(3):
        assert (await find(built))[PAT].answers[0].reason == "it has no certificate"
    assert source.asked == [PAT.text]
    await find(built, parse_mailbox("PAT@example.org"))
    assert source.asked == [PAT.text, "PAT@example.org"]  # the DNS tells them apart


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (GOOD, 86_400),
        (Told(GOOD.certificates, seconds=300), 300),
        (Told(GOOD.certificates, seconds=0), 60),
        (Told(GOOD.certificates, seconds=10**6), 86_400),
        (NOTHING, 3_600),
        (Told(seconds=300, reason="x"), 300),
        (Told(seconds=86_400, reason="x"), 3_600),
        (
            Told(
                (
                    pki.person(
                        ROOT, PAT.text, not_after=datetime(2021, 1, 1, tzinfo=UTC)
                    ).certificate,
                )
            ),
            3_600,
        ),
    ],
)
async def test_an_answer_holds_as_long_as_it_says_within_bounds(told: Told, seconds: int) -> None:
    made = Surroundings([FakeSource("a", told)])
    answer = (await find(made.build()))[PAT].answers[0]
    assert answer.expires_at - answer.fetched_at == timedelta(seconds=seconds)


async def test_what_another_process_found_out_is_not_asked_again() -> None:
    source = FakeSource("a", GOOD)
    made = Surroundings([source])
    await find(made.build())
    await asyncio.sleep(0)
    other = made.build()
    assert (await find(other))[PAT].answers[0].certificates == GOOD.certificates
    assert source.asked == [PAT.text]
    (kept,) = made.answers.kept
    made.answers.kept = [
        Answer(PAT, "a", kept.fetched_at, datetime.now(UTC), kept.certificates)
    ]  # over
    await find(made.build())
    assert source.asked == [PAT.text] * 2


async def test_mails_that_wait_for_one_address_wait_for_one_question() -> None:
    source = FakeSource("a", GOOD, delay=0.05)
    built = Surroundings([source]).build()
    found = await asyncio.gather(*(find(built) for _ in range(20)))
    assert source.asked == [PAT.text]
    assert all(one[PAT].answers for one in found)


async def test_a_source_that_is_away_is_left_alone_for_a_while() -> None:
    source = FakeSource("a", SourceDown("it cannot be reached: refused"))
    made = Surroundings([source])
    built = made.build()
    found = await find(built)
    assert str(found[PAT].unreachable[0]) == "a: it cannot be reached: refused"
    found = await find(built, SAM)
    assert str(found[SAM].unreachable[0]) == "a: it cannot be reached: refused"
    assert source.asked == [PAT.text]
    assert made.outcomes() == [("a", "unreachable"), ("a", "silenced")]
    made.seconds += SILENCE_SECONDS
    source.told = GOOD
    assert (await find(built))[PAT].answers
    assert (await find(built, SAM))[SAM].answers


async def test_one_zone_that_fails_silences_no_other() -> None:
    """A stranger's broken zone must not be why mail to others is not encrypted."""
    source = FakeSource("a", SourceUnreachable("the resolver answers SERVFAIL"))
    built = Surroundings([source]).build()
    await find(built)
    await find(built, SAM)
    assert source.asked == [PAT.text, SAM.text]


async def test_the_next_source_is_asked_when_one_cannot_be() -> None:
    broken, good = FakeSource("a", SourceUnreachable("gone")), FakeSource("b", GOOD)
    found = (await find(Surroundings([broken, good]).build()))[PAT]
    assert [answer.source for answer in found.answers] == ["b"]
    assert [one.source for one in found.unreachable] == ["a"]


async def test_a_question_has_its_time() -> None:
    source = FakeSource("a", GOOD, delay=5.0, timeout=0.02)
    found = (await find(Surroundings([source]).build()))[PAT]
    assert str(found.unreachable[0]) == "a: no answer in 0.52 s"


async def test_a_mail_waits_no_longer_than_the_budget_and_the_question_goes_on() -> None:
    slow, quick = FakeSource("a", GOOD, delay=0.2), FakeSource("b")
    made = Surroundings([slow, quick], Terms(budget=0.05))
    built = made.build()
    found = await find(built)
    assert str(found[PAT].unreachable[0]) == "a: no answer in 0.05 s"
    await asyncio.sleep(0.25)
    assert (await find(built))[PAT].answers
    assert slow.asked == [PAT.text]


async def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await find(Surroundings([FakeSource("a", ZeroDivisionError())]).build())


async def test_so_many_questions_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_WAITING", 2)
    source = FakeSource("a", delay=0.05)
    names = [parse_mailbox(f"p{number}@example.org") for number in range(4)]
    found = await find(Surroundings([source]).build(), *names)
    refused = [one for one in found.values() if one.unreachable]
    assert len(refused) == 2
    assert refused[0].unreachable[0].reason == "too many questions wait already"


async def test_a_source_is_asked_so_much_at_once_and_no_more() -> None:
    source = FakeSource("a", delay=0.02)
    names = [parse_mailbox(f"p{n}@example.org") for n in range(discovery.MAX_AT_ONCE + 3)]
    searching = asyncio.create_task(find(Surroundings([source]).build(), *names))
    await asyncio.sleep(0.01)
    assert len(source.asked) == discovery.MAX_AT_ONCE
    assert all(found.answers for found in (await searching).values())


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_REMEMBERED", 2)
    source = FakeSource("a")
    made = Surroundings([source])
    built = made.build()
    made.answers.write = _forgetful  # type: ignore[method-assign] # nothing is read back
    for text in ("a", "b", "c", "a"):
        await find(built, parse_mailbox(f"{text}@example.org"))
    assert source.asked == [f"{text}@example.org" for text in ("a", "b", "c", "a")]


async def _forgetful(answers: Sequence[Answer]) -> None:
    del answers


async def test_all_are_asked_anew_on_demand_and_kept_on_demand() -> None:
    first, second = FakeSource("a", GOOD), FakeSource("b", SourceUnreachable("gone"))
    made = Surroundings([first, second])
    built = made.build()
    for _ in range(2):
        findings = await built.ask_all(PAT)
    assert (len(first.asked), len(second.asked), made.answers.kept) == (2, 2, [])
    assert [one.reason for one in findings.unreachable] == ["gone"]
    await built.keep(findings.answers)
    assert made.answers.kept == list(findings.answers)


async def test_nobody_is_asked_for_nobody() -> None:
    assert await Surroundings([FakeSource("a")]).build().find((), directory()) == {}


async def test_closing_ends_what_is_asked_and_what_is_held() -> None:
    source = FakeSource("a", delay=60)
    built = Surroundings([source], Terms(budget=0.01)).build()
    await find(built)
    await built.close()
    assert source.closed == 1


async def test_the_log_names_who_was_asked_for_what_and_no_more() -> None:
    clock: Callable[[], float] = lambda: 0.0  # noqa: E731 - one more name would say no more
    built = SourcesInOrder([FakeSource("a", GOOD)], FakeAnswers(), Terms(), FakeMeasures(), clock)
    with capture_logs() as logs:
        await find(built)
    fingerprint = GOOD.certificates[0].fingerprint[:16]
    assert [(line["event"], line["source"], line["certificates"]) for line in logs] == [
        ("lookup", "a", [fingerprint])
    ]
