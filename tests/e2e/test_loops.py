"""Mail that goes round through a running service: cut at once, once, and nothing else is.

Rows R29, A07, E89; RFC 5321 6.3.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from smime_proxy.gateway.loops import MAX_PASSES
from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, House, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, to_sink
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

LOOP = (554, "5.4.6")
MAX_SESSIONS = 20  # of both mails, and of what is asked at EHLO; one address may have fifty
DOMAINS = 'domains = ["example.test"]\nreports = "to_in"'
BOB = "bob@example.test"
MARK = re.compile(rb"( id [0-9a-f]{12}-)([0-9a-f]{20})")


def mail(number: int, sender: str = ALICE, recipient: str = OUTSIDE) -> bytes:
    return (
        f"From: {sender}\r\nTo: {recipient}\r\nMessage-ID: <{number}@loops.example>\r\n\r\nx\r\n"
    ).encode()


def started(folder: Path, made: Made, listeners: dict[str, tuple[str, str]]) -> Proxy:
    """Run a service whose listeners have each other as upstreams: name to role and upstream."""
    found = {
        name: Listener(role, f"to_{target}", DOMAINS if role == "inbound" else "")
        for name, (role, target) in listeners.items()
    }
    proxy = Proxy(folder, Design({}, found, workers=2))
    upstreams = {f"to_{name}": to_sink(proxy.ports[name]) for name in listeners}
    design = Design(upstreams, found, workers=2)
    proxy.config.write_text(design.toml(proxy.state, proxy.ports))
    shutil.copytree(made.state, proxy.state)
    proxy.start()
    return proxy


@pytest.mark.parametrize(
    "listeners",
    [
        {"out": ("outbound", "out"), "in": ("inbound", "in")},
        {"out": ("outbound", "in"), "in": ("inbound", "out")},
        {
            "out": ("outbound", "in"),
            "in": ("inbound", "filter"),
            "filter": ("outbound", "out"),
        },
    ],
    ids=["itself", "two", "three"],
)
def test_r29_a_gateway_that_is_its_own_upstream_says_so_at_once(
    tmp_path: Path, made: Made, listeners: dict[str, tuple[str, str]]
) -> None:
    """554 once, no storm: a handful of sessions, long before one address has as many as may be."""
    proxy = started(tmp_path / "proxy", made, listeners)
    try:
        for listener in ("out", "in"):
            with Client(proxy.ports[listener]) as client:
                client.say("EHLO x")
                answer = client.say(f"MAIL FROM:<{ALICE}>")
                assert (answer.code, answer.status) == LOOP
                assert client.say("QUIT").code == 221
        eventually(lambda: proxy.counter("sessions") >= 2 * len(listeners))  # told once a second
        assert proxy.counter("sessions") <= MAX_SESSIONS
        assert proxy.stop() == 0
        assert "Traceback" not in proxy.log()
        assert proxy.log().count("\n") < 40  # nor is the log a storm
    finally:
        proxy.end()


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[tuple[Proxy, Sink]]:
    """Run a service where mail leaves by `out` through `filter` and `in` of the same service."""
    with running(Sink()) as sink:
        listeners = {
            "out": Listener("outbound", "to_filter"),
            "filter": Listener("outbound", "to_in"),
            "in": Listener("inbound", "sink", 'domains = ["example.test"]\nreports = "sink"'),
        }
        folder = tmp_path_factory.mktemp("way") / "proxy"
        proxy = Proxy(folder, Design({}, listeners))
        upstreams = {
            "to_filter": to_sink(proxy.ports["filter"]),
            "to_in": to_sink(proxy.ports["in"]),
            "sink": to_sink(sink.port),
        }
        proxy.config.write_text(Design(upstreams, listeners).toml(proxy.state, proxy.ports))
        shutil.copytree(made.state, proxy.state)
        try:
            proxy.start()
            yield proxy, sink
            assert proxy.stop() == 0
            assert "Traceback" not in proxy.log()
        finally:
            proxy.end()


def test_out_through_a_filter_and_in_again_is_no_loop(way: tuple[Proxy, Sink]) -> None:
    """Mail to a colleague, by three listeners of the same service; and forwarded to him again."""
    proxy, sink = way
    raw = mail(1, ALICE, BOB)
    for _ in range(2):
        answer = deliver(proxy.ports["out"], ALICE, (BOB,), raw)
        assert answer.code == 250, answer
        raw = sink.messages[-1].content  # an alias on another server sends it back
        assert sink.messages[-1].recipients == (BOB,)
    assert raw.count(b"\r\n\tby proxy.example.test with ") == 6


def again(house: House, listener: str, raw: bytes) -> Answer:
    """Hand mail in, as a server does that was told to send everything here."""
    return deliver(house.port(listener), OUTSIDE, (ALICE,), raw)


@pytest.mark.parametrize("listener", ["in", "out"])
def test_r29_mail_that_comes_back_by_other_servers_is_cut_and_the_sink_has_few(
    house: House, listener: str
) -> None:
    before = len(house.sink.messages)
    raw, codes = mail(2, OUTSIDE, ALICE), []
    for number in range(10):
        answer = again(house, listener, raw)
        codes.append(answer.code)
        if answer.code != 250:
            assert (answer.code, answer.status) == LOOP
            break
        # Servers on the way add fields of their own and may fold ours anew.
        raw = b"Received: by other.example; x\r\n" + house.sink.messages[-1].content
        if number % 2:
            raw = raw.replace(b"\r\n\tby", b" by")
    assert codes == [250] * (MAX_PASSES + 1) + [554]
    assert len(house.sink.messages) == before + MAX_PASSES + 1


def passages(house: House, listener: str, raw: bytes, count: int) -> bytes:
    for _ in range(count):
        assert again(house, listener, raw).code == 250
        raw = house.sink.messages[-1].content
    return raw


def test_a07_forged_marks_mean_nothing(house: House) -> None:
    full = passages(house, "in", mail(3, OUTSIDE, ALICE), MAX_PASSES + 1)
    assert (again(house, "in", full).code, len(MARK.findall(full))) == (554, MAX_PASSES + 1)
    forged = [
        MARK.sub(lambda found: found[1] + b"0" * 20, full),
        MARK.sub(lambda found: found[1] + found[2][::-1], full),
        full.replace(b"<3@loops.example>", b"<4@loops.example>"),  # marks of another mail
        full.replace(b"Received:", b"X-Received:"),
        b"X-SMIME-Loop: 9\r\n" + mail(5, OUTSIDE, ALICE),
    ]
    first = full[: full.index(b"\r\nReceived:") + 2]
    forged.append(first * 20 + mail(3, OUTSIDE, ALICE))  # one passage, often
    for raw in forged:
        assert again(house, "in", raw).code == 250


def test_passages_by_one_listener_are_not_those_by_another(house: House) -> None:
    raw = mail(6, OUTSIDE, ALICE)
    for _ in range(MAX_PASSES + 1):
        raw = passages(house, "in", raw, 1)
        raw = passages(house, "starttls", raw, 1)
    assert again(house, "out", raw).code == 250
    assert again(house, "in", raw).code == 554
