"""The clock is set while mail flows: forth and back an hour, forth ten years.

Deadlines are the monotonic clock's and do not move; what certificates are worth is the wall
clock's. libfaketime, <https://github.com/wolfcw/libfaketime>.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Answer
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.faults.driver import connect, offer
from tests.faults.journal import Journal, Word, check
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import Role, State, Way
from tests.peers import require

pytestmark = pytest.mark.e2e

OUT, MX = Way(Role.SUBMISSION, 2), Way(Role.MX, 2)


class Clock:
    """The clock of one service; a file says how far it is off."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self.set("+0")
        self.wrapper = (
            "env",
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def set(self, offset: str) -> None:
        """Set the clock off by `+1h` and the like, at once."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.rename(self._file)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Sinks]:
    with sinks(tmp_path / "sinks", 1) as made:
        yield made


class Post:
    """A client that sends one mail after the other over a connection it keeps."""

    def __init__(self, proxy: Proxy, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal
        self._clients = {OUT: connect(proxy.ports["out"]), MX: connect(proxy.ports["mx"])}
        self._sent = 0

    def send(self, way: Way) -> Answer:
        self._sent += 1
        letter = way.letter(f"{self._sent}-{way}@client.example", self._state)
        return offer(self._clients[way], self._journal, letter, letter.recipients)[-1]


def test_r26_a_clock_that_is_set_ends_nothing_early_and_decides_on_certificates_alone(
    tmp_path: Path, state: State, running: Sinks
) -> None:
    clock = Clock(tmp_path, require("faketime"))
    journal = Journal(tmp_path / "journal")
    mx = 'domains = ["example.test"]\nreports = "sink"'
    listeners = {"out": Listener("outbound", "sink"), "mx": Listener("inbound", "sink", mx)}
    design = Design({"sink": to_sink(running.lanes[0].port)}, listeners)
    with serving(tmp_path / "proxy", state.folder, design, clock.wrapper) as proxy:
        post = Post(proxy, state, journal)
        for offset in ("+0", "+1h", "-0", "+1h", "-0", "-1m"):
            clock.set(offset)
            assert [post.send(way).code for way in (OUT, MX, OUT)] == [250] * 3, proxy.log()
        clock.set("+10y")
        answer = post.send(OUT)
        # Nobody's certificate is good then, and what was asked for cannot be done.
        assert (answer.code, answer.status) == (550, "5.7.5")
        assert post.send(MX).code == 250  # former keys go on decrypting
        clock.set("+0")
        assert [post.send(way).code for way in (OUT, MX)] == [250] * 2
        assert "Traceback" not in proxy.log()
        assert proxy.stop() == 0
    assert not journal.said[Word.NACK]
    assert not journal.said[Word.LOST]
    assert check(journal, running.accepted(0), windows=0).duplicates == 0
