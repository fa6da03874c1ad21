"""Every step of the upstream's dialogue with every fault, for one copy and for two, out and in.

Rows R01, R02, R03, R05, R07, R20 and invariants I1 to I4, I9 to I11, I15. Faults that only time
ends (black hole, trickle) belong to the unit tests, where the time is an argument.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, House
from tests.e2e.proxy import eventually
from tests.sink import Action, Close, Endless, Fault, Reset, Say, Sink, Step, Wait, running

pytestmark = pytest.mark.e2e

BIG = 1_000_000  # octets of content that do not reach the upstream in one piece
SPARE_DESCRIPTORS = 8  # idle sessions the service may keep when all is over
PAUSE = 0.5  # seconds an upstream takes its time

FAULTS: dict[str, Action] = {
    "4yz": Say(b"450 4.2.1 Not now\r\n"),
    "5yz": Say(b"550 5.1.1 Never\r\n"),
    "421": Say(b"421 4.3.2 Closing\r\n", close=True),
    "fin": Close(),
    "rst": Reset(),
    "garbage": Say(b"\x00\xff what\r\n"),
    "endless": Endless(b"250-and then\r\n"),
    "half": Say(b"25", close=True),
    "surplus": Say(b"250 2.0.0 Yes\r\n250 2.0.0 And yes again\r\n"),
    "2yz": Say(b"250 2.0.0 Without having done it\r\n"),
    "3yz": Say(b"354 Go on\r\n"),
}
HANDSHAKE = (Step.BANNER, Step.EHLO)
STEPS = (*HANDSHAKE, Step.MAIL, Step.RCPT, Step.DATA, Step.BODY, Step.DOT, Step.RSET)
# Nobody can tell these from a true answer: "yes" where yes is what is asked for.
LIES = {
    *itertools.product(STEPS[1:4], ["2yz"]),
    (Step.DATA, "3yz"),
    *itertools.product((Step.BODY, Step.DOT), ["2yz", "surplus"]),
    (Step.RSET, "2yz"),
}
FAITHFUL = {"4yz": (450, "4.2.1"), "5yz": (550, "5.1.1"), "421": (451, "4.3.2")}
DONE, UNREACHABLE, LOST = (250, "2.0.0"), (451, "4.4.1"), (451, "4.4.2")


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
CASES = [
    (step, fault, way)
    for step, fault, way in itertools.product(STEPS, FAULTS, (OUT, OUT_TWICE, IN))
    if (step, fault) not in LIES and not (step is Step.RSET and way is not OUT_TWICE)
]


def expected(step: Step, fault: str) -> set[tuple[int, str]]:
    """Give code and status the client may see (I9)."""
    if step is Step.RSET:
        # Whether a second reply came before or behind the next command is a matter of time.
        return {DONE, LOST} if fault == "surplus" else {DONE}
    if step is Step.EHLO and fault == "5yz":
        return {DONE}  # it is greeted with HELO then, RFC 5321 3.2
    if step in HANDSHAKE:
        return {UNREACHABLE}
    if step is Step.BODY:
        # Whether the dot was on its way already is a matter of buffers.
        return {LOST, FAITHFUL.get(fault, LOST)}
    return {FAITHFUL.get(fault, LOST)}


def action(step: Step, fault: str) -> Action:
    """Give what the upstream does; one that speaks within the content takes no message then."""
    chosen = FAULTS[fault]
    return replace(chosen, close=True) if step is Step.BODY and isinstance(chosen, Say) else chosen


@dataclass
class Scene:
    """A service whose upstream fails as told, message by message."""

    house: House
    sink: Sink
    written: int = 0

    def mail(self, way: Way, size: int = 0) -> bytes:
        """Write a message with a Message-ID of its own."""
        self.written += 1
        head = (
            f"From: {way.sender}\r\nTo: {', '.join(way.recipients)}\r\n"
            f"Message-ID: <{self.written}@client.example>\r\n\r\n"
        )
        return head.encode() + b"A line of text.\r\n" * (1 + size // 17)

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


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_open(house: House) -> Iterator[None]:
    """Row I15: all faults together leave no descriptor behind."""
    before = house.proxy.open_files()
    yield
    eventually(lambda: house.proxy.open_files() <= before + SPARE_DESCRIPTORS)


@pytest.fixture
def scene(house: House, faulty_port: int) -> Iterator[Scene]:
    with running(Sink(port=faulty_port)) as sink:
        yield Scene(house, sink)


@pytest.mark.parametrize(
    ("step", "fault", "way"),
    CASES,
    ids=[f"{step.name.lower()}-{fault}-{way}" for step, fault, way in CASES],
)
def test_a_fault_loses_nothing_doubles_nothing_and_is_forgotten(
    scene: Scene, step: Step, fault: str, way: Way
) -> None:
    raw = scene.mail(way, size=BIG if step is Step.BODY else 0)
    scene.sink.faults = [Fault(step, action(step, fault))]
    answer = scene.offer(way, raw)
    everybody = Counter(way.recipients)
    assert (answer.code, answer.status) in expected(step, fault)
    # I1, I4, I10: all of it or nothing.
    assert scene.copies(raw) == (everybody if answer.code == 250 else Counter())
    # I11: the same message goes through once the upstream is well, and so does the next one.
    scene.sink.faults = []
    if answer.code != 250:
        assert scene.offer(way, raw).code == 250
        assert scene.copies(raw) == everybody
    following = scene.mail(OUT_TWICE)
    assert scene.offer(OUT_TWICE, following).code == 250
    assert scene.copies(following) == Counter(OUT_TWICE.recipients)
    assert len(scene.sink.messages) == len(way.recipients) + 2  # I3


def test_an_upstream_that_is_not_there_is_said_at_once(house: House, faulty_port: int) -> None:
    nobody = Scene(house, Sink())
    raw = nobody.mail(OUT)
    answer = nobody.offer(OUT, raw)
    assert (answer.code, answer.status) == UNREACHABLE
    with running(Sink(port=faulty_port)) as sink:
        scene = Scene(house, sink)
        assert scene.offer(OUT, raw).code == 250
        assert scene.copies(raw) == Counter(OUT.recipients)


@pytest.mark.parametrize("fault", ["fin", "rst", "garbage", "endless", "half", "3yz"])
@pytest.mark.parametrize("way", [OUT, IN], ids=str)
def test_a_lost_reply_to_the_dot_is_said_and_costs_one_duplicate(
    scene: Scene, fault: str, way: Way
) -> None:
    """Row R03, I4: the upstream took the message, and nobody could know."""
    scene.sink.faults = [Fault(Step.DOT, FAULTS[fault], keep=True)]
    raw = scene.mail(way)
    answer = scene.offer(way, raw)
    assert (answer.code, answer.status) == LOST
    assert "may have been sent" in answer.text
    scene.sink.faults = []
    assert scene.offer(way, raw).code == 250
    assert scene.copies(raw) == Counter(way.recipients * 2)


def test_the_first_dot_refused_for_good_means_nobody_got_it(scene: Scene) -> None:
    """Row R05."""
    scene.sink.faults = [Fault(Step.DOT, FAULTS["5yz"], connection=1)]
    answer = scene.offer(OUT_TWICE, scene.mail(OUT_TWICE))
    assert (answer.code, answer.status) == FAITHFUL["5yz"]
    assert len(scene.sink.messages) == 0
    assert len(scene.sink.events("content")) == 1  # the second never got its dot


@pytest.mark.parametrize("fault", ["4yz", "421", "fin", "rst", "garbage", "half"])
def test_a_second_dot_not_accepted_is_told_with_how_many_have_it(scene: Scene, fault: str) -> None:
    scene.sink.faults = [Fault(Step.DOT, FAULTS[fault], connection=2)]
    raw = scene.mail(OUT_TWICE)
    answer = scene.offer(OUT_TWICE, raw)
    assert (answer.code, answer.status) == LOST
    assert "1 of 2" in answer.text
    assert scene.copies(raw).total() == 1
    scene.sink.faults = []
    assert scene.offer(OUT_TWICE, raw).code == 250
    assert set(scene.copies(raw)) == set(OUT_TWICE.recipients)


def test_a_second_dot_refused_for_good_is_reported_before_the_client_hears_250(
    scene: Scene,
) -> None:
    """Row R07, I12."""
    scene.sink.faults = [Fault(Step.DOT, FAULTS["5yz"], nth=1, connection=2)]
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


def test_a_refused_recipient_is_refused_in_real_time_and_the_others_are_served(
    scene: Scene,
) -> None:
    """Row R01."""
    scene.sink.faults = [Fault(Step.RCPT, FAULTS["5yz"], containing=b"two@")]
    with Client(scene.house.port("faulty")) as client:
        client.say("EHLO client.example.test")
        client.say(f"MAIL FROM:<{ALICE}>")
        codes = [client.say(f"RCPT TO:<{name}@example.net>").code for name in ("one", "two", "six")]
        assert codes == [250, 550, 250]
        client.say("DATA")
        assert client.content(scene.mail(OUT)).code == 250
    (message,) = scene.sink.messages
    assert message.recipients == ("one@example.net", "six@example.net")


def test_a_client_that_leaves_before_the_dot_is_sent_on_sends_nothing(scene: Scene) -> None:
    """Row R20."""
    scene.sink.faults = [Fault(Step.DATA, Wait(PAUSE))]
    with Client(scene.house.port("faulty")) as client:
        for line in ("EHLO client.example.test", f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{OUTSIDE}>"):
            assert client.say(line).code == 250
        assert client.say("DATA").code == 354
        client.send(scene.mail(OUT) + b".\r\n")
    eventually(lambda: bool(scene.sink.events("lost")))
    assert len(scene.sink.messages) == 0
    assert "The client left" in scene.house.proxy.log()
