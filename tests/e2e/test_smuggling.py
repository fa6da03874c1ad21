"""SMTP smuggling against a running service: the table of ends that are none, on four listeners.

Rows E09, I13, I14, A05; "Only <CRLF>.<CRLF> ends a message". A second message is pipelined behind
the first, so that a server which loses count says so at once.
"""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from tests.e2e.client import Client, Lost
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.ports import HOST
from tests.sink import Message, Sink, running
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

SMUGGLED = "smuggled@example.test"
SECOND = "second@example.net"
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# What pretends to be the end of a message, by what is wrong with it.
ENDS: Mapping[str, bytes] = {
    "LF . LF": b"\n.\n",
    "LF . CRLF": b"\n.\r\n",
    "LF . CR": b"\n.\r",
    "CR . CR": b"\r.\r",
    "CR . CRLF": b"\r.\r\n",
    "CR . LF": b"\r.\n",
    "CRLF . LF": b"\r\n.\n",
    "CRLF . CR": b"\r\n.\r",
    "CR CRLF . CR CRLF": b"\r\r\n.\r\r\n",
    "CRLF . CR CRLF": b"\r\n.\r\r\n",
    "CRLF . NUL CRLF": b"\r\n.\x00\r\n",
    "CRLF NUL . CRLF": b"\r\n\x00.\r\n",
    "CR NUL LF . CRLF": b"\r\x00\n.\r\n",
    "CRLF . CR NUL LF": b"\r\n.\r\x00\n",
    "CRLF . blank CRLF": b"\r\n. \r\n",
    "CRLF . . CRLF": b"\r\n..\r\n",
    "CRLF LF . CRLF": b"\r\n\n.\r\n",
}
REFUSE, NORMALISE = 'bare_line_ends = "refuse"', 'bare_line_ends = "normalise"'
DOMAINS = 'domains = ["example.test"]\nreports = "sink"\ntrusted_networks = []'
# A listener, and whether it refuses bare line ends.
LISTENERS: Mapping[str, tuple[Listener, bool]] = {
    "in": (Listener("inbound", "sink", DOMAINS), True),
    "in_normalise": (Listener("inbound", "sink", f"{DOMAINS}\n{NORMALISE}"), False),
    "out": (Listener("outbound", "sink"), False),
    "out_refuse": (Listener("outbound", "sink", REFUSE), True),
}


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, made: Made, sink: Sink, tls: TlsFiles
) -> Iterator[Proxy]:
    pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"'
    listeners = {
        name: replace(listener, more=f"{listener.more}\n{pair}")
        for name, (listener, _) in LISTENERS.items()
    }
    design = Design({"sink": to_sink(sink.port)}, listeners)
    with serving(tmp_path_factory.mktemp("smuggling") / "proxy", made.state, design) as proxy:
        yield proxy
        assert "Traceback" not in proxy.log()


def transaction(sender: str, content: bytes) -> bytes:
    """Write a whole transaction, its content behind DATA without waiting for the 354."""
    return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\n".encode() + content


def session(end: bytes) -> bytes:
    """Write what the client says: a message with a false end, one behind it, and QUIT."""
    head = f"From: {OUTSIDE}\r\nTo: {ALICE}\r\nSubject: first\r\n\r\nfirst".encode()
    smuggled = transaction(SMUGGLED, b"Subject: smuggled\r\n\r\nsmuggled\r\n")
    second = transaction(SECOND, b"Subject: second\r\n\r\nsecond\r\n.\r\n")
    return (
        b"EHLO smuggler.example\r\n"
        + transaction(OUTSIDE, head + end + smuggled + b".\r\n")
        + second
        + b"QUIT\r\n"
    )


def said(port: int, raw: bytes, size: int) -> list[int]:
    """Say all of it in pieces of so many octets; gives the codes of all replies."""
    with socket.create_connection((HOST, port), 60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), size):
            client.sendall(raw[start : start + size])
        heard = b""
        while octets := client.recv(65536):
            heard += octets
    return [int(line[:3]) for line in heard.split(b"\r\n") if line[3:4] == b" "]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("listener", LISTENERS)
def test_e09_i14_a_false_end_makes_no_second_message_and_no_second_reply(
    proxy: Proxy, sink: Sink, listener: str, end: str
) -> None:
    raw = session(ENDS[end])
    refused = LISTENERS[listener][1] and bool(BARE.search(raw))
    first = 554 if refused else 250
    for size in (len(raw), 1):
        before = len(sink.messages)
        codes = said(proxy.ports[listener], raw, size)
        assert codes == [220, 250, 250, 250, 354, first, 250, 250, 354, 250, 221]
        taken = sink.messages[before:]
        senders = [message.reverse_path for message in taken]
        assert senders == ([SECOND] if refused else [OUTSIDE, SECOND])
        assert all(message.recipients == (ALICE,) for message in taken)
        assert not any(map(is_dangerous, taken))
        if not refused:
            # All of it is in the one message, the smuggled commands as its text.
            assert f"MAIL FROM:<{SMUGGLED}>\r\n".encode() in taken[0].content
            assert taken[0].content.rstrip().endswith(b"smuggled")


def is_dangerous(message: Message) -> bool:
    """Tell whether another server might see an end within what was sent to the sink."""
    return bool(BARE.search(message.wire)) or b"\r\n.\r\n" in message.wire


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("command", [b"EHLO x", b"MAIL FROM:<x@example.test>", b"NOOP"])
def test_a05_nothing_behind_starttls_is_obeyed_whatever_ends_its_line(
    proxy: Proxy, sink: Sink, command: bytes, end: bytes
) -> None:
    before = len(sink.messages)
    with Client(proxy.ports["out"]) as client:
        assert client.say("EHLO client.example.test").code == 250
        client.send(b"STARTTLS" + end + command + end)
        answer = client.answer()
        assert (answer.code, answer.status) == (421, "4.7.0")
        with pytest.raises(Lost):
            client.answer()
    assert len(sink.messages) == before
