"""Some seconds of the long soak, and what its verdicts are made of."""

from pathlib import Path

import pytest

from tests.faults.soak import Soak, Told, soak, trend
from tests.faults.stage import State

SECONDS = 20
# So soon after the start caches are still filling.
ALLOWED = {"megabytes": 40.0, "descriptors": 12.0, "tasks": 24.0}


@pytest.mark.e2e
def test_under_steady_load_all_is_settled_and_nothing_grows(tmp_path: Path, state: State) -> None:
    told = soak(tmp_path, state, Soak(SECONDS, every=1, warm_up=10, allowed=ALLOWED))
    print(f"\n{told}")
    assert told.offered > SECONDS * 10
    assert told.refused > SECONDS
    assert {one.measure for one in told.trends} == set(ALLOWED)
    assert {one.of_what for one in told.trends if one.measure == "tasks"} == {
        "worker 0",
        "worker 1",
    }
    assert told.holds


def test_a_leak_is_told_from_noise_and_from_the_warm_up() -> None:
    asked = Soak(1000, warm_up=200)
    noisy = [(at, 100 + at % 3) for at in range(0, 1000, 5)]
    warming = [(at, min(at, 200) / 2 + at % 3) for at in range(0, 1000, 5)]
    leaking = [(at, 100 + at * 0.05 + at % 3) for at in range(0, 1000, 5)]
    assert not trend("process 0", "megabytes", noisy, asked).rises
    assert not trend("process 0", "megabytes", warming, asked).rises
    found = trend("process 0", "megabytes", leaking, asked)
    assert found.rises
    assert found.last - found.first == pytest.approx(0.05 * 795, abs=0.5)
    assert "RISES" in str(found)
    assert "+179.9 an hour" in str(found)


@pytest.mark.parametrize("what", ["lost", "unexpected", "duplicates"])
def test_one_broken_promise_is_enough(what: str) -> None:
    good = {"lost": 0, "unexpected": 0, "duplicates": 0}
    assert Told(9, 8, 1, **good, trends=()).holds
    assert not Told(9, 8, 1, **(good | {what: 1}), trends=()).holds
