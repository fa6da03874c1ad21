"""Deaths and stops of processes: a worker of several, and the upstream that does not move.

What SIGTERM under load does is in `tests/e2e/test_service.py` (row R14, I18); that of a random
moment in `test_kills`.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.client import Client, Lost
from tests.e2e.proxy import ROOT, Design, Listener, eventually, is_alive, serving, to_sink
from tests.faults.driver import Sender, connect, offer
from tests.faults.journal import Journal, Pair, Word, check, verdict
from tests.faults.letters import GROUPS, Shared, letters
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import Role, State, Way, patience
from tests.tied import tied

pytestmark = pytest.mark.e2e

CLIENTS = 4
ONE = Way(Role.SUBMISSION, 1)
STOPS = 2
PATIENCE = 2.0  # seconds the upstream is waited for


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Sinks]:
    with sinks(tmp_path / "sinks", 1) as made:
        yield made


def designed(running: Sinks, workers: int = 1, more: str = "") -> Design:
    table = f"{to_sink(running.lanes[0].port)}\n{more}"
    return Design({"sink": table}, {"out": Listener("outbound", "sink")}, workers)


def sockets(pid: int) -> int:
    """Count the sockets of a process."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


def test_a_worker_that_is_killed_takes_only_its_own_sessions_along(
    tmp_path: Path, state: State, running: Sinks
) -> None:
    journal = Journal(tmp_path / "journal")
    with serving(tmp_path / "proxy", state.folder, designed(running, workers=2)) as proxy:
        owners: dict[int, list[Client]] = {}
        while len(owners) < 2 or any(len(clients) < 2 for clients in owners.values()):
            before = {pid: sockets(pid) for pid in proxy.children()}
            client = connect(proxy.ports["out"])
            (owner,) = [pid for pid in before if sockets(pid) > before[pid]]
            if len(owners.setdefault(owner, [])) < 2:
                owners[owner].append(client)
            else:
                client.__exit__()
                eventually(partial(has_sockets, owner, before[owner]))
        victim, survivor = owners
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: not is_alive(victim))
        for client in owners[victim]:
            with pytest.raises(Lost):
                client.say("NOOP")
        for number, client in enumerate(owners[survivor]):
            letter = ONE.letter(f"{number}@client.example", state)
            offer(client, journal, letter, letter.recipients)
            assert journal.said[Word.ACK][letter.identifier, letter.recipients[0]] == 1
        for client in (*owners[victim], *owners[survivor]):
            client.__exit__()
        eventually(lambda: len(proxy.children()) == 3)  # the dead one is replaced
        assert proxy.stop() == 0
    assert verdict(journal.said, running.accepted(0)).duplicates == 0
    check(journal, running.accepted(0), windows=0)


def test_r22_an_upstream_that_stops_is_given_up_and_the_mail_goes_through_later(
    tmp_path: Path, state: State, running: Sinks
) -> None:
    """SIGSTOP: its kernel goes on taking octets, and nobody answers."""
    journal = Journal(tmp_path / "journal")
    said = journal.said
    design = designed(running, more=f"timeouts = {patience(PATIENCE)}")
    with serving(tmp_path / "proxy", state.folder, design) as proxy:
        source = Shared(letters())
        senders = [Sender(proxy.ports["out"], journal, source) for _ in range(CLIENTS)]
        for _ in range(STOPS):
            heard = said[Word.ACK].total()
            eventually(partial(exceeds, said, (Word.ACK,), heard + 2 * CLIENTS))
            os.kill(running.pid, signal.SIGSTOP)
            refused = said[Word.NACK].total() + said[Word.UNKNOWN].total()
            eventually(partial(exceeds, said, (Word.NACK, Word.UNKNOWN), refused))
            os.kill(running.pid, signal.SIGCONT)
        for sender in senders:
            sender.stop()
        for sender in senders:
            sender.join(60)
        assert proxy.stop() == 0, proxy.log()
        assert "Traceback" not in proxy.log()
    assert said[Word.ACK].keys() == said[Word.OFFER].keys()
    check(journal, running.accepted(0), windows=STOPS * CLIENTS * GROUPS)


def has_sockets(pid: int, count: int) -> bool:
    return sockets(pid) == count


def exceeds(said: Mapping[Word, Counter[Pair]], words: tuple[Word, ...], count: int) -> bool:
    return sum(said[word].total() for word in words) > count


RUN_AND_WAIT = """
import os, pathlib, sys
from tests.e2e.proxy import Design, Listener, serving, to_sink
from tests.faults.failpoints import mortal
from tests.faults.sinks import sinks
from tests.faults.stage import State
folder, made = map(pathlib.Path, sys.argv[1:])
with (
    sinks(folder / "sinks", 1) as running,
    mortal(folder / "mortal", State(made, {}), running.lanes[0].port) as (_, service),
    serving(
        folder / "proxy",
        made,
        Design(
            {"sink": to_sink(running.lanes[0].port)}, {"out": Listener("outbound", "sink")}, 2
        ),
    ) as proxy,
):
    print(running.pid, service.pid, proxy.pid, *proxy.children(), flush=True)
    sys.stdin.read()
"""


def test_no_process_outlives_a_test_run_that_is_killed(tmp_path: Path, state: State) -> None:
    line = [sys.executable, "-c", RUN_AND_WAIT, str(tmp_path), str(state.folder)]
    with subprocess.Popen(
        line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=tied()
    ) as run:
        assert run.stdout is not None
        processes = [int(word) for word in run.stdout.readline().split()]
        assert len(processes) == 3 + 3  # two workers and who shows the status
        assert all(map(is_alive, processes))
        run.kill()
        eventually(
            lambda: not any(map(is_alive, processes)), lambda: str([*map(is_alive, processes)])
        )
