import os
import signal
import time
from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from tests.fuzz.campaign import Finding
from tests.fuzz.seeds import Kind
from tests.fuzz.targets import Target
from tests.fuzz.watch import Plan, Slate, run_all


def deadly(raw: bytes) -> Hashable:
    os.kill(os.getpid(), signal.SIGKILL)
    return len(raw)


def deaf(raw: bytes) -> Hashable:
    if len(raw) > 10:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
        time.sleep(60)
    return len(raw)


def raising(raw: bytes) -> Hashable:
    raise KeyError(len(raw) > 5)


class Enough(Exception):  # noqa: N818 - ends a run that would go on
    pass


def first_two(folder: Path, run: Callable[[bytes], Hashable], silent: float = 90) -> list[Finding]:
    """Run until there are two findings: the second is that of a process put in place."""
    found: list[Finding] = []

    def note(finding: Finding) -> None:
        found.append(finding)
        if len(found) == 2:
            raise Enough

    targets = {"planted": Target(Kind.TNEF, run)}
    plan = Plan(folder, 4, 300, targets=targets, with_collections=False, silent=silent)
    with pytest.raises(Enough):
        run_all(plan, note)
    return found


def test_the_slate_says_what_was_written_last(tmp_path: Path) -> None:
    one, other = Slate(tmp_path / "slate"), Slate(tmp_path / "slate")
    for raw in (b"longer than the next", b"\0\1"):
        one.write("walk", raw)
    assert other.read() == ("walk", b"\0\1")
    assert other.begun() == 2


def test_octets_that_end_the_process_are_known_and_it_is_replaced(tmp_path: Path) -> None:
    found = first_two(tmp_path, deadly)
    assert [(item.target, item.fault) for item in found] == [
        ("planted", "the process died (-9)")
    ] * 2
    assert all(item.raw for item in found)


def test_a_process_nothing_can_break_off_is_ended_and_replaced(tmp_path: Path) -> None:
    found = first_two(tmp_path, deaf, silent=1)
    assert [item.fault for item in found] == ["no end within 1 s"] * 2
    assert all(len(item.raw) > 10 for item in found)


def test_what_a_process_finds_and_counts_is_told(tmp_path: Path) -> None:
    targets = {"planted": Target(Kind.TNEF, raising)}
    found: list[Finding] = []
    plan = Plan(tmp_path, seconds=0.3, jobs=2, targets=targets, with_collections=False)
    tally = run_all(plan, found.append)
    assert {item.fault.partition(" ")[0] for item in found} == {"KeyError"}
    assert tally.runs["planted"] > 0
    assert tally.cpu["planted"] > 0
