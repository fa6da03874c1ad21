"""The replies we make ourselves: ASCII, one line, in their class, for every reason to refuse."""

import pytest

from smime_proxy.gateway.replies import MAX_DETAIL, REPLIES, refusal_reply, reply_for
from smime_proxy.policy.plan import Why


@pytest.mark.parametrize("situation", list(REPLIES))
def test_every_reply_is_ascii_and_fits_a_line_whatever_the_detail(situation: str) -> None:
    for detail in ("", "x" * 2000, "ü\r\n250 OK\n" * 100):
        reply = reply_for(situation, detail)
        assert len(reply.text) <= MAX_DETAIL + 100
        wire = reply.encode()
        assert wire.isascii()
        for line in wire.split(b"\r\n")[:-1]:
            assert line.startswith(f"{reply.code}".encode())
            assert len(line) <= 510
        assert reply.enhanced.startswith(f"{reply.code // 100}.")


@pytest.mark.parametrize("situation", list(REPLIES))
def test_the_advice_is_never_cut_off(situation: str) -> None:
    wire = reply_for(situation, "someone@example.org: expired " * 100).encode()
    assert wire.rstrip().endswith(REPLIES[situation].advice.encode())


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_of_policy_has_its_reply(why: Why) -> None:
    reply = refusal_reply(why, "a@b.c: no certificate.")
    assert reply.text.startswith("a@b.c: no certificate. ")
    for_now = {Why.KEY_UNAVAILABLE, Why.STATUS_UNKNOWN, Why.DIRECTORY_UNREACHABLE}
    assert reply.is_permanent or why in for_now


def test_a_situation_that_is_not_in_the_table_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        reply_for("unheard of")
