"""Who the client is, from servers in front and for those behind, with Postfix and swaks; row A06.

HAProxy's "The PROXY protocol", Postfix XCLIENT_README and XFORWARD_README.
"""

import itertools
import os
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.e2e.client import Client, Lost
from tests.e2e.conftest import ALICE, OUTSIDE, TEAM, Made
from tests.e2e.peers_house import (
    ALIAS,
    BACKS,
    CLIENT,
    FRONTS,
    OTHER,
    STRANGER,
    PeersHouse,
    peers_house,
    send_from,
    swaks,
)
from tests.e2e.proxy import eventually
from tests.peers import require
from tests.ports import HOST
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

SIGNED = b"Content-Type: multipart/signed"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles
) -> Iterator[PeersHouse]:
    require("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    with peers_house(tmp_path_factory.mktemp("peers"), made, tls, OUTSIDE) as running:
        yield running


def fresh() -> str:
    return f"{next(_numbers)}@client.example"


def letter(identifier: str, sender: str = ALICE, to: str = OUTSIDE) -> bytes:
    head = f"Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nFrom: {sender}\r\nTo: {to}\r\nSubject: Hello"
    return f"{head}\r\nMessage-ID: <{identifier}>\r\n\r\nText\r\n".encode()


def header(client: str, port: int = 4711) -> bytes:
    return f"PROXY TCP4 {client} 192.0.2.1 {port} 25\r\n".encode()


class Proxied(Client):
    """A client behind a load balancer that says first whose connection it is."""

    def __init__(self, port: int, said: bytes, context: ssl.SSLContext | None = None) -> None:
        self._socket: socket.socket = socket.create_connection((HOST, port), 60)
        self._socket.sendall(said)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._buffer = b""
        self.greeting = self.answer()


# -- in front


@pytest.mark.parametrize("way", FRONTS)
def test_mail_of_our_own_people_is_signed_behind_postfix(house: PeersHouse, way: str) -> None:
    identifier = fresh()
    send_from(HOST, house.fronts[way], ALICE, OUTSIDE, letter(identifier))
    message = house.arrived(identifier)
    assert SIGNED in message.content
    eventually(lambda: f"orig_client={HOST}" in house.proxy.log(), house.explain)
    assert "orig_source=LOCAL" in house.proxy.log()


@pytest.mark.parametrize(
    ("way", "helo"),
    [
        *((way, helo) for way in FRONTS for helo in ("stranger.example", "x" * 250)),
        # The first is too long for a value, the second, in xtext, for a command. Of the ways only
        # these two go on after a refusal.
        *((way, helo) for way in ("smtp", "lmtp") for helo in ("x" * 1900, "+" * 900)),
    ],
)
def test_a_strangers_forged_mail_forwarded_by_an_alias_is_not_signed(
    house: PeersHouse, way: str, helo: str
) -> None:
    """It comes from Postfix like our own; its HELO must not keep XFORWARD from being heard."""
    identifier, port = fresh(), house.fronts[way]
    send_from(STRANGER, port, ALICE, ALIAS, letter(identifier, to=ALIAS), helo)
    message = house.arrived(identifier)
    assert message.recipients == (OUTSIDE,)
    assert SIGNED not in message.content
    assert message.content.endswith(b"\r\n\r\nText\r\n")
    assert house.proxy.counter("exemptions") > 0


def test_whom_postfix_is_told_to_know_is_signed_for(house: PeersHouse) -> None:
    """As docs/peers.md has it set: by default only its own machine is no stranger to Postfix."""
    identifier = fresh()
    send_from(STRANGER, house.fronts["office"], ALICE, OUTSIDE, letter(identifier))
    assert SIGNED in house.arrived(identifier).content


def test_a_strangers_endless_name_keeps_his_mail_out_before_the_queue(house: PeersHouse) -> None:
    """There Postfix sends nothing on without XFORWARD."""
    identifier = fresh()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send_from(STRANGER, house.fronts["before"], ALICE, ALIAS, letter(identifier), "x" * 1900)


def test_the_log_says_where_a_message_came_from_and_under_which_name(house: PeersHouse) -> None:
    identifier = fresh()
    send_from(
        STRANGER, house.fronts["smtp"], "x@y.example", ALIAS, letter(identifier, "x@y.example")
    )
    house.arrived(identifier)
    (line,) = (
        line
        for line in house.proxy.log().splitlines()
        if f"orig_client={STRANGER}" in line and "sender=x@y.example" in line
    )
    queue_id = re.search(r"orig_queue_id=(\w+)", line)
    assert queue_id is not None
    assert f"{queue_id[1]}: message-id=<{identifier}>" in house.postfix.log()
    assert f"client={HOST}" in line
    assert "orig_source=REMOTE" in line


def test_xforward_of_a_stranger_is_refused_and_has_no_effect(house: PeersHouse) -> None:
    identifier = fresh()
    with Client(house.proxy.ports["deaf"]) as client:
        lines = client.say("EHLO client.example").lines
        assert not [line for line in lines if line.startswith(("XFORWARD", "XCLIENT"))]
        for said in ("XFORWARD SOURCE=REMOTE ADDR=203.0.113.9", "XCLIENT ADDR=203.0.113.9"):
            answer = client.say(said)
            assert (answer.code, answer.status) == (550, "5.7.1")
        assert client.transaction(ALICE, (OUTSIDE,), letter(identifier)).code == 250
    message = house.arrived(identifier)
    assert SIGNED in message.content
    assert b"(" + f"[{HOST}]".encode() + b")\r\n\tby proxy.example.test" in message.content
    logged = [line for line in house.proxy.log().splitlines() if "listener=deaf" in line]
    assert logged
    assert not [line for line in logged if CLIENT in line]


def test_swaks_speaks_for_a_client_by_xclient(house: PeersHouse) -> None:
    """Without a login it is a stranger, with one it has that login's accounts and no others."""
    port = house.proxy.ports["xclient"]
    told = ("--xclient-addr", OTHER, "--xclient-name", "c.example", "--xclient-port", "4711")
    login = ("--xclient-login", ALICE)
    refused, granted, foreign = fresh(), fresh(), fresh()
    assert swaks(port, ALICE, OUTSIDE, letter(refused), *told) != 0
    assert swaks(port, ALICE, OUTSIDE, letter(granted), *told, *login) == 0
    assert swaks(port, TEAM, OUTSIDE, letter(foreign, TEAM), *told, *login) != 0
    message = house.arrived(granted)
    assert SIGNED in message.content
    assert f"Received: from client.example ([{OTHER}])\r\n".encode() in message.content
    assert b"with ESMTPA id" in message.content
    everything = b"".join(one.content for one in house.sink.messages)
    assert not [name for name in (refused, foreign) if name.encode() in everything]
    assert f"client={OTHER}" in house.proxy.log()


@pytest.mark.parametrize("version", ["1", "2"])
def test_swaks_says_whose_connection_it_is(house: PeersHouse, version: str) -> None:
    identifier = fresh()
    family = "TCP4" if version == "1" else "AF_INET"
    source = ("--proxy-family", family, "--proxy-source", CLIENT, "--proxy-source-port", "4711")
    more = ("--proxy-version", version, "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25")
    port = house.proxy.ports["to-none"]
    assert swaks(port, ALICE, OUTSIDE, letter(identifier), *source, *more) == 0
    message = house.arrived(identifier)
    assert f"Received: from client.example ([{CLIENT}])\r\n".encode() in message.content
    assert SIGNED in message.content


def test_a_clients_rights_are_those_of_its_own_address(house: PeersHouse) -> None:
    with Proxied(house.proxy.ports["to-none"], header("203.0.113.66")) as client:
        client.say("EHLO client.example")
        answer = client.say(f"MAIL FROM:<{ALICE}>")
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert client.say(f"XCLIENT ADDR={CLIENT}").code == 550


def test_the_header_precedes_tls(house: PeersHouse, tls: TlsFiles) -> None:
    identifier = fresh()
    trusting = ssl.create_default_context(cafile=tls.ca)
    with Proxied(house.proxy.ports["smtps"], header(CLIENT), trusting) as client:
        client.say("EHLO client.example")
        assert client.transaction(ALICE, (OUTSIDE,), letter(identifier)).code == 250
    received = house.arrived(identifier).content
    assert f"([{CLIENT}])\r\n\tby proxy.example.test with ESMTPS id".encode() in received


def test_a06_without_a_header_the_connection_is_closed_in_time(house: PeersHouse) -> None:
    begun = time.monotonic()
    with pytest.raises(Lost):
        Proxied(house.proxy.ports["mx"], b"")
    assert 3 < time.monotonic() - begun < 5
    eventually(lambda: "no header in time" in house.proxy.log(), house.proxy.log)


def test_a06_no_header_is_believed_from_elsewhere_and_nothing_else_is_one(
    house: PeersHouse,
) -> None:
    ports, before = house.proxy.ports, len(house.proxy.log())
    said = {"distant": header(CLIENT), "mx": b"EHLO client.example\r\nMAIL FROM:<>\r\n"}
    for name, octets in said.items():
        with pytest.raises(Lost):
            Proxied(ports[name], octets)
    eventually(lambda: house.proxy.log()[before:].count("proxy_protocol") == 2, house.proxy.log)
    log = house.proxy.log()[before:]
    assert CLIENT not in log
    assert log.count(f"peer={HOST}") == 2


def test_a_health_check_is_the_proxys_own_connection(house: PeersHouse) -> None:
    local = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
    with Proxied(house.proxy.ports["mx"], local) as client:
        assert client.greeting.code == 220
        assert client.say("QUIT").code == 221


# -- behind


def relayed(house: PeersHouse, way: str, client: str, sender: str = ALICE) -> tuple[int, str]:
    """Send for a client; gives the code of the reply and the Message-ID."""
    identifier = fresh()
    with Proxied(house.proxy.ports[f"to-{way}"], header(client)) as connection:
        connection.say("EHLO client.example")
        return connection.transaction(sender, (OUTSIDE,), letter(identifier)).code, identifier


@pytest.mark.parametrize("way", [way for way in BACKS if way != "none"])
def test_postfix_behind_knows_the_original_client(house: PeersHouse, way: str) -> None:
    code, identifier = relayed(house, way, CLIENT)
    assert code == 250
    message = house.arrived(identifier)
    said = house.xforwarded(message)
    assert f" ADDR={CLIENT} " in said  # of what Postfix knew it told the sink
    assert " PORT=4711 " in said
    assert " HELO=client.example " in said or way == "proxy"
    kept = "orig_client" if way == "xforward" else "client"
    assert re.search(rf"{kept}=[^ ]*\[{re.escape(CLIENT)}\]", house.postfix.log())


@pytest.mark.parametrize("way", ["xclient", "proxy"])
def test_postfix_behind_judges_the_original_client(house: PeersHouse, way: str) -> None:
    """It may relay by us, not by Postfix, whose networks it is in none of."""
    assert relayed(house, way, OTHER)[0] == 454
    assert "Relay access denied" in house.postfix.log()
    assert relayed(house, "xforward", OTHER)[0] == 250  # for the log only: we may relay


@pytest.mark.parametrize("way", [way for way in BACKS if way != "none"])
def test_nobodys_mail_goes_under_anothers_address(house: PeersHouse, way: str) -> None:
    with (
        Proxied(house.proxy.ports[f"to-{way}"], header(CLIENT, 1)) as one,
        Proxied(house.proxy.ports[f"to-{way}"], header(CLIENT, 2)) as two,
    ):
        identifiers = [fresh() for _ in range(6)]
        for connection in (one, two):
            connection.say("EHLO client.example")
        for number, identifier in enumerate(identifiers):
            connection = (one, two)[number % 2]
            assert connection.transaction(ALICE, (OUTSIDE,), letter(identifier)).code == 250
    for number, identifier in enumerate(identifiers):
        said = house.xforwarded(house.arrived(identifier))
        assert f" PORT={number % 2 + 1} " in said


@pytest.mark.parametrize("way", [way for way in BACKS if way != "none"])
def test_what_was_forwarded_goes_on_to_the_next(house: PeersHouse, way: str) -> None:
    """The client of the first hop is handed on, not the hop, and nothing of the two is mixed."""
    identifier = fresh()
    with Client(house.proxy.ports[f"on-{way}"]) as client:
        client.say("EHLO hop.example")
        said = f"XFORWARD ADDR={CLIENT} PORT=815 HELO=first.example IDENT=4Xyz SOURCE=LOCAL"
        assert client.say(said).code == 250
        assert client.transaction(ALICE, (OUTSIDE,), letter(identifier)).code == 250
        assert client.transaction(ALICE, (OUTSIDE,), letter(second := fresh())).code == 250
    message = house.arrived(identifier)
    assert SIGNED in message.content
    told = house.xforwarded(message)
    assert f" ADDR={CLIENT} PORT=815 " in told
    assert " NAME=hop.example" not in told
    if way == "xforward":
        assert "orig_queue_id=4Xyz, orig_client=unknown[203.0.113.9]" in house.postfix.log()
    if way != "proxy":
        assert " HELO=first.example " in told
    assert f" ADDR={HOST} " in house.xforwarded(house.arrived(second))  # it held for one message


def test_a_login_goes_on_by_xclient(house: PeersHouse) -> None:
    identifier = fresh()
    with Client(house.proxy.ports["on-xclient"]) as client:
        assert client.say(f"XCLIENT ADDR={CLIENT} LOGIN={ALICE}").code == 220
        client.say("EHLO client.example")
        assert client.transaction(ALICE, (OUTSIDE,), letter(identifier)).code == 250
    assert SIGNED in house.arrived(identifier).content
    log = house.postfix.log()
    assert f"client=unknown[{CLIENT}], sasl_method=XCLIENT, sasl_username={ALICE}" in log


def test_doctor_speaks_for_nobody(house: PeersHouse) -> None:
    """Its probes of an upstream that wants a PROXY header are its own connections."""
    found = house.proxy.command("doctor").stdout
    assert "upstreams." not in found.replace("upstreams.none", ""), found
