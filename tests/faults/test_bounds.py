"""What peers do to use the service up: endless and slow replies, slow clients, no sender."""

import contextlib
import socket
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.faults.journal import reported
from tests.faults.run import memory
from tests.faults.sinks import Sinks, sinks
from tests.faults.stage import State, patience
from tests.ports import HOST
from tests.sink_script import Action, Endless, Fault, Say, Step, Trickle

pytestmark = pytest.mark.e2e

SPARE_MEGABYTES = 40  # an endless reply is ten megabytes at the sink
SLOW_ADDRESSES, SLOW_EACH = 10, 25  # so many clients that say next to nothing
MAIL = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\nHello\r\n".encode()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    with sinks(tmp_path_factory.mktemp("bounds") / "sinks", 1) as made:
        yield made


def designed(running: Sinks, seconds: float) -> Design:
    table = f"{to_sink(running.lanes[0].port)}\ntimeouts = {patience(seconds)}"
    return Design({"sink": table}, {"out": Listener("outbound", "sink")})


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, state: State, running: Sinks
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("bounds") / "proxy"
    with serving(folder, state.folder, designed(running, seconds=1.0)) as made:
        yield made
        assert "Traceback" not in made.log()


REPLIES: Mapping[str, Action] = {
    "endless": Endless(b"250-and then\r\n"),
    "endless-line": Endless(b"250-and then "),
    "slow": Trickle(b"250-" + b"slowly " * 20, 0.2),
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("step", [Step.BANNER, Step.EHLO, Step.MAIL, Step.DATA, Step.DOT])
def test_r23_a_reply_without_end_is_cut_in_time_and_memory_stays(
    proxy: Proxy, running: Sinks, step: Step, reply: str
) -> None:
    running.begin(0)
    assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 250
    before = memory(proxy)
    running.begin(0, [Fault(step, REPLIES[reply])])
    for _ in range(1 if reply == "slow" else 5):
        assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 451
    assert memory(proxy) <= before + SPARE_MEGABYTES


def test_r25_clients_that_say_next_to_nothing_keep_nobody_else_waiting(
    proxy: Proxy, running: Sinks
) -> None:
    begin = (
        b"EHLO slow.example\r\nMAIL FROM:<slow@example.test>\r\n"
        b"RCPT TO:<slow@example.net>\r\nDATA\r\nSubject: s"
    )
    running.begin(0)
    before = len(running.accepted(0))
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(2, 2 + SLOW_ADDRESSES):
            for _ in range(SLOW_EACH):
                address = (HOST, proxy.ports["out"])
                source = (f"127.0.0.{number}", 0)
                client = stack.enter_context(socket.create_connection(address, 60, source))
                client.sendall(begin)
                slow.append(client)
        count = SLOW_ADDRESSES * SLOW_EACH
        eventually(lambda: running.heard(0).count("RCPT TO:<slow@example.net>") >= count)
        for _ in range(20):
            for client in slow:
                client.sendall(b"l")
            assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 250
    assert len(running.accepted(0)) == before + 20


def test_r28_mail_without_a_sender_is_never_reported(proxy: Proxy, running: Sinks) -> None:
    """Two copies, the second refused for good: the client hears it, and nobody else does."""
    before = len(running.accepted(0))
    running.begin(0, [Fault(Step.DOT, Say(b"550 5.1.1 Never\r\n"), at=2)])
    raw = f"From: {ALICE}\r\nTo: {PARTNER}, {OUTSIDE}\r\n\r\nHello\r\n".encode()
    head = f"Message-ID: <{len(raw)}@client.example>\r\n".encode()
    answer = deliver(proxy.ports["out"], "", (PARTNER, OUTSIDE), head + raw)
    taken = running.accepted(0)[before:]
    assert reported(taken) == set()
    assert all(one.recipients != (ALICE,) for one in taken)
    if len(taken) == 1 and len(taken[0].recipients) == 1:
        assert answer.code >= 400
        assert "1 of 2" in answer.text


@pytest.mark.parametrize("step", [Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA], ids=str)
def test_a05_replies_in_advance_are_never_taken_for_an_acceptance(
    proxy: Proxy, running: Sinks, step: Step
) -> None:
    """The upstream, or who sits before it, answers all of the transaction at once."""
    first = b"354 Go on\r\n" if step is Step.DATA else b"250 2.1.0 OK\r\n"
    advance = b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 Go\r\n250 2.0.0 Accepted\r\n"
    before = len(running.accepted(0))
    running.begin(0, [Fault(step, Say(first + advance))])
    assert deliver(proxy.ports["out"], ALICE, (OUTSIDE,), MAIL).code == 451
    assert len(running.accepted(0)) == before
