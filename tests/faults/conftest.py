"""What the fault tests share with the end-to-end tests."""

import pytest

from tests.e2e.conftest import faulty_port, house, made, tls
from tests.faults.stage import State, make_state

__all__ = ["faulty_port", "house", "made", "tls"]


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return make_state(tmp_path_factory.mktemp("state"))
