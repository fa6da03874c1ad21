"""What a Postfix in front sees when the upstream is away for a while: mail waits, none is lost.

Half of the mail comes while the upstream is away, a quarter before and a quarter after. Whatever
the upstream does, each message is in the end where it belongs; copies beyond one are counted.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.faults.driver import connect, offer
from tests.faults.journal import Journal, Letter, Word, delivered, verdict
from tests.faults.letters import letters
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import State, patience
from tests.ports import free_ports
from tests.postfix import Entry, Postfix, postfix_with
from tests.sink_script import Fault, Say, Step

MESSAGES = 200
BUSY = (
    Fault(Step.BANNER, Say(b"421 4.3.2 Not now\r\n", close=True)),
    Fault(Step.MAIL, Say(b"451 4.3.0 Not now\r\n")),
)
PACE = 12  # how many of Postfix's attempts fit into the outage
RECOVERY_SECONDS = 900  # for all that waits to be delivered; Postfix's own timeouts are 600


@dataclass(frozen=True, slots=True)
class Outage:
    """One way to be away, `seconds` long; `timeout` in seconds, 0 for the program's own."""

    kind: str
    seconds: float
    timeout: float = 0
    messages: int = MESSAGES

    @property
    def backoff(self) -> int:
        """Give the seconds after which Postfix tries again."""
        return max(1, int(self.seconds / PACE))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it; `recovery` is in seconds from the upstream's return."""

    outage: Outage
    waiting: int  # in Postfix's queue at the end of the outage
    deferred: int  # of them those that Postfix had tried
    before: int  # copies delivered until then
    after: int  # copies delivered behind it
    recovery: float
    lost: int
    duplicates: int
    dup_possible: int  # that the program itself counted

    def __str__(self) -> str:
        kind = self.outage.kind + (f", {self.outage.timeout:g} s" if self.outage.timeout else "")
        counts = (self.waiting, self.deferred, self.before, self.after)
        shown = " ".join(f"{count:9}" for count in counts)
        ends = f"{self.lost:6} {self.duplicates:10} {self.dup_possible:12}"
        return f"{kind:24} {shown} {self.recovery:9.1f} {ends}"


HEADING = (
    f"{'upstream':24} {'waiting':>9} {'deferred':>9} {'before':>9} {'after':>9} {'seconds':>9} "
    f"{'lost':>6} {'duplicates':>10} {'dup_possible':>12}"
)


def _stop(running: Sinks) -> None:
    running.deafen(0)
    running.begin(0)  # hangs up on everybody


KINDS: Mapping[str, tuple[Callable[[Sinks], None], Callable[[Sinks], None]]] = {
    "stopped": (_stop, lambda running: running.listen(0)),
    "blackholed": (
        lambda running: os.kill(running.pid, signal.SIGSTOP),
        lambda running: os.kill(running.pid, signal.SIGCONT),
    ),
    "busy": (lambda running: running.change(0, BUSY), lambda running: running.change(0)),
}


def outage(folder: Path, state: State, told: Outage) -> Result:
    """Have the upstream away once; raises AssertionError for a broken promise."""
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal")
    with sinks(folder / "sinks", 1) as running:
        table = to_sink(running.lanes[0].port)
        if told.timeout:
            table += f"\ntimeouts = {patience(told.timeout)}"
        design = Design({"sink": table}, {"out": Listener("outbound", "sink")})
        with (
            serving(folder / "proxy", state.folder, design) as proxy,
            _postfix(proxy, told.backoff) as postfix,
        ):
            result = _Course(running, proxy, postfix, journal).run(told)
            assert "Traceback" not in proxy.log()
    assert result.lost == 0
    assert result.duplicates <= result.dup_possible
    return result


def _postfix(proxy: Proxy, backoff: int) -> AbstractContextManager[Postfix]:
    main = (
        f"relayhost = [127.0.0.1]:{proxy.ports['out']}\n"
        f"queue_run_delay = {backoff}s\n"
        f"minimal_backoff_time = {backoff}s\nmaximal_backoff_time = {backoff}s\n"
    )
    return postfix_with([Entry(free_ports(1)[0])], main)


class _Course:
    """One outage from its beginning to the last delivery."""

    def __init__(self, running: Sinks, proxy: Proxy, postfix: Postfix, journal: Journal) -> None:
        self._sinks = running
        self._proxy = proxy
        self._postfix = postfix
        self._journal = journal

    def run(self, told: Outage) -> Result:
        source = letters()
        begin, end = KINDS[told.kind]
        self._send(islice(source, told.messages // 4), 0)
        begin(self._sinks)
        try:
            until = time.monotonic() + told.seconds
            self._send(islice(source, told.messages // 2), told.seconds)
            time.sleep(max(0.0, until - time.monotonic()))
            waiting = self._postfix.queued("active") + self._postfix.queued("incoming")
            deferred = self._postfix.queued("deferred")
            before = delivered(self._sinks.accepted(0)).total()
        finally:
            end(self._sinks)
        returned = time.monotonic()
        self._send(islice(source, told.messages // 4), 0)
        eventually(self._postfix.is_idle, self._explain, RECOVERY_SECONDS)
        recovery = time.monotonic() - returned
        taken = self._sinks.accepted(0)
        said = self._journal.said
        assert said[Word.ACK].keys() == said[Word.OFFER].keys()  # Postfix took all of it
        result = verdict(said, taken)
        assert not result.unexpected, result
        return Result(
            told,
            waiting + deferred,
            deferred,
            before,
            delivered(taken).total() - before,
            recovery,
            len(result.lost),
            result.duplicates,
            int(self._proxy.counter("dup_possible")),
        )

    def _send(self, source: Iterator[Letter], seconds: float) -> None:
        """Hand letters to Postfix, spread over some seconds."""
        chosen = list(source)
        started = time.monotonic()
        with connect(self._postfix.port) as client:
            for number, letter in enumerate(chosen):
                due = started + seconds * number / len(chosen)
                time.sleep(max(0.0, due - time.monotonic()))
                offer(client, self._journal, letter, letter.recipients)

    def _explain(self) -> str:
        return f"{self._postfix.log()[-8000:]}\n{self._proxy.log()[-4000:]}"
