"""The fault command, `make faults FAULTS_ARGS="matrix --lanes 16"`; exit 1 with findings.

Each part prints its counts: cases, lost, unexpected, duplicates, by step. Those that take long run
only when they are named: `python -m tests.faults outage --seconds 120`.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.e2e.canary import files, leaks
from tests.faults.failpoints import enumerate_deaths
from tests.faults.journal import Journal
from tests.faults.kills import Outcome, Rampage, rampage
from tests.faults.matrix import FAULTS, STEPS, cases
from tests.faults.outage import HEADING, Outage, outage
from tests.faults.run import Run, Tally, quit_under_fault, without_residue
from tests.faults.slow import Slowness, felt
from tests.faults.soak import Soak, soak
from tests.faults.stage import CANARY, Role, State, Way, make_state, staged

TIMEOUT = 3.0  # seconds an upstream of the matrix is waited for
OUTAGE_TIMEOUTS = 8  # of an upstream that does not answer, within the outage
SOAK_WARM_UPS = 5  # times its length is that of the warm-up
UNTIMED_LANES = 6  # cases that the processors end, not a deadline


def matrix(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Run the whole matrix, or what `--only` names of it."""
    chosen = [case for case in cases() if options.only in str(case)]
    lanes = max(options.lanes, len(FAULTS))
    with staged(folder, state, lanes, TIMEOUT) as stage:
        run = Run(stage, Journal(folder / "journal"))
        with without_residue(run, lanes):
            ordinary = [case for case in chosen if case.step != "quit"]
            run.all((one for one in ordinary if not one.timed), range(UNTIMED_LANES))
            run.all((one for one in ordinary if one.timed), range(lanes))
        quit_under_fault(run, FAULTS, (one for one in chosen if one.step == "quit"))
        places = [stage.proxy.log().encode(), *files(stage.proxy.state)]
    if leaks(CANARY.encode(), places):
        run.tally.findings.append("I5: the secret is in the log or the state directory")
    if b"Traceback" in places[0]:
        run.tally.findings.append("a traceback is in the log")
    _tell(run.tally)
    return not run.tally.findings


def _tell(tally: Tally) -> None:
    print(f"{'step':14} {'cases':>6} {'lost':>6} {'unexpected':>10} {'duplicates':>10}")
    for step in STEPS:
        print(_row(step, *(one[step] for one in _counters(tally))))
    print(_row("all", *(one.total() for one in _counters(tally))))
    for finding in tally.findings:
        print(f"FOUND {finding}")


def _row(name: str, *counts: int) -> str:
    return f"{name:14} {counts[0]:6} {counts[1]:6} {counts[2]:10} {counts[3]:10}"


def _counters(tally: Tally) -> tuple[Counter[str], ...]:
    return tally.cases, tally.lost, tally.unexpected, tally.duplicates


def kills(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Kill at random under load, several services at once."""
    shares = [options.kills // options.jobs] * options.jobs
    shares[0] += options.kills % options.jobs
    started: dict[Future[Outcome], Rampage] = {}
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for number, share in enumerate(shares):
            told = Rampage(1 + number % 2, share, options.seed + number)
            started[pool.submit(rampage, _made(folder / str(number)), state, told)] = told
        total = Outcome(0, 0, 0, 0, 0, 0)
        for done in as_completed(started):
            print(f"{started[done]}: {done.result()}", flush=True)
            total += done.result()
    print(f"all: {total}")
    return True


def failpoints(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Die wherever a session waits, for each number of copies and role."""
    for way in (
        *(Way(Role.SUBMISSION, copies) for copies in (1, 2, 3)),
        *(Way(Role.MX, copies) for copies in (1, 2)),
    ):
        deaths = enumerate_deaths(folder / str(way), state, way)
        print(f"{way}: {len(deaths)} deaths; number, place, what the client heard, copies")
        print("\n".join(map(str, deaths)))
        doubled = sum(death.finally_copies - way.copies for death in deaths)
        print(f"{way}: lost 0, unexpected 0, duplicates {doubled}", flush=True)
    return True


def outages(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Have the upstream away in each way while a Postfix in front relays."""
    print(HEADING, flush=True)
    chosen = [
        Outage("stopped", options.seconds),
        Outage("blackholed", options.seconds),
        Outage("blackholed", options.seconds, options.seconds / OUTAGE_TIMEOUTS),
        Outage("busy", options.seconds),
    ]
    for number, told in enumerate(chosen):
        if options.only in told.kind:
            print(outage(folder / str(number), state, told), flush=True)
    return True


def soaking(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Load steadily for long."""
    seconds = options.minutes * 60
    told = soak(folder, state, Soak(seconds, options.rate, warm_up=seconds / SOAK_WARM_UPS))
    print(told, flush=True)
    return told.holds


def slow(folder: Path, state: State, options: argparse.Namespace) -> bool:
    """Have hundreds of clients send an octet a second, and see what the others feel."""
    told = felt(folder, state, Slowness(options.clients))
    print(told, flush=True)
    return not (told.refused or told.arrived)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


PARTS: Mapping[str, Callable[[Path, State, argparse.Namespace], bool]] = {
    "matrix": matrix,
    "failpoints": failpoints,
    "kills": kills,
    "slow": slow,
    "outage": outages,
    "soak": soaking,
}
LONG = ("outage", "soak")  # not run unless named


def main() -> int:
    options = _options()
    well = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = make_state(folder / "state")
        for part in options.part or (one for one in PARTS if one not in LONG):
            print(f"-- {part}", flush=True)
            (folder / part).mkdir()
            started = time.monotonic()
            well &= PARTS[part](folder / part, state, options)
            print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
    return 0 if well else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="the short ones by default")
    parser.add_argument("--lanes", type=int, default=32, help="of the matrix, at once")
    parser.add_argument("--only", default="", help="cases of matrix and outage named so in part")
    parser.add_argument("--kills", type=int, default=100, help="how many deaths")
    parser.add_argument("--jobs", type=int, default=2, help="services that are killed at once")
    parser.add_argument("--seed", type=int, default=1, help="the same moments again")
    parser.add_argument("--seconds", type=float, default=120, help="of each outage")
    parser.add_argument("--clients", type=int, default=500, help="slow ones")
    parser.add_argument("--minutes", type=float, default=30, help="of the soak")
    parser.add_argument("--rate", type=float, default=20, help="messages a second of the soak")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
