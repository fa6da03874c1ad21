"""Stories of one upstream that fails: what the client hears, who has the mail, what a retry does.

Each test is named after its row of the list of faults; the matrix beside has all steps and faults.
"""

import base64
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509

from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, House, Made
from tests.e2e.proxy import eventually
from tests.sink import Action, Close, Endless, Fault, Reset, Say, Sink, Step, Wait, running

pytestmark = pytest.mark.e2e

PAUSE = 0.5  # seconds an upstream takes its time

REFUSED_FOR_NOW = Say(b"450 4.2.1 Not now\r\n")
REFUSED_FOR_GOOD = Say(b"550 5.1.1 Never\r\n")
# What becomes of a reply that the client needs.
LOST_REPLIES: dict[str, Action] = {
    "fin": Close(),
    "rst": Reset(),
    "garbage": Say(b"\x00\xff what\r\n"),
    "endless": Endless(b"250-and then\r\n"),
    "half": Say(b"25", close=True),
    "3yz": Say(b"354 Go on\r\n"),
}
UNREACHABLE, LOST = (451, "4.4.1"), (451, "4.4.2")


@dataclass(frozen=True, slots=True)
class Way:
    """A listener with recipients whose mail is sent in one group or in two."""

    listener: str
    sender: str
    recipients: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.listener}-{len(self.recipients)}"


OUT = Way("faulty", ALICE, (OUTSIDE,))
OUT_TWICE = Way("faulty", ALICE, (OUTSIDE, PARTNER))  # signed, and signed and encrypted
IN = Way("faulty_in", OUTSIDE, (ALICE,))


@dataclass
class Scene:
    """A service whose upstream fails as told, message by message."""

    house: House
    sink: Sink
    written: int = 0

    def mail(self, way: Way) -> bytes:
        """Write a message with a Message-ID of its own."""
        self.written += 1
        head = (
            f"From: {way.sender}\r\nTo: {', '.join(way.recipients)}\r\n"
            f"Message-ID: <{self.written}@client.example>\r\n\r\n"
        )
        return head.encode() + b"A line of text.\r\n"

    def offer(self, way: Way, raw: bytes) -> Answer:
        return deliver(self.house.port(way.listener), way.sender, way.recipients, raw)

    def copies(self, raw: bytes) -> Counter[str]:
        """Count what each recipient has of a message."""
        identifier = b"Message-ID:" + raw.partition(b"Message-ID:")[2].partition(b"\r\n")[0]
        return Counter(
            recipient
            for message in self.sink.messages
            if identifier in message.content
            for recipient in message.recipients
        )


@pytest.fixture
def scene(house: House, faulty_port: int) -> Iterator[Scene]:
    with running(Sink(port=faulty_port)) as sink:
        yield Scene(house, sink)


def test_an_upstream_that_is_not_there_is_said_at_once(house: House, faulty_port: int) -> None:
    nobody = Scene(house, Sink())
    raw = nobody.mail(OUT)
    answer = nobody.offer(OUT, raw)
    assert (answer.code, answer.status) == UNREACHABLE
    with running(Sink(port=faulty_port)) as sink:
        scene = Scene(house, sink)
        assert scene.offer(OUT, raw).code == 250
        assert scene.copies(raw) == Counter(OUT.recipients)


@pytest.mark.parametrize("fault", LOST_REPLIES)
@pytest.mark.parametrize("way", [OUT, IN], ids=str)
def test_r03_a_lost_reply_to_the_dot_is_said_and_costs_one_duplicate(
    scene: Scene, fault: str, way: Way
) -> None:
    """I4: the upstream took the message, and nobody could know."""
    scene.sink.faults = [Fault(Step.DOT, LOST_REPLIES[fault], keep=True)]
    raw = scene.mail(way)
    answer = scene.offer(way, raw)
    assert (answer.code, answer.status) == LOST
    assert "may have been sent" in answer.text
    scene.sink.faults = []
    assert scene.offer(way, raw).code == 250
    assert scene.copies(raw) == Counter(way.recipients * 2)


def test_r02_a_dot_refused_for_now_is_said_and_a_retry_leaves_one_copy(scene: Scene) -> None:
    scene.sink.faults = [Fault(Step.DOT, Say(b"451 4.7.1 Greylisted\r\n"))]
    raw = scene.mail(OUT)
    answer = scene.offer(OUT, raw)
    assert (answer.code, answer.status) == (451, "4.7.1")
    assert len(scene.sink.messages) == 0
    scene.sink.faults = []
    assert scene.offer(OUT, raw).code == 250
    assert scene.copies(raw) == Counter(OUT.recipients)


