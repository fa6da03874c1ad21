"""Death at every second place where a session waits, for mail that leaves in two copies.

Invariants I1, I3, I4, I11; `make faults` takes all places, also for one copy, three, and inbound.
"""

from pathlib import Path

import pytest

from tests.faults.failpoints import enumerate_deaths
from tests.faults.stage import Role, State, Way

pytestmark = pytest.mark.e2e


def test_a_death_wherever_a_session_waits_loses_nothing(tmp_path: Path, state: State) -> None:
    deaths = enumerate_deaths(tmp_path, state, Way(Role.SUBMISSION, 2), step=2)
    print("\n" + "\n".join(map(str, deaths)))
    early = [death for death in deaths if death.copies == 0]
    between = [death for death in deaths if death.copies == 1]
    late = [death for death in deaths if death.copies == 2 and not death.acknowledged]
    known = [death for death in deaths if death.acknowledged]
    # The enumeration met every phase: nothing sent, one copy, both, and the client knew.
    assert all((early, between, late, known))
    assert all(death.finally_copies == 2 for death in (*early, *known))
