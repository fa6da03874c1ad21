"""What workers show, and what the service manager hears of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from smime_proxy.smtp.notify import Notifier
from smime_proxy.smtp.pulse import (
    IDLE_SECONDS,
    MAX_RELOAD_SECONDS,
    START_SECONDS,
    Board,
    Line,
    Pulse,
    Vigil,
)
from tests.notify_socket import Manager

PIDS = (11, 12)
WATCHDOG = 20.0


@dataclass
class Scene:
    """Two workers and who watches them; `now` is their time."""

    manager: Manager
    now: float = 100.0
    board: Board = field(default_factory=lambda: Board(2))
    pulses: list[Pulse] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vigil = Vigil(Notifier(self.manager.address, WATCHDOG, self.clock), self.board)
        self.vigil.clock = self.clock
        self.pulses = [Pulse(self.board, n, pid, self.clock) for n, pid in enumerate(PIDS)]

    def clock(self) -> float:
        return self.now

    def heard(self, line: str) -> int:
        self.vigil.look(PIDS)
        return self.manager.count(line)

    def serve(self) -> None:
        for pulse in self.pulses:
            pulse.serving()

    def replace(self, slot: int) -> None:
        self.pulses[slot] = Pulse(self.board, slot, PIDS[slot], self.clock)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Manager() as manager:
        yield Scene(manager)


def test_lines_of_the_board_are_apart() -> None:
    board = Board(3)
    lines = [Line(n, n + 0.5, n * 7, bool(n % 2)) for n in range(1, 4)]
    for slot, line in enumerate(lines):
        board.write(slot, line)
    assert [board.read(slot) for slot in range(3)] == lines


def test_it_is_ready_once_when_all_workers_serve(scene: Scene) -> None:
    assert scene.vigil.pause == START_SECONDS
    scene.pulses[0].serving()
    assert scene.heard("READY=1") == 0
    scene.pulses[1].serving()
    assert scene.heard("READY=1") == 1
    assert scene.heard("READY=1") == 1
    assert scene.vigil.pause == WATCHDOG / 4


def test_what_a_dead_worker_has_shown_counts_no_more(scene: Scene) -> None:
    scene.serve()
    scene.vigil.look((PIDS[0], 99))  # its successor has shown nothing yet
    assert scene.manager.count("READY=1") == 0
    assert scene.heard("READY=1") == 1


def test_it_has_reloaded_when_all_workers_have(scene: Scene) -> None:
    scene.serve()
    assert scene.heard("READY=1") == 1
    scene.vigil.reloading(PIDS)
    assert scene.heard("RELOADING=1") == 1
    assert scene.vigil.pause == START_SECONDS
    scene.pulses[0].reloaded()
    assert scene.heard("READY=1") == 1
    scene.pulses[1].reloaded()
    assert scene.heard("READY=1") == 2
    assert scene.heard("READY=1") == 2


def test_a_worker_that_died_or_never_reloads_is_not_awaited(scene: Scene) -> None:
    scene.serve()
    scene.heard("")
    scene.vigil.reloading(PIDS)
    scene.pulses[0].reloaded()
    scene.vigil.look((PIDS[0], 0))
    assert scene.manager.count("READY=1") == 2
    scene.vigil.reloading(PIDS)
    assert scene.heard("READY=1") == 2
    scene.now += MAX_RELOAD_SECONDS + 1
    assert scene.heard("READY=1") == 3


async def test_signs_of_life_are_passed_on_while_every_worker_that_serves_gives_them(
    scene: Scene,
) -> None:
    assert scene.heard("WATCHDOG=1") == 0
    scene.serve()
    assert scene.heard("WATCHDOG=1") == 1
    assert scene.heard("WATCHDOG=1") == 1  # not more often than is due
    scene.now += WATCHDOG / 2
    await beat(scene.pulses[0])
    assert scene.heard("WATCHDOG=1") == 1  # the second is stuck
    await beat(scene.pulses[1])
    assert scene.heard("WATCHDOG=1") == 2


async def test_a_worker_that_is_being_replaced_is_no_fault_but_none_at_all_is(scene: Scene) -> None:
    scene.serve()
    assert scene.heard("WATCHDOG=1") == 1
    scene.now += WATCHDOG
    await beat(scene.pulses[0])
    scene.vigil.look((PIDS[0], 0))
    assert scene.manager.count("WATCHDOG=1") == 2
    scene.now += WATCHDOG
    await beat(scene.pulses[0])
    scene.replace(1)  # it runs, and does not serve yet
    scene.now += WATCHDOG / 4
    assert scene.heard("WATCHDOG=1") == 3
    scene.now += WATCHDOG / 4 + 1
    scene.vigil.look((0, 0))
    assert scene.manager.count("WATCHDOG=1") == 3


def test_without_a_manager_nobody_looks(scene: Scene) -> None:
    vigil = Vigil(Notifier(""), scene.board)
    assert vigil.pause == IDLE_SECONDS
    scene.serve()
    vigil.look(PIDS)
    assert vigil.pause == IDLE_SECONDS


def test_the_end_is_told(scene: Scene) -> None:
    scene.vigil.stopping()
    for pulse in scene.pulses:
        pulse.reloading()
        pulse.stopping()
    assert scene.heard("STOPPING=1") == 1


async def beat(pulse: Pulse) -> None:
    """Let a worker's loop live for a moment."""
    beating = asyncio.ensure_future(pulse.beat())
    await asyncio.sleep(0)
    beating.cancel()
