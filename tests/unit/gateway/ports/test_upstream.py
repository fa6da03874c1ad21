"""What the shells give back when they cannot."""

from tests.fakes import LOST, lost


def test_an_upstream_error_carries_the_reply_for_the_client() -> None:
    error = lost()
    assert error.reply is LOST
    assert str(error) == str(LOST)
