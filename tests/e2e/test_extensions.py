"""Extensions from a client through to the next server: what is offered, handed on, and refused.

RFC 3461 (DSN), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 8689 (REQUIRETLS), E43; "EHLO" of the
reliability rules, invariants I9 and I13.
"""

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.client import Answer, Client
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.sink import EXTENSIONS, Sink, running
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

TEXT = f"From: {ALICE}\r\nTo: {PARTNER}\r\nSubject: x\r\n\r\nHello\r\n".encode()


@dataclass(frozen=True, slots=True)
class Ways:
    """A service with ways out: `rich` offers everything, `poor` only what mail must have.

    `secured` has verified TLS and REQUIRETLS; its listener offers STARTTLS.
    """

    proxy: Proxy
    rich: Sink
    poor: Sink
    secured: Sink

    def client(self, listener: str) -> tuple[Client, tuple[str, ...]]:
        """Connect; gives the client and what it was offered."""
        client = Client(self.proxy.ports[listener])
        return client, client.say("EHLO client.example.test").lines


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles) -> Iterator[Ways]:
    rich = Sink(extensions=(*EXTENSIONS, "REQUIRETLS"))
    poor = Sink(extensions=("SIZE 200000",))
    secured = Sink(extensions=(*EXTENSIONS, "REQUIRETLS"), tls=tls.server())
    with running(rich), running(poor), running(secured):
        upstreams = {
            "rich": to_sink(rich.port),
            "poor": to_sink(poor.port),
            "secured": f'url = "smtp://localhost:{secured.port}"\ntls_ca_file = "{tls.ca}"',
        }
        pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"'
        mx = 'domains = ["example.test"]'
        listeners = {
            "rich": Listener("outbound", "rich"),
            "rich_in": Listener("inbound", "rich", f'{mx}\nreports = "rich"'),
            "poor": Listener("outbound", "poor"),
            "poor_in": Listener("inbound", "poor", mx),
            "secured": Listener("outbound", "secured", pair),
            "unsecured": Listener("outbound", "rich", pair),
        }
        folder = tmp_path_factory.mktemp("extensions")
        with serving(folder / "proxy", made.state, Design(upstreams, listeners)) as proxy:
            yield Ways(proxy, rich, poor, secured)
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


GREEN = "From: {}\r\nTo: {}\r\nSubject: x\r\n\r\ngrün\r\n"


def test_8_bit_text_that_we_sign_leaves_encoded_and_that_of_others_is_refused(ways: Ways) -> None:
    """RFC 6152: to a server that does not take it."""
    client, _ = ways.client("poor")
    with client:
        assert client.say(f"MAIL FROM:<{ALICE}> BODY=8BITMIME").code == 555
        before = len(ways.poor.messages)
        answer = client.transaction(ALICE, (OUTSIDE,), GREEN.format(ALICE, OUTSIDE).encode())
        assert answer.code == 250
        answer = client.transaction(ALICE, (OUTSIDE,), GREEN.format(OUTSIDE, OUTSIDE).encode())
        assert (answer.code, answer.status) == (554, "5.6.3")
    (message,) = ways.poor.messages[before:]
    assert message.content.isascii()
    assert b"multipart/signed" in message.content
    assert base64.b64encode("grün\r\n".encode()) in message.content


def test_8_bit_text_from_outside_is_refused_rather_than_bent(ways: Ways) -> None:
    client, _ = ways.client("poor_in")
    with client:
        answer = client.transaction(OUTSIDE, (ALICE,), GREEN.format(OUTSIDE, ALICE).encode())
    assert (answer.code, answer.status) == (554, "5.6.3")


def test_the_size_offered_leaves_room_for_what_protection_adds(ways: Ways) -> None:
    """E43: a message of the size offered fits when encrypted; one that does not is refused."""
    client, offered = ways.client("poor")
    (size,) = (int(line.split()[1]) for line in offered if line.startswith("SIZE "))
    assert size == int((200_000 - 64 * 1024) / 1.4)
    line = b"x" * 62 + b"\r\n"
    with client:
        text = TEXT + line * ((size - len(TEXT)) // len(line))
        assert client.transaction(ALICE, (PARTNER,), text).code == 250
        assert client.say(f"MAIL FROM:<{ALICE}> SIZE={size + 1}").status == "5.3.4"
    assert len(ways.poor.messages[-1].content) <= 200_000


def test_addresses_beyond_ascii_go_with_each_group(ways: Ways) -> None:
    """RFC 6531: SMTPUTF8 on every transaction; a server without it gets nothing."""
    foreign = "grün@example.org"
    before = len(ways.rich.messages)
    client, _ = ways.client("rich")
    with client:
        all_accepted(
            client,
            f"MAIL FROM:<{ALICE}> SMTPUTF8",
            f"RCPT TO:<{PARTNER}>",
            f"RCPT TO:<{foreign}>",
        )
        assert sent(client, TEXT).code == 250
    messages = ways.rich.messages[before:]
    assert len(messages) == 2
    assert all("SMTPUTF8" in message.parameters for message in messages)
    assert {recipient for message in messages for recipient in message.recipients} == {
        PARTNER,
        foreign,
    }
    client, _ = ways.client("poor")
    with client:
        assert client.say(f"MAIL FROM:<{ALICE}> SMTPUTF8").code == 555


def secured(ways: Ways, listener: str, tls: TlsFiles) -> tuple[Client, tuple[str, ...]]:
    client, _ = ways.client(listener)
    assert client.say("STARTTLS").code == 220
    client.secure(ssl.create_default_context(cafile=tls.ca))
    return client, client.say("EHLO client.example.test").lines


def test_tls_all_the_way_is_offered_and_asked_for_where_it_is_sure(
    ways: Ways, tls: TlsFiles
) -> None:
    """RFC 8689: under TLS and when the next server's is verified; on every transaction."""
    client, offered = ways.client("secured")
    with client:
        assert "REQUIRETLS" not in offered
        answer = client.say(f"MAIL FROM:<{ALICE}> REQUIRETLS")
        assert (answer.code, answer.status) == (530, "5.7.10")
    before = len(ways.secured.messages)
    client, offered = secured(ways, "secured", tls)
    with client:
        assert "REQUIRETLS" in offered
        all_accepted(
            client,
            f"MAIL FROM:<{ALICE}> REQUIRETLS",
            f"RCPT TO:<{PARTNER}>",
            f"RCPT TO:<{OUTSIDE}>",
        )
        assert sent(client, b"TLS-Required: No\r\n" + TEXT).code == 250
    messages = ways.secured.messages[before:]
    assert len(messages) == 2
    for message in messages:
        assert message.tls
        assert "REQUIRETLS" in message.parameters
        assert b"\r\nTLS-Required: No\r\n" in message.content


def test_tls_all_the_way_is_refused_where_it_is_not_sure(ways: Ways, tls: TlsFiles) -> None:
    """The next server says REQUIRETLS in clear text, where it is worth nothing."""
    client, offered = secured(ways, "unsecured", tls)
    with client:
        assert "REQUIRETLS" not in offered
        answer = client.say(f"MAIL FROM:<{ALICE}> REQUIRETLS")
        assert (answer.code, answer.status) == (550, "5.7.30")
