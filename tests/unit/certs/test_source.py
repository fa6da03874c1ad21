"""The order of trust between sources, and which of them a setting lets in."""

import pytest

from smime_proxy.certs.source import MinimumSource, Source


def test_the_order_is_manual_verified_harvested_discovered() -> None:
    ordered = sorted(Source, key=lambda source: source.rank, reverse=True)
    assert ordered == list(Source)
    assert Source.DIRECTORY.rank == Source.SMIMEA.rank
    assert len({source.rank for source in Source}) == len(Source) - 1


@pytest.mark.parametrize(
    ("minimum", "admitted"),
    [
        ("manual", {"manual"}),
        ("verified", {"manual", "directory-verified", "smimea"}),
        ("harvested", {"manual", "directory-verified", "smimea", "harvested"}),
        ("discovered", {source.value for source in Source}),
    ],
)
def test_a_minimum_admits_what_is_as_good_or_better(minimum: str, admitted: set[str]) -> None:
    least = MinimumSource(minimum)
    assert {source.value for source in Source if least.admits(source)} == admitted


def test_the_stricter_minimum_has_the_higher_rank() -> None:
    assert [m.value for m in sorted(MinimumSource, key=lambda m: m.rank)] == [
        "discovered",
        "harvested",
        "verified",
        "manual",
    ]
