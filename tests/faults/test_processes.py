"""Deaths and stops of processes: a worker of several, and the upstream that does not move.

What SIGTERM under load does is in `tests/e2e/test_service.py` (row R14, I18); that of a random
moment in `test_kills`.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.client import Client, Lost
from tests.e2e.proxy import Design, Listener, eventually, is_alive, serving, to_sink
from tests.faults.driver import Sender, connect, offer
from tests.faults.journal import Journal, Pair, Word, check, verdict
from tests.faults.letters import GROUPS, Shared, letters
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import Role, State, Way, patience

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
