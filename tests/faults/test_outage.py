"""An upstream that is away for some seconds: a Postfix in front keeps the mail, none is lost.

`python -m tests.faults outage --seconds 120` takes longer; docs/outages.md has what came of it.
"""

import os
from pathlib import Path

import pytest

from tests.faults.outage import HEADING, KINDS, Outage, outage
from tests.faults.stage import State
from tests.peers import require

pytestmark = pytest.mark.e2e

SECONDS = 5
TIMEOUT = 1.5  # seconds an upstream is waited for, so that a black hole is noticed


@pytest.mark.parametrize("kind", KINDS)
def test_mail_waits_in_the_queue_in_front_and_none_is_lost(
    tmp_path: Path, state: State, kind: str
) -> None:
    require("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    result = outage(tmp_path / "run", state, Outage(kind, SECONDS, TIMEOUT, messages=60))
    print(f"\n{HEADING}\n{result}")
    assert result.waiting > 0
    assert result.after > 0
