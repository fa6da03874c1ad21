"""TLS on both sides: listeners with a certificate, upstreams that must prove who they are.

Rows A05, R32; RFC 3207, RFC 8314.
"""

import socket
import ssl

import pytest

from tests.e2e.client import Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, House
from tests.ports import HOST
from tests.sink import Fault, Say, Step
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

MAIL = f"From: {ALICE}\r\nTo: {OUTSIDE}\r\n\r\nHello\r\n".encode()
UNREACHABLE = (451, "4.4.1")


@pytest.fixture
def trusting(tls: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tls.ca)


def test_a_client_turns_to_tls_and_its_session_begins_anew(
    house: House, trusting: ssl.SSLContext
) -> None:
    with Client(house.port("starttls")) as client:
        assert "STARTTLS" in client.say("EHLO client.example.test").lines
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 250
        assert client.say("STARTTLS").code == 220
        client.secure(trusting)
        assert client.say(f"RCPT TO:<{OUTSIDE}>").code == 503
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 503
        assert "STARTTLS" not in client.say("EHLO client.example.test").lines
        assert client.transaction(ALICE, (OUTSIDE,), MAIL).code == 250
    assert b" with ESMTPS id " in house.sink.messages[-1].content


def test_a05_commands_injected_behind_starttls_are_never_obeyed(
    house: House, trusting: ssl.SSLContext
) -> None:
    with Client(house.port("starttls")) as client:
        client.say("EHLO client.example.test")
        client.send(b"STARTTLS\r\nEHLO mallory.example\r\nMAIL FROM:<mallory@example.test>\r\n")
        assert client.answer().code == 421
        assert client.is_over()


def test_a_listener_may_speak_tls_from_the_first_octet(
    house: House, trusting: ssl.SSLContext
) -> None:
    with Client(house.port("smtps"), trusting) as client:
        assert "STARTTLS" not in client.say("EHLO client.example.test").lines
        assert client.transaction(ALICE, (OUTSIDE,), MAIL).code == 250
    assert b" with ESMTPS id " in house.sink.messages[-1].content


def test_clear_text_on_a_tls_port_harms_nobody(house: House) -> None:
    with socket.create_connection((HOST, house.port("smtps"))) as odd:
        odd.sendall(b"EHLO client.example.test\r\n")
        assert not odd.recv(1000).startswith(b"2")
    assert house.proxy.get("/livez") == (200, "ok\n")


def test_an_upstream_proves_itself_before_it_gets_password_or_mail(house: House) -> None:
    before = house.secured.connections
    assert deliver(house.port("secure"), ALICE, (OUTSIDE,), MAIL).code == 250
    message = house.secured.messages[-1]
    assert (message.tls, message.login) == (True, "proxy")
    for number in range(before + 1, house.secured.connections + 1):
        in_clear = [
            entry.raw.partition(b" ")[0]
            for entry in house.secured.journal
            if entry.connection == number and entry.event == "command" and not entry.tls
        ]
        assert in_clear == [b"EHLO", b"STARTTLS"]


@pytest.mark.parametrize("listener", ["distrusted", "plain"])
def test_r32_an_upstream_without_tls_or_trust_gets_nothing(house: House, listener: str) -> None:
    sink = house.secured if listener == "distrusted" else house.sink
    messages, connections = len(sink.messages), sink.connections
    answer = deliver(house.port(listener), ALICE, (OUTSIDE,), MAIL)
    assert (answer.code, answer.status) == UNREACHABLE
    assert len(sink.messages) == messages
    assert sink.connections > connections
    for number in range(connections + 1, sink.connections + 1):
        verbs = {line.partition(b" ")[0] for line in sink.commands(number)}
        assert verbs <= {b"EHLO", b"STARTTLS", b"QUIT"}


@pytest.mark.parametrize(
    "reply",
    [
        b"454 4.7.0 Not now\r\n",
        b"502 5.5.1 No\r\n",
        # Replies said in clear, to be taken for those under TLS.
        b"220 2.0.0 Go\r\n250-sink.example\r\n250 AUTH PLAIN\r\n235 2.7.0 In\r\n",
    ],
)
def test_a05_r32_an_upstream_that_plays_with_tls_gets_nothing(house: House, reply: bytes) -> None:
    """The mail after it goes through."""
    messages = len(house.secured.messages)
    connected = house.secured.connections
    # An idle session would be used instead of a new one.
    house.secured.faults = [
        Fault(Step.STARTTLS, Say(reply, close=True)),
        Fault(Step.MAIL, Say(b"421 4.3.2 Bye\r\n", close=True)),
    ]
    answer = deliver(house.port("secure"), ALICE, (OUTSIDE,), MAIL)
    house.secured.faults = []
    assert (answer.code, answer.status) == UNREACHABLE
    assert len(house.secured.messages) == messages
    for number in range(connected + 1, house.secured.connections + 1):
        verbs = [line.partition(b" ")[0] for line in house.secured.commands(number)]
        assert b"AUTH" not in verbs
        assert b"MAIL" not in verbs
    assert deliver(house.port("secure"), ALICE, (OUTSIDE,), MAIL).code == 250
