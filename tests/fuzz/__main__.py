"""The fuzz command, `make fuzz FUZZ_ARGS="--seconds 1800 --jobs 2"`; exit 1 with findings.

These are written to a folder as they are made, each made small. One that is fixed goes to `cases/`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import Finding, failing, write
from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import Plan, Tally, run_all


def main() -> int:
    options = _options()
    if options.replay:
        return _replay(options.replay)
    targets = {name: TARGETS[name] for name in options.target or TARGETS}
    found: dict[tuple[str, str], Path] = {}

    def note(finding: Finding) -> None:
        if (finding.target, finding.fault) not in found:
            path = write(finding, options.findings)
            found[finding.target, finding.fault] = path
            print(f"FOUND {path}: {finding.fault}", flush=True)

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(Path(folder), options.seed, options.seconds, options.jobs, targets)
        tally = run_all(plan, note)
    _tell(tally, time.monotonic() - start)
    print(f"seed {options.seed}, {options.jobs} jobs, {len(found)} findings")
    return 1 if found else 0


def _tell(tally: Tally, seconds: float) -> None:
    for name in tally.runs:
        runs, rate = tally.runs[name], tally.runs[name] / max(tally.cpu[name], 0.001)
        print(f"{name:14} {runs:9} runs {rate:8.0f} a second {tally.ways[name]:7} behaviours")
    runs = tally.runs.total()
    print(f"{runs} runs in {seconds:.0f} s, {runs / seconds:.0f} a second")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="how long each job runs")
    parser.add_argument("--seed", type=int, default=1, help="the same mutants again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--target", action="append", choices=tuple(TARGETS), help="only this one")
    parser.add_argument("--findings", type=Path, default=Path("var/fuzz"), help="where they go")
    parser.add_argument("--replay", type=Path, nargs="+", help="run files named TARGET--... again")
    return parser.parse_args()


def _replay(paths: list[Path]) -> int:
    failed = 0
    for path in paths:
        fault = failing(TARGETS[path.name.partition("--")[0]], path.read_bytes())
        print(f"{path}: {fault or 'holds'}")
        failed += bool(fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
