"""Modes of a running service: all mail of the collections leaves as it came, and is judged."""

import itertools
import re
import signal
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import header_of
from smime_proxy.smtp.intake import normalise
from tests.corpus import is_passed, mails
from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, TEAM, Made, sealed
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.sink import Fault, Say, Sink, Step, running

pytestmark = pytest.mark.e2e

CASES = Path(__file__).resolve().parents[1] / "cases"
OBSERVED = {"observe", ""}  # who is undecided has no mode
SAMPLE = 2  # one in so many mails of the collections; each goes out and in
DECIDED = ("deliveries", "refused", "undecided")  # one of them counts each mail to one recipient
ASKS = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\nSubject: [encrypt] x\r\n\r\nsecret\r\n".encode()
LABELS = re.compile(r'(\w+)="([^"]*)"')
FORGED = (
    b"X-SMIME-Badge: green\r\n"
    b"Authentication-Results: proxy.example.test; smime=pass\r\n"
    b"From: boss@example.test\r\n\r\nI am your boss.\r\n"
)


@dataclass(frozen=True)
class Service:
    """`out` and `in` observe, `soft` and `soft_in` are soft, `enforce` enforces."""

    proxy: Proxy
    sink: Sink

    def port(self, listener: str) -> int:
        return self.proxy.ports[listener]

    def counted(self) -> Counter[tuple[str, str, str]]:
        """Give name, first label's value and mode of all that has a mode, or is undecided."""
        found: Counter[tuple[str, str, str]] = Counter()
        for line in self.proxy.get("/metrics")[1].splitlines():
            name = line.removeprefix("smime_proxy_").partition("_total{")[0]
            labels = dict(LABELS.findall(line))
            if name in {*DECIDED, "verdicts", "softened"} and labels:
                first = next(value for key, value in labels.items() if key != "mode")
                found[name, labels.get("treatment", first), labels.get("mode", "")] += int(
                    float(line.rpartition(" ")[2])
                )
        return found

    def decided(self) -> int:
        """Count the decisions that were only observed."""
        found = self.counted().items()
        return sum(
            number for (name, _, mode), number in found if name in DECIDED and mode in OBSERVED
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Service]:
    with running(Sink()) as sink:
        mx = 'domains = ["example.test"]\nreports = "sink"\n'
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", mx),
            "soft": Listener("outbound", "sink", 'mode = "soft"'),
            "soft_in": Listener("inbound", "sink", f'{mx}mode = "soft"'),
            "enforce": Listener("outbound", "sink", 'mode = "enforce"'),
        }
        upstreams = {"sink": to_sink(sink.port)}
        design = Design(upstreams, listeners, service='mode = "observe"')
        folder = tmp_path_factory.mktemp("modes")
        with serving(folder / "proxy", made.state, design) as proxy:
            yield Service(proxy, sink)
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()


