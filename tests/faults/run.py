"""Run cases of the matrix and hold each against the promises of delivery.

A case is an offer while the upstream fails, the same again once it is well, and one more mail.
"""

import contextlib
import itertools
import queue
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.canary import leaks
from tests.e2e.client import Answer, Client, Lost
from tests.e2e.proxy import Proxy
from tests.faults.driver import REFUSALS, connect, offer
from tests.faults.journal import Journal, Letter, Word, delivered, in_doubt, verdict
from tests.faults.matrix import WINDOW, Case
from tests.faults.sinks import Accepted
from tests.faults.stage import CANARY, NOBODY, WAYS, Role, Stage

GRACE_SECONDS = 30  # what the service gives sessions at its end
SPARE_DESCRIPTORS = 2
SPARE_MEGABYTES = 80  # what content that passed through leaves to the allocator
SETTLE_SECONDS = 2  # for the service to notice
ATTEMPTS = 5  # for a message that the upstream takes again


@dataclass
class Tally:
    """Counts of a run; `findings` are the promises broken, one line each."""

    cases: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


class Run:
    """Runs cases in the lanes of a stage; usable from one thread a lane."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        self.stage = stage
        self.journal = journal
        self.tally = Tally()
        self.numbers = itertools.count(1)
        self._lock = threading.Lock()

    def all(self, cases: Iterable[Case], lanes: Sequence[int]) -> None:
        """Run cases, in all of these lanes at once."""
        waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in cases:
            waiting.put(case)

        def work(lane: int) -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self.one(waiting.get_nowait(), lane)

        threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def one(self, case: Case, lane: int) -> list[str]:
        """Run one case; gives what is wrong, and counts it."""
        trial = Trial(self, case, lane)
        try:
            trial.run()
        except (AssertionError, Lost, OSError) as error:
            trial.fail(f"the case came to no end: {error!r}")
        with self._lock:
            self.tally.cases[case.step] += 1
            self.tally.findings += trial.findings
            for pair_count, counter in (
                (trial.duplicates, self.tally.duplicates),
                (trial.lost, self.tally.lost),
                (trial.unexpected, self.tally.unexpected),
            ):
                counter[case.step] += pair_count
        return trial.findings


class Trial:
    """One case in one lane."""

    def __init__(self, run: Run, case: Case, lane: int) -> None:
        self._run = run
        self._stage = run.stage
        self._case = case
        self._sink = 2 * lane + case.tls
        self._port = run.stage.port(lane, case.way.role, tls=case.tls)
        self._client: Client | None = None
        self._number = next(run.numbers)
        self.findings: list[str] = []
        self.lost = self.unexpected = self.duplicates = 0

    def fail(self, text: str) -> None:
        """Note a broken promise."""
        self.findings.append(f"{self._case}: {text}")

    def run(self) -> None:
        """Offer under the fault, again without, and one more; then look at the sink."""
        case, sinks = self._case, self._stage.sinks
        before = len(sinks.accepted(self._sink))
        if case.step == "quit":
            sinks.change(self._sink, case.script())  # it strikes when the service ends
        else:
            sinks.begin(self._sink, case.script())
        if case.step == "connect":
            sinks.deafen(self._sink, hole=case.fault == "hang")
        letter = self._letter("faulty", several=case.step == "rcptn", large=case.large)
        try:
            self._under_fault(letter)
        finally:
            if case.step == "connect":
                sinks.listen(self._sink)
        if case.step != "quit":
            sinks.change(self._sink, ())
        self._until_settled(letter)
        following = self._letter("next", several=False, large=False)
        self._until_settled(following, attempts=1)
        if self._client is not None:
            self._client.__exit__()
        taken = sinks.accepted(self._sink)[before:]
        self._check(letter, following, taken)

    def _letter(self, name: str, *, several: bool, large: bool) -> Letter:
        identifier = f"{name}-{self._number}-{self._case}@client.example"
        return self._case.way.letter(identifier, self._stage.state, several=several, large=large)

    # -- what the client does

    def _offer(self, letter: Letter, recipients: Sequence[str]) -> list[Answer]:
        """Offer once, on the connection at hand where the role keeps one."""
        role = self._case.way.role
        if self._client is None:
            self._client = connect(self._port, lmtp=role is Role.LMTP)
        try:
            return offer(
                self._client,
                self._run.journal,
                letter,
                recipients,
                pipelined=role is Role.FILTER,
                lmtp=role is Role.LMTP,
            )
        except Lost:
            self._client = None
            raise
        finally:
            if role is not Role.FILTER and self._client is not None:
                self._client.__exit__()
                self._client = None

    def _under_fault(self, letter: Letter) -> None:
        case = self._case
        if case.step == "rset" and case.way.copies == 1:
            self._change_mind(letter)
        try:
            answers = self._offer(letter, letter.recipients)
        except Lost:
            self.fail("the client was hung up on")
            return
        refusals = [answer for answer in answers if answer.code >= REFUSALS]
        decisive = refusals[0] if refusals else answers[-1]
        if case.way.copies == 1 and (decisive.code, decisive.status) not in case.expected():
            self.fail(f"I9: the client heard {decisive}")
        if case.fault != "5yz" and any(answer.code >= 500 for answer in refusals):
            self.fail(f"I9: refused for good: {decisive}")
        if any(map(in_doubt, refusals)) and (case.step not in WINDOW or case.foreseeable):
            self.fail(f"in doubt although no dot was at risk: {decisive}")
        self._check_now(letter)

    def _change_mind(self, letter: Letter) -> None:
        """Begin a transaction and reset it; the upstream's RSET is the fault's."""
        client = self._client = connect(self._port, lmtp=self._case.way.role is Role.LMTP)
        for line in (f"MAIL FROM:<{letter.sender}>", f"RCPT TO:<{letter.recipients[0]}>", "RSET"):
            if client.say(line).code != 250:
                self.fail(f"{line} was refused")

    def _check_now(self, letter: Letter) -> None:
        """I2: who was acknowledged has it already. I10: nobody has it of whom it was refused."""
        here = delivered(self._stage.sinks.accepted(self._sink))
        said = self._run.journal.said
        for recipient in letter.recipients:
            pair = (letter.identifier, recipient)
            if said[Word.ACK][pair] and not here[pair] and self._case.fault != "5yz":
                self.fail(f"I2: {recipient} has nothing and the client 250")
            if here[pair] and not said[Word.ACK][pair] and not said[Word.UNKNOWN][pair]:
                self.fail(f"I10: {recipient} has it and the client was refused")

    def _until_settled(self, letter: Letter, attempts: int = ATTEMPTS) -> None:
        """I11: once the upstream is well, everybody gets it; also who was refused for good."""
        said = self._run.journal.said
        for _ in range(attempts):
            pending = [
                one for one in letter.recipients if not said[Word.ACK][letter.identifier, one]
            ]
            if not pending:
                return
            with contextlib.suppress(Lost, OSError):
                self._offer(letter, pending)
        if any(not said[Word.ACK][letter.identifier, one] for one in letter.recipients):
            self.fail(f"I11: {letter.identifier} does not go through")

    # -- what the sink has

    def _check(self, letter: Letter, following: Letter, taken: Sequence[Accepted]) -> None:
        result = verdict(self._run.journal.about((letter, following)), taken)
        self.lost, self.unexpected = len(result.lost), len(result.unexpected)
        self.duplicates = result.duplicates
        if not result.holds:
            self.fail(f"{result}")
        if self.duplicates and self._case.step not in WINDOW:
            self.fail(f"I4: {self.duplicates} duplicates")
        copies = [one for one in taken if following.identifier.encode() in one.wire]
        if len(copies) != self._case.way.copies:
            self.fail(f"I14: {len(copies)} copies of the next mail")
        if leaks(CANARY.encode(), (one.wire for one in taken if not self._may_read(one))):
            self.fail("I5: the secret is at the sink")

    def _may_read(self, one: Accepted) -> bool:
        """Tell whether a copy is for a person whose key opens all layers."""
        way = self._case.way
        if way.role is not Role.MX:
            return False
        readers = set(way.recipients(several=True)) - {NOBODY}
        if way.copies > 1:
            readers = {way.recipients(several=True)[-2]}
        return set(one.recipients) <= readers


def quit_under_fault(run: Run, faults: Sequence[str], cases: Iterable[Case]) -> None:
    """Fill the pool before each sink, and end the service while all fail at QUIT (I18)."""
    for case in cases:
        if case.fault in faults:
            run.one(case, faults.index(case.fault))
    started = time.monotonic()
    code = run.stage.proxy.stop()
    if code != 0 or time.monotonic() - started > GRACE_SECONDS:
        run.tally.findings.append(f"quit: exit {code} after {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def without_residue(run: Run, lanes: int) -> Iterator[None]:
    """I15: when all is over, files and memory of the service are as they were before."""
    run.all((Case("rset", "4yz", way) for way in WAYS for _ in range(lanes)), range(lanes))
    before = _at_rest(run, 0)
    yield
    allowed = before[0] + SPARE_DESCRIPTORS
    after = _at_rest(run, allowed)
    print(f"descriptors {before[0]} -> {after[0]}, memory {before[1]} -> {after[1]} MB")
    if after[0] > allowed or after[1] > before[1] + SPARE_MEGABYTES:
        run.tally.findings.append(f"I15: files and megabytes {before} became {after}")


def _at_rest(run: Run, files: int) -> tuple[int, int]:
    """Let go of idle sessions and give open files, at most `files` if that can be, and memory."""
    proxy = run.stage.proxy
    for sink in range(len(run.stage.sinks.lanes)):
        run.stage.sinks.begin(sink)
    until = time.monotonic() + SETTLE_SECONDS
    while proxy.open_files() > files and time.monotonic() < until:
        time.sleep(0.05)
    return proxy.open_files(), memory(proxy)


def memory(proxy: Proxy) -> int:
    """Give the resident memory of the first process in megabytes."""
    pages = int(Path(f"/proc/{proxy.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1_000_000
