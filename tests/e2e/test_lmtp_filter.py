"""The service as Postfix's content filter by LMTP, and as an LMTP server to raw dialogues.

RFC 2033; row R09; both roles.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, SEALED_TEXT, TEAM, Made, sealed
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.peers import require
from tests.ports import free_ports
from tests.postfix import Postfix, filtering
from tests.sink import Fault, Say, Sink, Step, running

pytestmark = pytest.mark.e2e

BUSY = b"450 4.2.1 busy\r\n"


@dataclass(frozen=True, slots=True)
class Place:
    """LMTP listeners out and in before a sink, and those of a filter before Postfix."""

    proxy: Proxy
    sink: Sink
    back: int
    onward: Sink

    def lmtp(
        self, listener: str, sender: str, recipients: tuple[str, ...], content: bytes
    ) -> list[Answer]:
        """Send one message; gives the replies after the dot."""
        with Client(self.proxy.ports[listener]) as client:
            assert client.say("LHLO client.example.test").code == 250
            lines = (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{item}>" for item in recipients))
            for line in lines:
                assert client.say(line).code == 250
            assert client.say("DATA").code == 354
            answers = [client.content(content)]
            answers += [client.answer() for _ in recipients[1:]]
            assert client.say("NOOP").code == 250
        return answers


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Place]:
    (back,) = free_ports(1)
    with running(Sink()) as sink, running(Sink()) as onward:
        upstreams = {"sink": to_sink(sink.port), "back": to_sink(back)}
        lmtp = 'protocol = "lmtp"'
        mx = f'domains = ["example.test"]\n{lmtp}'
        listeners = {
            "out": Listener("outbound", "sink", lmtp),
            "in": Listener("inbound", "sink", mx),
            "filter": Listener("outbound", "back", lmtp),
            "filter_in": Listener("inbound", "back", mx),
        }
        folder = tmp_path_factory.mktemp("filter")
        with serving(folder / "proxy", made.state, Design(upstreams, listeners)) as proxy:
            yield Place(proxy, sink, back, onward)
            assert "Traceback" not in proxy.log()


@pytest.fixture(scope="module")
def postfix(place: Place, request: pytest.FixtureRequest) -> Iterator[Postfix]:
    require("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    port = place.proxy.ports[request.param]
    with filtering(port, place.back, place.onward.port) as running_postfix:
        yield running_postfix


def letter(sender: str, *to: str, text: str = "Hello") -> bytes:
    return f"From: {sender}\r\nTo: {', '.join(to)}\r\nSubject: x\r\n\r\n{text}\r\n".encode()


def test_r09_each_group_has_its_own_reply_in_the_order_of_the_recipients(place: Place) -> None:
    """Row R09: one refused, one put off, one accepted; no report, and the mail is signed."""
    friend = "friend@example.org"
    before = len(place.sink.messages)
    recipients = (PARTNER, OUTSIDE, friend)  # each a group: friend is blind
    content = letter(ALICE, OUTSIDE, PARTNER, text="X" * 9)
    # The first connection carries the envelope as the client named it, then one each.
    last = place.sink.connections
    place.sink.faults = [
        Fault(Step.MAIL, Say(BUSY), nth=None, connection=last + 2),
    ]
    answers = place.lmtp("out", ALICE, recipients, content)
    place.sink.faults = []
    codes = [answer.code for answer in answers]
    assert sorted(codes) == [250, 250, 450]
    got = {item for message in place.sink.messages[before:] for item in message.recipients}
    expected = {name for name, code in zip(recipients, codes, strict=True) if code == 250}
    assert got == expected
    assert all(message.reverse_path for message in place.sink.messages[before:])


@pytest.mark.parametrize("sender", [PARTNER, ""])
def test_a_team_is_refused_for_itself_and_the_person_has_it(
    place: Place, made: Made, sender: str
) -> None:
    before = len(place.sink.messages)
    answers = place.lmtp("in", sender, (TEAM, ALICE), sealed(made))
    assert [(answer.code, answer.status) for answer in answers] == [
        (550, "5.7.4"),
        (250, "2.0.0"),
    ]
    (message,) = place.sink.messages[before:]
    assert message.recipients == (ALICE,)
    assert SEALED_TEXT.encode() in message.content
    assert re.match(rb"Received: .*\r\n\tby proxy.example.test with LMTP id ", message.content)


@pytest.mark.parametrize("postfix", ["filter", "filter_in"], indirect=True)
def test_postfix_filters_through_it(place: Place, postfix: Postfix) -> None:
    """What comes back to Postfix leaves it, once for each recipient."""
    before = len(place.onward.messages)
    answer = deliver(postfix.port, ALICE, (ALICE, TEAM), letter(ALICE, ALICE, TEAM))
    assert answer.code == 250
    eventually(lambda: len(place.onward.messages) > before, postfix.log)
    recipients = [item for message in place.onward.messages[before:] for item in message.recipients]
    assert sorted(recipients) == [ALICE, TEAM]
    assert b"with LMTP id" in place.onward.messages[-1].content


@pytest.mark.parametrize("postfix", ["filter_in"], indirect=True)
def test_postfix_bounces_for_the_team_alone(place: Place, postfix: Postfix, made: Made) -> None:
    before = len(place.onward.messages)
    assert deliver(postfix.port, PARTNER, (TEAM, ALICE), sealed(made)).code == 250
    eventually(lambda: len(place.onward.messages) >= before + 2, postfix.log)
    messages = place.onward.messages[before:]
    (delivered,) = (one for one in messages if one.recipients == (ALICE,))
    (bounce,) = (one for one in messages if one.recipients == (PARTNER,))
    assert SEALED_TEXT.encode() in delivered.content
    assert bounce.reverse_path == ""
    assert f"Final-Recipient: rfc822; {TEAM}\r\n".encode() in bounce.content
    assert b"5.7.4" in bounce.content
    assert f"Final-Recipient: rfc822; {ALICE}\r\n".encode() not in bounce.content
