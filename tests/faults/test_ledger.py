"""Nobody gets a message twice because others did not get it at once, nor because a client gave up.

Rows R15, R16, R18, R22, R27, R28 and invariants I4, I11, I20, with one worker and with two.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, is_alive, to_sink
from tests.sink import Action, Fault, Hang, Say, Sink, Step, Wait, running

pytestmark = pytest.mark.e2e

BOTH = (OUTSIDE, PARTNER)  # signed, and signed and encrypted: two copies
NOT_NOW, NOT_KEPT = (451, "4.4.2"), (451, "4.3.0")
PATIENCE = 3  # seconds the clients of one listener wait
LATE = 5.0  # seconds an upstream takes that answers too late for them
SPACE = 8  # MB of the disk that gets full


@dataclass
class Scene:
    """A service in front of a sink that fails as told."""

    proxy: Proxy
    sink: Sink

    def offer(
        self,
        raw: bytes,
        recipients: tuple[str, ...] = BOTH,
        sender: str = ALICE,
        listener: str = "out",
    ) -> Answer:
        return deliver(self.proxy.ports[listener], sender, recipients, raw)

    def copies(self) -> Counter[str]:
        """Count what each recipient has."""
        return Counter(one for message in self.sink.messages for one in message.recipients)

    def accepted(self, number: int) -> bool:
        return len(self.sink.messages) == number

    def fail(self, step: Step, action: Action, **more: int) -> None:
        self.sink.faults = [Fault(step, action, **more)]  # type: ignore[arg-type]


def design(sink: Sink, workers: int) -> Design:
    listeners = {
        "out": Listener("outbound", "sink"),
        "hasty": Listener("outbound", "sink", f"patience = {PATIENCE}"),
        "lmtp": Listener("outbound", "sink", f'protocol = "lmtp"\npatience = {PATIENCE}'),
    }
    return Design({"sink": to_sink(sink.port)}, listeners, workers)


@contextlib.contextmanager
def played(folder: Path, made: Made, workers: int = 1) -> Iterator[Scene]:
    """Run a service on a copy of the state, in the folder if that is there already."""
    with running(Sink()) as sink:
        proxy = Proxy(folder, design(sink, workers))
        shutil.copytree(made.state, proxy.state, dirs_exist_ok=True)
        try:
            proxy.start()
            yield Scene(proxy, sink)
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()
        finally:
            proxy.end()


@pytest.fixture(params=[1, 2], ids=["one-worker", "two-workers"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, made: Made) -> Iterator[Scene]:
    with played(tmp_path / "proxy", made, request.param) as scene:
        yield scene


def mail(identifier: str = "1", recipients: tuple[str, ...] = BOTH) -> bytes:
    return (
        f"From: {ALICE}\r\nTo: {', '.join(recipients)}\r\n"
        f"Message-ID: <{identifier}@client.example>\r\n\r\nA line of text.\r\n"
    ).encode()


def seen(answer: Answer) -> tuple[int, str]:
    return answer.code, answer.status


def test_killed_between_two_dots_each_gets_it_once(scene: Scene) -> None:
    """I11: the first was written down before the second dot; the second was never taken."""
    scene.fail(Step.DOT, Hang(), connection=2)
    with Client(scene.proxy.ports["out"]) as client:
        begin(client)
        client.send(mail() + b".\r\n")
        eventually(lambda: bool(scene.sink.events("fault")), scene.proxy.log)
        children = scene.proxy.children()
        scene.proxy.kill()
        eventually(lambda: not any(map(is_alive, children)))
    assert scene.copies().total() == 1
    scene.sink.faults = []
    scene.proxy.start()
    assert scene.offer(mail()).code == 250
    assert scene.copies() == Counter(BOTH)
    eventually(lambda: scene.proxy.counter("dup_possible") == 1)  # the second, for all we know


def begin(
    client: Client, recipients: tuple[str, ...] = BOTH, hello: str = "EHLO", more: str = ""
) -> None:
    """Bring a client to where it sends its content; `more` are parameters of MAIL."""
    for line in (f"{hello} c.example.test", f"MAIL FROM:<{ALICE}>{more}"):
        assert client.say(line).code == 250
    for recipient in recipients:
        assert client.say(f"RCPT TO:<{recipient}>").code == 250
    assert client.say("DATA").code == 354


def test_of_two_workers_one_that_is_killed_between_two_dots_leaves_the_other_to_go_on(
    tmp_path: Path, made: Made
) -> None:
    with played(tmp_path / "proxy", made, workers=2) as scene:
        scene.fail(Step.DOT, Hang(), connection=2)
        with Client(scene.proxy.ports["out"]) as client:
            begin(client)
            client.send(mail() + b".\r\n")
            eventually(lambda: bool(scene.sink.events("fault")), scene.proxy.log)
            for worker in scene.proxy.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                eventually(lambda worker=worker: not is_alive(worker))  # type: ignore[misc]
        scene.sink.faults = []
        eventually(scene.proxy.is_up, scene.proxy.log)
        assert scene.offer(mail()).code == 250
        assert scene.copies() == Counter(BOTH)


@pytest.mark.parametrize("recipients", [BOTH[:1], BOTH], ids=["one-copy", "two-copies"])
def test_r22_an_answer_that_comes_too_late_is_remembered_for_the_retry(
    scene: Scene, recipients: tuple[str, ...]
) -> None:
    """R22, I11: until it comes, the retry waits."""
    raw = mail(recipients=recipients)
    scene.fail(Step.DOT, Wait(LATE))
    started = time.monotonic()
    answer = scene.offer(raw, recipients, listener="hasty")
    assert time.monotonic() - started < PATIENCE
    assert seen(answer) == NOT_NOW
    assert "may have been sent" in answer.text
    scene.sink.faults = []
    retry = scene.offer(raw, recipients, listener="hasty")
    assert seen(retry) == NOT_NOW
    assert "being sent" in retry.text
    eventually(lambda: "answered late" in scene.proxy.log(), scene.proxy.log)
    eventually(lambda: scene.offer(raw, recipients, listener="hasty").code == 250)
    assert scene.copies() == Counter(recipients)


def offer_each(
    scene: Scene, listener: str, raw: bytes, recipients: tuple[str, ...]
) -> list[Answer]:
    """Offer by LMTP, or by SMTP with PRDR; gives the reply for each recipient."""
    prdr = listener != "lmtp"
    with Client(scene.proxy.ports[listener]) as client:
        begin(client, recipients, "EHLO" if prdr else "LHLO", " PRDR" if prdr else "")
        client.send(raw + b".\r\n")
        many = prdr and len(recipients) > 1
        assert not many or client.answer().code == 353
        each = [client.answer() for _ in recipients]
        assert not many or client.answer().code == min(one.code for one in each)
        return each


@pytest.mark.parametrize("listener", ["lmtp", "hasty"])
def test_r22_only_those_without_an_answer_are_told_to_send_again(
    scene: Scene, listener: str
) -> None:
    """R22, I11: RFC 2033 4.2, PRDR; in time, and the late answer is remembered for them."""
    scene.fail(Step.DOT, Wait(LATE), connection=2)
    started = time.monotonic()
    answers = dict(zip(BOTH, offer_each(scene, listener, mail(), BOTH), strict=True))
    assert time.monotonic() - started < PATIENCE
    assert sorted(seen(one) for one in answers.values()) == [(250, "2.0.0"), NOT_NOW]
    (pending,) = (one for one in BOTH if answers[one].code == 451)
    assert "may have been sent" in answers[pending].text
    scene.sink.faults = []
    (retry,) = offer_each(scene, listener, mail(), (pending,))
    assert (seen(retry), "being sent" in retry.text) == (NOT_NOW, True)

    def is_over() -> bool:
        return offer_each(scene, listener, mail(), (pending,))[0].code == 250

    eventually(is_over, scene.proxy.log)
    assert scene.copies() == Counter(BOTH)


def test_r22_an_upstream_that_never_answers_is_not_used_again(scene: Scene) -> None:
    """R22: nor does it hold the client."""
    scene.fail(Step.DOT, Hang(), connection=1)
    started = time.monotonic()
    raw = mail(recipients=BOTH[:1])
    assert seen(scene.offer(raw, BOTH[:1], listener="hasty")) == NOT_NOW
    assert time.monotonic() - started < PATIENCE
    other = mail("2", BOTH[:1])
    assert scene.offer(other, BOTH[:1], listener="hasty").code == 250
    assert scene.sink.messages[0].connection > 1


def test_r18_a_client_that_left_and_comes_again_waits_and_gets_it_once(scene: Scene) -> None:
    """R18: whichever worker it comes to."""
    scene.fail(Step.DOT, Wait(2.0), connection=2)
    with Client(scene.proxy.ports["out"]) as client:
        begin(client)
        client.send(mail() + b".\r\n")
        eventually(lambda: bool(scene.sink.events("fault")), scene.proxy.log)
    for _ in range(4):
        answer = scene.offer(mail())
        assert seen(answer) == NOT_NOW
        assert "being sent" in answer.text
    eventually(lambda: scene.offer(mail()).code == 250)
    assert scene.copies() == Counter(BOTH)


def test_r27_the_same_mail_sent_on_purpose_is_delivered_each_time(scene: Scene) -> None:
    """R27: another Message-ID, and the very same octets after a 250."""
    for number, raw in enumerate((mail(), mail("2"), mail(), mail()), 1):
        assert scene.offer(raw).code == 250
        assert scene.copies() == Counter(BOTH * number)


def test_r28_mail_without_a_sender_makes_no_report(scene: Scene) -> None:
    """R28, I12."""
    scene.fail(Step.DOT, Say(b"550 5.1.1 Never\r\n"), connection=2)
    answer = scene.offer(mail(), sender="")
    assert answer.code == 554
    assert "1 of 2" in answer.text
    assert len(scene.sink.messages) == 1
    assert b"multipart/report" not in scene.sink.messages[0].content


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[bool]:
    """Make the folder a small disk; tells whether that was possible, for it takes root."""
    path.mkdir(parents=True)
    line = ["mount", "-t", "tmpfs", "-o", f"size={SPACE}m", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(line, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)


def fill(folder: Path) -> Path:
    """Take all space there is, to the last octet."""
    path = folder / "ballast"
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return path


def test_r15_without_space_for_the_ledger_only_mail_in_several_copies_waits(
    tmp_path: Path, made: Made
) -> None:
    """R15, I20: and goes on when there is space again."""
    with small_disk(tmp_path / "proxy" / "state") as mounted:
        if not mounted:
            pytest.skip("a disk that gets full takes root")
        with played(tmp_path / "proxy", made) as scene:
            assert scene.offer(mail()).code == 250
            before = scene.copies()
            ballast = fill(scene.proxy.state)
            for number in range(3):
                assert seen(scene.offer(mail(f"full{number}"))) == NOT_KEPT
            assert scene.copies() == before
            assert scene.offer(mail("one", BOTH[:1]), BOTH[:1]).code == 250
            assert scene.copies() - before == Counter(BOTH[:1])
            eventually(lambda: scene.proxy.counter("ledger_failures") >= 3)
            ballast.unlink()
            assert scene.offer(mail("full0")).code == 250
            assert scene.copies() - before == Counter((*BOTH[:1], *BOTH))


def test_r16_a_ledger_that_fails_after_an_acceptance_changes_no_reply(
    tmp_path: Path, made: Made
) -> None:
    """R16, I20: and nobody is asked to send again."""
    with small_disk(tmp_path / "proxy" / "state") as mounted:
        if not mounted:
            pytest.skip("a disk that gets full takes root")
        with played(tmp_path / "proxy", made) as scene:
            scene.fail(Step.DOT, Wait(1.0), connection=1)
            with Client(scene.proxy.ports["out"]) as client:
                begin(client)
                client.send(mail() + b".\r\n")
                eventually(lambda: bool(scene.sink.events("fault")), scene.proxy.log)
                fill(scene.proxy.state)
                assert client.answer().code == 250
            assert scene.copies() == Counter(BOTH)
            eventually(lambda: scene.proxy.counter("ledger_failures") >= 1)
