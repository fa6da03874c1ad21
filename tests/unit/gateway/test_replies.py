"""The replies we make ourselves: ASCII, in their class, for every reason to refuse."""

import pytest

from smime_proxy.gateway.replies import REPLIES, refusal_reply, reply_for
from smime_proxy.gateway.wording import Wording
from smime_proxy.policy.plan import Why
from smime_proxy.reply import Told


@pytest.mark.parametrize("situation", list(REPLIES))
def test_every_reply_is_ascii_in_its_class_and_fits_whatever_the_detail(situation: str) -> None:
    for detail in ("", "x" * 2000, "ü\r\n250 OK\n" * 100):
        reply = reply_for(situation, detail)
        wire = reply.encode()
        assert wire.isascii()
        for line in wire.split(b"\r\n")[:-1]:
            assert line.startswith(f"{reply.code}".encode())
            assert len(line) <= 510
        assert wire.count(b"\r\n") <= 2
        assert reply.enhanced.startswith(f"{reply.code // 100}.")


def test_a_reply_remembers_what_it_tells() -> None:
    reply = reply_for("too_big", "9 octets", "Send less")
    assert reply.told == Told("too_big", "9 octets", "Send less")
    assert reply.text == "9 octets. Send less."


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_of_policy_has_its_reply(why: Why) -> None:
    reply = refusal_reply(why, "a@b.c: no certificate.")
    assert reply.text.startswith("a@b.c: no certificate. ")
    for_now = {Why.KEY_UNAVAILABLE, Why.STATUS_UNKNOWN, Why.DIRECTORY_UNREACHABLE}
    assert reply.is_permanent or why in for_now
    assert Wording().reply(reply) == reply


def test_a_situation_that_is_not_in_the_table_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        reply_for("unheard of")
