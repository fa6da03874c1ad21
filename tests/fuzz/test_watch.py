import os
import signal
import time
from collections.abc import Hashable
from pathlib import Path

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


def findings(folder: Path, run: object, **more: object) -> list[Finding]:
    targets = {"planted": Target(Kind.TNEF, run)}  # type: ignore[arg-type]
    found: list[Finding] = []
    values = {"seed": 4, "seconds": 1, "targets": targets, "with_collections": False, **more}
    run_all(Plan(folder, **values), found.append)  # type: ignore[arg-type]
    return found


def test_the_slate_says_what_was_written_last(tmp_path: Path) -> None:
    one, other = Slate(tmp_path / "slate"), Slate(tmp_path / "slate")
    for raw in (b"longer than the next", b"\0\1"):
        one.write("walk", raw)
    assert other.read() == ("walk", b"\0\1")
    assert other.begun() == 2


def test_octets_that_end_the_process_are_known(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, deadly)
    assert finding.target == "planted"
    assert finding.fault == "the process died (-9)"
    assert finding.raw


def test_a_process_nothing_can_break_off_is_ended_and_replaced(tmp_path: Path) -> None:
    found = findings(tmp_path, deaf, seconds=8, silent=2)
    assert {item.fault for item in found} == {"no end within 2 s"}
    assert all(len(item.raw) > 10 for item in found)
    assert len(found) > 1


def test_what_a_process_finds_and_counts_is_told(tmp_path: Path) -> None:
    targets = {"planted": Target(Kind.TNEF, raising)}
    found: list[Finding] = []
    plan = Plan(tmp_path, seconds=0.3, jobs=2, targets=targets, with_collections=False)
    tally = run_all(plan, found.append)
    assert {item.fault.partition(" ")[0] for item in found} == {"KeyError"}
    assert tally.runs["planted"] > 0
    assert tally.cpu["planted"] > 0
