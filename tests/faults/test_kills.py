"""Kill the service again and again while clients send: no message that got 250 is missing.

Invariants I1, I3, I4, I5, I11, I17.
"""

import base64
from pathlib import Path

import pytest

from tests.e2e.canary import leaks
from tests.faults.kills import Rampage, rampage
from tests.faults.letters import SECRET
from tests.faults.stage import State

pytestmark = pytest.mark.e2e

KILLS = 3


@pytest.mark.parametrize("workers", [1, 2])
def test_no_message_that_got_250_is_missing_after_kills(
    tmp_path: Path, state: State, workers: int
) -> None:
    told = rampage(tmp_path, state, Rampage(workers, KILLS, seed=workers))
    print(f"\n{told}")


def test_the_search_for_canaries_finds_them_in_every_guise() -> None:
    for before in (b"", b"a", b"ab"):
        clear = before + SECRET.encode() + b"-7 and more"
        wrapped = base64.encodebytes(clear * 3).replace(b"\n", b"\r\n")
        for guise in (clear, wrapped, clear.hex().encode()):
            assert leaks(SECRET.encode(), [guise]) != []
    assert leaks(SECRET.encode(), [b"nothing of it"]) == []
