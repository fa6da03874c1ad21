"""What all tests share: property tests without a clock."""

from hypothesis import HealthCheck, settings

from tests.peers import under_ci

# Time is asserted nowhere: a busy machine is no defect. `ci` explores the same cases every time.
settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True)
settings.load_profile("ci" if under_ci() else "house")
