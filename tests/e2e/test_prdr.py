"""PRDR: a client that asks for it hears of each recipient by himself, over SMTP; both roles.

draft-hall-prdr-00; "Delivery, always".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.client import Answer, Client
from tests.e2e.conftest import ALICE, FRIEND, PARTNER, SEALED_TEXT, TEAM, Made, sealed
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.sink import Fault, Say, Sink, Step, running

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Place:
    """Listeners before a sink: `out`, `in`, and `plain` without PRDR."""

    proxy: Proxy
    sink: Sink

    def send(
        self, listener: str, sender: str, recipients: tuple[str, ...], content: bytes
    ) -> list[Answer]:
        """Send one message with PRDR; gives all replies behind the dot."""
        with Client(self.proxy.ports[listener]) as client:
            offered = client.say("EHLO client.example.test").lines
            assert "PRDR" in offered
            for line in (
                f"MAIL FROM:<{sender}> PRDR",
                *(f"RCPT TO:<{one}>" for one in recipients),
            ):
                assert client.say(line).code == 250
            assert client.say("DATA").code == 354
            answers = [client.content(content)]
            if answers[0].code == 353:
                answers += [client.answer() for _ in range(len(recipients) + 1)]
            assert client.say("NOOP").code == 250  # nothing more is said
        return answers


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Place]:
    with running(Sink()) as sink:
        mx = 'domains = ["example.test"]\nreports = "sink"'
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", mx),
            "plain": Listener("outbound", "sink", "prdr = false"),
        }
        folder = tmp_path_factory.mktemp("prdr")
        design = Design({"sink": to_sink(sink.port)}, listeners)
        with serving(folder / "proxy", made.state, design) as proxy:
            yield Place(proxy, sink)
            assert "Traceback" not in proxy.log()


def letter(more: str = "") -> bytes:
    return (
        f"From: {ALICE}\r\nTo: {PARTNER}\r\nSubject: x\r\nMessage-ID: <prdr@client.example>\r\n"
        f"{more}\r\n{SEALED_TEXT}\r\n"
    ).encode()


@pytest.mark.parametrize("sender", [PARTNER, ""])
def test_a_team_is_refused_by_itself_and_nobody_is_sent_a_report(
    place: Place, made: Made, sender: str
) -> None:
    before = len(place.sink.messages)
    answers = place.send("in", sender, (TEAM, ALICE), sealed(made))
    assert [answer.code for answer in answers] == [353, 550, 250, 250]
    assert answers[1].status == "5.7.4"
    (message,) = place.sink.messages[before:]
    assert message.recipients == (ALICE,)
    assert SEALED_TEXT.encode() in message.content


@pytest.mark.parametrize(
    ("said", "codes"),
    [(b"550 5.7.1 No\r\n", [353, 550, 250, 250]), (b"450 4.2.1 Busy\r\n", [353, 450, 250, 250])],
)
def test_what_the_upstream_refuses_one_group_is_its_own(
    place: Place, said: bytes, codes: list[int]
) -> None:
    """Two copies, for the second is blind; the upstream takes one of them."""
    before = len(place.sink.messages)
    place.sink.met.clear()
    place.sink.faults = [Fault(Step.DOT, Say(said), at=2)]
    answers = place.send("out", ALICE, (PARTNER, FRIEND), letter("X-SMIME-Encrypt: yes\r\n"))
    place.sink.faults = []
    assert sorted(answer.code for answer in answers) == sorted(codes)
    assert (answers[0].code, answers[-1].code) == (353, 250)
    got = [one for message in place.sink.messages[before:] for one in message.recipients]
    named = zip((PARTNER, FRIEND), answers[1:-1], strict=True)
    assert got == [name for name, answer in named if answer.code == 250]
    assert all(message.reverse_path == ALICE for message in place.sink.messages[before:])


def test_what_nobody_gets_is_refused_on_the_whole(place: Place) -> None:
    before = len(place.sink.messages)
    stranger = "someone@example.net"  # no certificate of his is known
    answers = place.send("out", ALICE, (stranger, FRIEND), letter("X-SMIME-Encrypt: yes\r\n"))
    assert {answer.code for answer in answers if answer.code != 353} == {550}
    assert place.sink.messages[before:] == []


def test_one_recipient_has_one_reply(place: Place) -> None:
    assert [one.code for one in place.send("out", ALICE, (PARTNER,), letter())] == [250]


def test_no_upstream_is_asked_for_it(place: Place) -> None:
    place.send("out", ALICE, (PARTNER, FRIEND), letter())
    assert not any("PRDR" in one for one in place.sink.messages[-1].parameters)


def test_it_can_be_switched_off(place: Place) -> None:
    with Client(place.proxy.ports["plain"]) as client:
        assert "PRDR" not in client.say("EHLO client.example.test").lines
        assert client.say(f"MAIL FROM:<{ALICE}> PRDR").code == 555
