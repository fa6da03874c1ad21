"""Kill the service again and again while clients send: no message that got 250 is missing.

Invariants I1, I3, I4, I5, I11, I17.
"""

import base64
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.canary import files, leaks
from tests.e2e.conftest import Made
from tests.e2e.journal import Journal, Sender, Spool, check
from tests.e2e.letters import GROUPS, SECRET, Shared, letters
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, serving, to_sink
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

CLIENTS = 4
KILLS = 7
ALIVE_SECONDS = (0.1, 0.8)  # the service's age when it is killed, from readiness


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


@pytest.mark.parametrize("workers", [1, 2])
def test_no_message_that_got_250_is_missing_after_kills(
    tmp_path: Path, made: Made, workers: int
) -> None:
    choice = random.Random(workers)
    spool = Spool(tmp_path / "spool")
    journal = Journal(tmp_path / "journal")
    with running(Sink(messages=spool)) as sink:
        design = Design(
            {"sink": to_sink(sink.port)}, {"out": Listener("outbound", "sink")}, workers
        )
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            source = Shared(letters())
            senders = [Sender(proxy.ports["out"], journal, source) for _ in range(CLIENTS)]
            for _ in range(KILLS):
                time.sleep(choice.uniform(*ALIVE_SECONDS))
                strike(proxy, choice)
            time.sleep(ALIVE_SECONDS[1])
            for sender in senders:
                sender.stop()
            for sender in senders:
                sender.join(60)
            assert proxy.stop() == 0, proxy.log()
    print(
        f"\n{KILLS} kills: {len(journal.offered)} letters offered, {len(journal.acknowledged)} "
        f"acknowledged, {journal.unknown.total()} unknown, {len(spool)} copies accepted"
    )
    assert journal.unknown.total() or len(journal.offered) > KILLS  # it was under load
    assert journal.refused == {}
    assert journal.acknowledged == set(journal.offered)  # I11
    check(journal, spool, windows=KILLS * CLIENTS * GROUPS)
    # I5: an encrypted letter is nowhere in clear.
    sealed = [message.wire for message in spool if b"enveloped-data" in message.wire]
    assert len(sealed) > KILLS
    places = [*(message.wire for message in spool), proxy.log().encode(), *files(proxy.state)]
    assert leaks(SECRET.encode(), places) == []


def test_the_search_for_canaries_finds_them_in_every_guise() -> None:
    for before in (b"", b"a", b"ab"):
        clear = before + SECRET.encode() + b"-7 and more"
        wrapped = base64.encodebytes(clear * 3).replace(b"\n", b"\r\n")
        for guise in (clear, wrapped, clear.hex().encode()):
            assert leaks(SECRET.encode(), [guise]) != []
    assert leaks(SECRET.encode(), [b"nothing of it"]) == []
