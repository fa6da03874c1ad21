"""The fuzz command, `make fuzz FUZZ_ARGS="--seconds 1800 --jobs 2"`; exit 1 with findings.

These are written to a folder, each made small. One that is fixed goes to `cases/`.
"""

import argparse
import multiprocessing
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tests.fuzz.campaign import Campaign, Finding, failing, write
from tests.fuzz.targets import TARGETS

MAX_ADDRESS_SPACE = 6_000_000_000  # octets a process may map; beyond is a MemoryError, a finding
_JOB_STEP = 1_000_003  # between the seeds of two jobs


def main() -> int:
    options = _options()
    if options.replay:
        return _replay(options.replay)
    names = tuple(options.target or TARGETS)
    seeds = [options.seed + number * _JOB_STEP for number in range(options.jobs)]
    work = [(seed, options.seconds, names) for seed in seeds]
    start = time.monotonic()
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        results = pool.starmap(_job, work)
    findings: dict[tuple[str, str], Finding] = {}
    runs: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for found, ran, seen in results:
        findings |= found
        runs += ran
        ways |= seen
    seconds = time.monotonic() - start
    for name in names:
        print(f"{name:14} {runs[name]:9} runs {ways[name]:7} behaviours")
    rate = runs.total() / seconds
    print(f"{runs.total()} runs in {seconds:.0f} s, {rate:.0f}/s, seeds {seeds[0]}..{seeds[-1]}")
    for path in write(findings.values(), options.findings):
        print(f"FOUND {path}: {path.with_name(path.name + '.txt').read_text().splitlines()[0]}")
    print(f"{len(findings)} findings")
    return 1 if findings else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="how long each job runs")
    parser.add_argument("--seed", type=int, default=1, help="the same mutants again")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--target", action="append", choices=tuple(TARGETS), help="only this one")
    parser.add_argument("--findings", type=Path, default=Path("var/fuzz"), help="where they go")
    parser.add_argument("--replay", type=Path, nargs="+", help="run files named TARGET--... again")
    return parser.parse_args()


def _job(
    seed: int, seconds: float, names: tuple[str, ...]
) -> tuple[dict[tuple[str, str], Finding], Counter[str], Counter[str]]:
    # Of what strangers' certificates and key files hold; said of thousands of mutants.
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    campaign = Campaign(seed, {name: TARGETS[name] for name in names})
    campaign.run_seeds()
    campaign.run_for(seconds)
    seen = Counter({name: len(found) for name, found in campaign.seen.items()})
    return campaign.findings, campaign.runs, seen


def _replay(paths: list[Path]) -> int:
    failed = 0
    for path in paths:
        fault = failing(TARGETS[path.name.partition("--")[0]], path.read_bytes())
        print(f"{path}: {fault or 'holds'}")
        failed += bool(fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
