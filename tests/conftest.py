"""What all tests share: property tests without a clock, names that are the same each time."""

import pytest
from hypothesis import HealthCheck, settings

from tests.peers import under_ci

MAX_OCTETS_IN_NAMES = 32  # of a test's parameter; what is longer is hardly read

# Time is asserted nowhere: a busy machine is no defect. `ci` explores the same cases every time.
settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True)
settings.load_profile("ci" if under_ci() else "house")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name octets by their argument: those that are made anew in each process part its workers."""
    return argname if isinstance(val, bytes) and len(val) > MAX_OCTETS_IN_NAMES else None
