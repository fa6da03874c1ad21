"""Kill the service at random moments while clients send, and check what became of the mail."""

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.canary import files, leaks
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, serving, to_sink
from tests.faults.driver import Sender
from tests.faults.journal import Journal, Word, check
from tests.faults.letters import GROUPS, SECRET, Shared, letters
from tests.faults.sinks import sinks
from tests.faults.stage import State

CLIENTS = 4
ALIVE_SECONDS = (0.1, 0.8)  # the service's age when it is killed, from readiness


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


def rampage(folder: Path, state: State, told: Rampage) -> str:
    """Kill and check; gives the counts in one line, raises AssertionError for a broken promise."""
    choice = random.Random(told.seed)
    journal = Journal(folder / "journal")
    with sinks(folder / "sinks", 1) as running:
        design = Design(
            {"sink": to_sink(running.lanes[0].port)},
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
        taken = running.accepted(0)
    said = journal.said
    unknown, offered = said[Word.UNKNOWN].total(), said[Word.OFFER].keys()
    assert unknown or len(offered) > told.kills  # it was under load
    assert not said[Word.REFUSED]
    assert said[Word.ACK].keys() == offered  # I11
    result = check(journal, taken, windows=told.kills * CLIENTS * GROUPS)
    # I5: an encrypted letter is nowhere in clear.
    assert sum(b"enveloped-data" in one.wire for one in taken) > told.kills
    places = [*(one.wire for one in taken), proxy.log().encode(), *files(proxy.state)]
    assert leaks(SECRET.encode(), places) == []
    return (
        f"{told.kills} kills with {told.workers} workers: {len(offered)} offered, "
        f"{len(said[Word.ACK])} acknowledged, {unknown} unknown, {len(taken)} messages accepted; "
        f"lost 0, unexpected 0, duplicates {result.duplicates}"
    )
