"""Kill the service at random moments while clients send, and check what became of the mail."""

import os
import random
import signal
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.e2e.canary import files, leaks
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, serving, to_sink
from tests.faults.driver import Sender
from tests.faults.journal import Journal, Word, check, delivered
from tests.faults.letters import GROUPS, SECRET, Shared, letters
from tests.faults.sinks import sinks
from tests.faults.stage import State

CLIENTS = 4
ALIVE_SECONDS = (0.05, 0.5)  # the service's age when it is killed, from readiness


@dataclass(frozen=True, slots=True)
class Rampage:
    """How many deaths, of the only process or of one of several workers."""

    workers: int
    kills: int
    seed: int


def strike(proxy: Proxy, choice: random.Random) -> None:
    """Kill the first process or, where there are some, one of the workers."""
    victims = [proxy.pid, *(proxy.children() if proxy.design.workers > 1 else [])]
    victim = choice.choice(victims)
    if victim != proxy.pid:
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: not is_alive(victim))
        return
    children = proxy.children()
    proxy.kill()
    eventually(lambda: not any(map(is_alive, children)))
    proxy.start()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a rampage.

    Counted are kills, pairs of letter and recipient (offered, acknowledged, those of which the
    client did not know), messages the sink took, and copies beyond one.
    """

    kills: int
    offered: int
    acknowledged: int
    unknown: int
    accepted: int
    duplicates: int

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(map(sum, zip(astuple(self), astuple(other), strict=True))))

    def __str__(self) -> str:
        return (
            f"{self.kills} kills: {self.offered} offered, {self.acknowledged} acknowledged, "
            f"{self.unknown} unknown, {self.accepted} messages accepted; "
            f"lost 0, unexpected 0, duplicates {self.duplicates}"
        )


def rampage(folder: Path, state: State, told: Rampage) -> Outcome:
    """Kill and check; raises AssertionError for a broken promise."""
    choice = random.Random(told.seed)
    journal = Journal(folder / "journal")
    with sinks(folder / "sinks", 1) as upstream:
        design = Design(
            {"sink": to_sink(upstream.lanes[0].port)},
            {"out": Listener("outbound", "sink")},
            told.workers,
        )
        with serving(folder / "proxy", state.folder, design) as proxy:
            source = Shared(letters())
            senders = [Sender(proxy.ports["out"], journal, source) for _ in range(CLIENTS)]
            for _ in range(told.kills):
                time.sleep(choice.uniform(*ALIVE_SECONDS))
                strike(proxy, choice)
            time.sleep(ALIVE_SECONDS[1])
            for sender in senders:
                sender.stop()
            for sender in senders:
                sender.join(60)
            assert proxy.stop() == 0, proxy.log()
        taken = upstream.accepted(0)
    said = journal.said
    unknown, offered = said[Word.UNKNOWN].total(), said[Word.OFFER].keys()
    assert unknown or len(offered) > told.kills  # it was under load
    assert not said[Word.REFUSED]
    assert said[Word.ACK].keys() == offered  # I11
    result = check(journal, taken, windows=told.kills * CLIENTS * GROUPS)
    for pair, copies in delivered(taken).items():  # I4: a copy too many only after a death
        assert copies - 1 <= said[Word.UNKNOWN][pair], pair
    # I5: an encrypted letter is nowhere in clear.
    assert sum(b"enveloped-data" in one.wire for one in taken) > told.kills
    places = [*(one.wire for one in taken), proxy.log().encode(), *files(proxy.state)]
    assert leaks(SECRET.encode(), places) == []
    return Outcome(
        told.kills, len(offered), len(said[Word.ACK]), unknown, len(taken), result.duplicates
    )
