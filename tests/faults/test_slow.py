"""R25: clients that send an octet a second keep nobody else waiting, and none of it arrives."""

from pathlib import Path

import pytest

from tests.faults.slow import Slowness, felt
from tests.faults.stage import State

pytestmark = pytest.mark.e2e


def test_r25_others_are_served_beside_clients_that_send_an_octet_now_and_then(
    tmp_path: Path, state: State
) -> None:
    told = felt(tmp_path, state, Slowness(clients=50, pause=0.2, probes=60))
    print(f"\n{told}")
    assert (told.refused, told.arrived) == (0, 0)
