from random import Random

import pytest

from tests.fuzz import ber_tree, mutate, octets, seeds
from tests.fuzz.minimise import minimised
from tests.fuzz.seeds import Kind


def test_a_tree_is_written_as_it_was_read() -> None:
    for raw in seeds.made_here(Kind.CMS):
        assert ber_tree.write(ber_tree.read(raw)) == raw


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x30", b"\x30\x80", b"\x30\x85", b"\x04\x05ab", b"\x00\x00x", b"\x1f", b"\x3f\x01"],
)
def test_what_is_no_tree_is_kept(raw: bytes) -> None:
    assert ber_tree.write(ber_tree.read(raw)) == raw


@pytest.mark.parametrize("kind", Kind)
def test_the_same_seed_makes_the_same_mutants(kind: Kind) -> None:
    pool = seeds.made_here(kind)

    def some(seed: int) -> list[bytes]:
        rng = Random(seed)
        return [octets.splice(rng, *pool[:2]), *(mutate.mutant(rng, kind, pool) for _ in range(30))]

    def plain(mutants: list[bytes]) -> list[int]:
        return [len(raw) for raw in mutants]

    # Those sealed on the way are made with keys of their own, but are as long.
    assert plain(some(3)) == plain(some(3))
    assert some(3) != some(4)


def test_mutants_differ_from_their_seeds() -> None:
    pool, rng = seeds.made_here(Kind.CMS), Random(1)
    changed = sum(mutate.mutant(rng, Kind.CMS, pool) not in pool for _ in range(200))
    assert changed > 180


def test_every_structural_step_is_taken_on_what_it_fits() -> None:
    raw, rng = seeds.signed(seeds.TEXT, detached=False), Random(2)
    lengths = {len(ber_tree.mutated(rng, raw, raw)) for _ in range(300)}
    assert len(lengths) > 50


def test_what_is_not_needed_is_left_out() -> None:
    found = minimised(
        b"a" * 500 + b"X" + b"b" * 300 + b"Y", lambda raw: b"X" in raw and b"Y" in raw
    )
    assert found == b"XY"
    assert minimised(b"", lambda _raw: True) == b""