class Talk:
    """One client that sends mail after mail, each in one piece."""

    def __init__(self, port: int) -> None:
        self.client = Client(port)
        assert self.client.say("EHLO client.example.test").code == 250

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> int:
        """Send a mail; gives the code of the reply to its dot."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        self.client.send("".join(f"{line}\r\n" for line in commands).encode())
        answers = [self.client.answer() for _ in commands]
        assert [one.code for one in answers] == [*[250] * (len(commands) - 1), 354], answers
        return self.client.content(raw).code


def own(raw: bytes) -> bytes:
    """Give a mail as if alice had written it."""
    header = header_of(raw)
    rest = bytes(header.remove({"from", "sender"}))
    return bytes(HeaderBlock(rest).prepend("From", ALICE)) + raw[len(header) :]


def ended(raw: bytes) -> bytes:
    """Give a mail as it comes out of DATA, where its last line has an end."""
    return raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"


def passes(service: Service, talk: Talk, sender: str, to: Sequence[str], raw: bytes) -> bool:
    """Tell whether a mail arrives as it was sent, behind one Received field."""
    before = len(service.sink.messages)
    code = talk.send(sender, to, raw)
    assert (code, len(service.sink.messages)) == (250, before + 1), raw[:200]
    got = service.sink.messages.pop()
    return is_passed(ended(raw), got.content) and (got.reverse_path, got.recipients) == (
        sender,
        tuple(to),
    )


@pytest.mark.corpora
def test_in_mode_observe_mail_of_the_collections_leaves_as_it_came(service: Service) -> None:
    """Both ways, and as if our own people had written it; each is decided on and counted."""
    out, into = Talk(service.port("out")), Talk(service.port("in"))
    before, sent, changed = service.decided(), 0, []
    collections = itertools.chain(mails("mail"), mails("smime"), mails("calendar"))
    for mail in itertools.islice(collections, 0, None, SAMPLE):
        for talk, sender, to, raw in (
            (out, ALICE, PARTNER, own(mail.raw)),
            (into, OUTSIDE, ALICE, mail.raw),
        ):
            sent += 1
            if not passes(service, talk, sender, (to,), raw):
                changed.append((mail.name, to))
    assert changed == []
    counted = service.counted()
    assert service.decided() - before == sent > 900
    assert counted["deliveries", "sign+encrypt", "observe"] > 300
    assert sum(number for key, number in counted.items() if key[0] == "verdicts") > 10
    assert not [key for key in counted if key[0] == "undecided"]


def test_in_mode_observe_the_stories_are_only_told(service: Service) -> None:
    for path in sorted(CASES.glob("*/case.toml")):
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        raw = normalise((path.parent / "in.eml").read_bytes())
        listener = {"outbound": "out", "inbound": "in"}[told["listener"]]
        recipients = [one if listener == "out" else ALICE for one in told["recipients"]]
        talk = Talk(service.port(listener))
        assert passes(service, talk, told["sender"], recipients, raw), path
    found = {key for key in service.counted() if key[2] == "observe"}
    assert ("refused", "encrypt", "observe") in found
    assert ("deliveries", "relay", "observe") in found


def test_in_mode_observe_sealed_mail_and_forged_fields_arrive_as_they_came(
    service: Service, made: Made
) -> None:
    talk, before = Talk(service.port("in")), service.counted()
    assert passes(service, talk, PARTNER, (ALICE,), sealed(made))
    assert passes(service, talk, PARTNER, (ALICE, TEAM), sealed(made))
    assert passes(service, talk, PARTNER, (TEAM,), sealed(made))
    assert passes(service, talk, OUTSIDE, (ALICE,), FORGED)
    new = service.counted() - before
    assert new["deliveries", "decrypt", "observe"] == 2
    assert new["refused", "encrypted mail to a team account", "observe"] == 1
    first = service.proxy.log().splitlines()[0]
    assert "observe on out, in: mail is relayed unchanged" in first


def test_in_mode_observe_relays_sizes_loops_and_line_ends_are_guarded(service: Service) -> None:
    for listener, to, raw, code in (
        ("in", OUTSIDE, FORGED, (550, "5.7.1")),
        ("in", ALICE, b"A: b\r\n\r\nc\nd\r\n", (554, "5.5.2")),
        ("out", OUTSIDE, b"Received: x\r\n" * 51 + FORGED, (554, "5.4.6")),
    ):
        answer = deliver(service.port(listener), ALICE, (to,), raw)
        assert (answer.code, answer.status) == code


def test_each_listener_has_its_mode_and_says_so(service: Service) -> None:
    before = len(service.sink.messages)
    asked = {name: deliver(service.port(name), ALICE, (OUTSIDE,), ASKS) for name in ("out", "soft")}
    refused = deliver(service.port("enforce"), ALICE, (OUTSIDE,), ASKS)
    assert [asked["out"].code, asked["soft"].code, refused.code] == [250, 450, 550]
    assert (asked["soft"].status, refused.status) == ("4.7.5", "5.7.5")
    assert asked["soft"].text[5:] == refused.text[5:]
    assert len(service.sink.messages) == before + 1
    assert service.proxy.get("/readyz")[1].splitlines()[1:] == [
        "listener in: observe",
        "listener out: observe",
        "listener soft: soft",
        "listener soft_in: soft",
    ]
    metrics = service.proxy.get("/metrics")[1]
    assert 'smime_proxy_mode{listener="out",mode="observe"} 1.0' in metrics
    assert 'smime_proxy_mode{listener="enforce",mode="enforce"} 1.0' in metrics


def test_in_mode_soft_our_refusals_wait_and_the_upstreams_stay(service: Service) -> None:
    before = service.counted()
    with Client(service.port("soft_in")) as client:
        client.say("EHLO client.example.test")
        client.say(f"MAIL FROM:<{OUTSIDE}>")
        answer = client.say(f"RCPT TO:<{OUTSIDE}>")
        assert (answer.code, answer.status) == (450, "4.7.1")
        service.sink.faults.append(Fault(Step.RCPT, Say(b"550 5.1.1 no such user\r\n")))
        answer = client.say(f"RCPT TO:<{ALICE}>")
        service.sink.faults.clear()
        assert (answer.code, answer.status) == (550, "5.1.1")
    new = service.counted() - before
    assert new["softened", "relay_denied", ""] == 1
    log = service.proxy.log()
    assert 'reply="550 5.7.1 This server' in log


def test_in_mode_soft_nobody_is_told_by_a_report(service: Service, made: Made) -> None:
    before = len(service.sink.messages)
    answer = deliver(service.port("soft_in"), PARTNER, (ALICE, TEAM), sealed(made))
    assert (answer.code, answer.status) == (450, "4.7.4")
    assert TEAM in answer.text
    assert len(service.sink.messages) == before
    assert deliver(service.port("soft_in"), PARTNER, (ALICE,), sealed(made)).code == 250


def test_sighup_changes_modes(service: Service) -> None:
    proxy = service.proxy
    text = proxy.config.read_text()
    assert proxy.process is not None
    for mode, code in (("enforce", 550), ("soft", 450), ("observe", 250)):
        proxy.config.write_text(text.replace('mode = "observe"', f'mode = "{mode}"'))
        done = proxy.counter("reloads")
        proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda wanted=done + 1: proxy.counter("reloads") == wanted)  # type: ignore[misc]
        assert deliver(service.port("out"), ALICE, (OUTSIDE,), ASKS).code == code
    assert "not reloaded" not in proxy.log()
