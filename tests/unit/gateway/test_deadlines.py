"""What is due when is the table of the clients' patience."""

import pytest

from smime_proxy.gateway.deadlines import MTA, SUBMISSION, Deadlines


def test_the_moments_are_those_of_programs_and_servers() -> None:
    assert (SUBMISSION.gate, SUBMISSION.answer) == (45, 90)
    assert (MTA.gate, MTA.answer) == (480, 590)


@pytest.mark.parametrize("seconds", [1, 10, 60, 100, 300, 600])
def test_there_is_always_time_for_the_upstream_and_for_the_reply(seconds: float) -> None:
    due = Deadlines.of(seconds)
    assert 0 < due.gate < due.answer < seconds
