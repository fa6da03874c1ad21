"""A deterministic slice of the matrix; `make faults` runs the whole.

Invariants I1 to I6, I9 to I11, I14, I15.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.canary import files, leaks
from tests.faults.journal import Journal
from tests.faults.matrix import FAULTS, STEPS, cases, sample
from tests.faults.run import Run, quit_under_fault, without_residue
from tests.faults.stage import CANARY, WAYS, State, staged

pytestmark = pytest.mark.e2e

LANES = len(FAULTS)
TIMEOUT = 3.0  # seconds an upstream is waited for


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, state: State) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("matrix")
    with staged(folder, state, LANES, TIMEOUT) as stage:
        yield Run(stage, Journal(folder / "journal"))


def test_the_sample_has_every_step_and_fault_and_the_whole_every_way() -> None:
    chosen, everything = sample(), list(cases())
    assert {case.step for case in chosen} == set(STEPS) - {"quit"}
    assert {case.fault for case in chosen} == set(FAULTS)
    assert {case.way for case in chosen} == set(WAYS)
    assert {case.step for case in everything} == set(STEPS)
    assert len(set(everything)) == len(everything)
    assert set(chosen) <= set(everything)


def test_no_fault_of_the_sample_breaks_a_promise(run: Run) -> None:
    proxy = run.stage.proxy
    with without_residue(run, LANES):
        run.all((case for case in sample() if not case.timed), range(4))
        run.all((case for case in sample() if case.timed), range(LANES))
    assert "\n".join(run.tally.findings) == ""
    assert run.tally.lost.total() == run.tally.unexpected.total() == 0
    assert run.tally.duplicates.total() > 0  # there were windows, and faults that hit them
    # I5: nor is it anywhere at home.
    assert leaks(CANARY.encode(), [proxy.log().encode(), *files(proxy.state)]) == []


def test_upstreams_that_fail_at_quit_do_not_hold_up_the_end(run: Run) -> None:
    """The one copy that a client submits; `make faults` has the other ways."""
    chosen = (case for case in cases() if case.step == "quit" and case.way == WAYS[0])
    quit_under_fault(run, FAULTS, chosen)
    assert "\n".join(run.tally.findings) == ""
    assert "Traceback" not in run.stage.proxy.log()
