"""Extensions from a client through to the next server: what is offered, handed on, and refused.

RFC 3461 (DSN); "EHLO" of the reliability rules, invariants I9 and I13.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.client import Answer, Client
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.sink import EXTENSIONS, Sink, running

pytestmark = pytest.mark.e2e

TEXT = f"From: {ALICE}\r\nTo: {PARTNER}\r\nSubject: x\r\n\r\nHello\r\n".encode()


@dataclass(frozen=True, slots=True)
class Ways:
    """A service with two ways out: `rich` offers everything, `poor` only what mail must have."""

    proxy: Proxy
    rich: Sink
    poor: Sink

    def client(self, listener: str) -> tuple[Client, tuple[str, ...]]:
        """Connect; gives the client and what it was offered."""
        client = Client(self.proxy.ports[listener])
        return client, client.say("EHLO client.example.test").lines


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Ways]:
    with running(Sink()) as rich, running(Sink(extensions=("SIZE 200000",))) as poor:
        upstreams = {"rich": to_sink(rich.port), "poor": to_sink(poor.port)}
        mx = 'domains = ["example.test"]'
        listeners = {
            "rich": Listener("outbound", "rich"),
            "rich_in": Listener("inbound", "rich", f'{mx}\nreports = "rich"'),
            "poor": Listener("outbound", "poor"),
        }
        folder = tmp_path_factory.mktemp("extensions")
        with serving(folder / "proxy", made.state, Design(upstreams, listeners)) as proxy:
            yield Ways(proxy, rich, poor)
            assert "Traceback" not in proxy.log()


def all_accepted(client: Client, *lines: str) -> None:
    for line in lines:
        answer = client.say(line)
        assert answer.code == 250, answer


def sent(client: Client, content: bytes) -> Answer:
    assert client.say("DATA").code == 354
    return client.content(content)


def test_the_very_first_client_is_offered_what_the_next_server_has(ways: Ways) -> None:
    for listener, sink in (("rich", ways.rich), ("poor", ways.poor)):
        client, offered = ways.client(listener)
        with client:
            words = {line.partition(" ")[0] for line in offered}
        for extension in ("DSN", "8BITMIME", "SMTPUTF8"):
            assert (extension in words) is (extension in sink.extensions), (listener, extension)
        assert not words & {"CHUNKING", "BINARYMIME", "REQUIRETLS", "XCLIENT"}
    assert "DSN" in EXTENSIONS


def test_requests_for_notifications_go_with_each_group(ways: Ways) -> None:
    before = len(ways.rich.messages)
    client, _ = ways.client("rich")
    with client:
        all_accepted(
            client,
            f"MAIL FROM:<{ALICE}> RET=FULL ENVID=QQ+2B1",
            f"RCPT TO:<{PARTNER}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;p+2Bx@example.org",
            f"RCPT TO:<{OUTSIDE}> NOTIFY=NEVER",
        )
        assert sent(client, TEXT).code == 250
    clear, sealed = sorted(ways.rich.messages[before:], key=lambda one: b"enveloped" in one.content)
    for message in (clear, sealed):
        assert {"RET=FULL", "ENVID=QQ+2B1"} <= set(message.parameters)
    assert clear.recipient_parameters == (("NOTIFY=NEVER",),)
    assert sealed.recipient_parameters == (
        ("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;p+2Bx@example.org"),
    )


def test_of_inbound_mail_no_text_comes_back_whatever_the_client_says(ways: Ways) -> None:
    client, _ = ways.client("rich_in")
    with client:
        all_accepted(client, f"MAIL FROM:<{PARTNER}> RET=FULL ENVID=x", f"RCPT TO:<{ALICE}>")
        assert sent(client, TEXT).code == 250
    parameters = ways.rich.messages[-1].parameters
    assert "RET=HDRS" in parameters
    assert "ENVID=x" in parameters
    assert "RET=FULL" not in parameters