def test_r05_the_first_dot_refused_for_good_means_nobody_got_it(scene: Scene) -> None:
    scene.sink.faults = [Fault(Step.DOT, REFUSED_FOR_GOOD, connection=1)]
    answer = scene.offer(OUT_TWICE, scene.mail(OUT_TWICE))
    assert (answer.code, answer.status) == (550, "5.1.1")
    assert len(scene.sink.messages) == 0
    assert len(scene.sink.events("content")) == 1  # the second never got its dot


@pytest.mark.parametrize("action", [REFUSED_FOR_NOW, *LOST_REPLIES.values()], ids=repr)
def test_a_second_dot_not_accepted_is_told_with_how_many_have_it(
    scene: Scene, action: Action
) -> None:
    scene.sink.faults = [Fault(Step.DOT, action, connection=2)]
    raw = scene.mail(OUT_TWICE)
    answer = scene.offer(OUT_TWICE, raw)
    assert (answer.code, answer.status) == LOST
    assert "1 of 2" in answer.text
    assert scene.copies(raw).total() == 1
    # I11: and the retry goes to the other only.
    scene.sink.faults = []
    assert scene.offer(OUT_TWICE, raw).code == 250
    assert scene.copies(raw) == Counter(OUT_TWICE.recipients)


def test_r07_a_second_dot_refused_for_good_is_reported_before_the_client_hears_250(
    scene: Scene,
) -> None:
    """I12."""
    scene.sink.faults = [Fault(Step.DOT, REFUSED_FOR_GOOD, nth=1, connection=2)]
    raw = scene.mail(OUT_TWICE)
    assert scene.offer(OUT_TWICE, raw).code == 250
    served, report = scene.sink.messages
    (missed,) = set(OUT_TWICE.recipients) - set(served.recipients)
    assert (report.reverse_path, report.recipients) == ("", (ALICE,))
    assert missed.encode() in report.content
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in report.content
    assert b"A line of text." not in report.content


def test_no_reply_comes_before_the_slowest_upstream_has_answered(scene: Scene) -> None:
    """Invariant I2."""
    scene.sink.faults = [Fault(Step.DOT, Wait(PAUSE), connection=2)]
    started = time.monotonic()
    assert scene.offer(OUT_TWICE, scene.mail(OUT_TWICE)).code == 250
    assert time.monotonic() - started >= PAUSE


def test_r01_a_refused_recipient_is_refused_in_real_time_and_the_others_are_served(
    scene: Scene,
) -> None:
    scene.sink.faults = [Fault(Step.RCPT, REFUSED_FOR_GOOD, containing=b"two@")]
    with Client(scene.house.port("faulty")) as client:
        client.say("EHLO client.example.test")
        client.say(f"MAIL FROM:<{ALICE}>")
        codes = [client.say(f"RCPT TO:<{name}@example.net>").code for name in ("one", "two", "six")]
        assert codes == [250, 550, 250]
        client.say("DATA")
        assert client.content(scene.mail(OUT)).code == 250
    (message,) = scene.sink.messages
    assert message.recipients == ("one@example.net", "six@example.net")


def test_r20_a_client_that_leaves_before_the_dot_is_sent_on_sends_nothing(scene: Scene) -> None:
    scene.sink.faults = [Fault(Step.DATA, Wait(PAUSE))]
    with Client(scene.house.port("faulty")) as client:
        for line in ("EHLO client.example.test", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>"):
            assert client.say(line).code == 250
        assert client.say("DATA").code == 354
        client.send(scene.mail(OUT) + b".\r\n")
    eventually(lambda: bool(scene.sink.events("lost")))
    assert len(scene.sink.messages) == 0
    assert "The client left" in scene.house.proxy.log()


def test_a17_a_blind_copy_is_alone_and_no_other_copy_knows_of_it(house: House, made: Made) -> None:
    """I6: by address, by field, by recipientInfo."""
    before = len(house.sink.messages)
    raw = (
        f"From: {ALICE}\r\nTo: {PARTNER}\r\nBcc: {FRIEND}\r\nX-SMIME-Encrypt: yes\r\n\r\nHello\r\n"
    )
    recipients = (PARTNER, FRIEND)
    assert deliver(house.port("out"), ALICE, recipients, raw.encode()).code == 250
    copies = {message.recipients: message.content for message in house.sink.messages[before:]}
    assert set(copies) == {(PARTNER,), (FRIEND,)}
    for name, other in (recipients, recipients[::-1]):
        content = copies[name,]
        header, _, body = content.partition(b"\r\n\r\n")
        assert b"\nbcc:" not in header.lower()
        assert FRIEND.encode() not in content.replace(f"for <{name}>".encode(), b"")
        octets = base64.b64decode(body)
        assert serial(made, name) in octets
        assert serial(made, other) not in octets


def serial(made: Made, address: str) -> bytes:
    """Give the serial number of somebody's certificate as a recipientInfo has it."""
    file = made.files / f"{address.partition('@')[0]}.pem"
    number = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
