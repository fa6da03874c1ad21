"""Mail for a mail store by LMTP, Dovecot's: what is decrypted, who is refused, what a sender hears.

RFC 2033; invariants I1, I10; "Delivery, always".
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.dovecot import HOST, Store, dovecot
from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

FULL = "full@example.test"
NOBODY = "nobody@example.test"
TEXT = b"what nobody but alice may read"


@dataclass(frozen=True, slots=True)
class Place:
    """A service whose inbound mail goes to Dovecot, by TCP or by a UNIX socket."""

    proxy: Proxy
    store: Store
    sink: Sink

    def send(self, listener: str, recipients: tuple[str, ...], content: bytes) -> tuple[int, str]:
        answer = deliver(self.proxy.ports[listener], PARTNER, recipients, content)
        return answer.code, answer.text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Place]:
    with dovecot({ALICE: 0, FULL: 3000}) as store, running(Sink()) as sink:
        upstreams = {
            "tcp": f'url = "lmtp://{HOST}:{store.port}"\ntls = "never"',
            "socket": f'url = "lmtp://{store.socket}"',
            "outside": to_sink(sink.port),
        }
        mx = 'domains = ["example.test"]'
        listeners = {
            "tcp": Listener("inbound", "tcp", mx),
            "socket": Listener("inbound", "socket", mx),
            "out": Listener("outbound", "outside"),
        }
        folder = tmp_path_factory.mktemp("lmtp")
        with serving(folder / "proxy", made.state, Design(upstreams, listeners)) as proxy:
            yield Place(proxy, store, sink)
            assert "Traceback" not in proxy.log()


def letter(text: bytes) -> bytes:
    return f"From: {PARTNER}\r\nTo: {ALICE}\r\nSubject: Hello\r\n\r\n".encode() + text + b"\r\n"


@pytest.mark.parametrize("listener", ["tcp", "socket"])
def test_encrypted_mail_lies_in_the_maildir_decrypted(
    place: Place, made: Made, listener: str
) -> None:
    header = ("-from", PARTNER, "-to", ALICE, "-subject", "Secret")
    inner = b"Content-Type: text/plain\r\n\r\n" + TEXT + b"\r\n"
    line = ("cms", "-encrypt", "-aes256", *header, str(made.files / "alice.pem"))
    sealed = subprocess.run(
        [require("openssl"), *line], input=inner, capture_output=True, check=True
    ).stdout.replace(b"\n", b"\r\n")
    assert TEXT not in sealed
    assert place.send(listener, (ALICE,), sealed)[0] == 250
    arrived = place.store.mail(ALICE)[-1]
    assert TEXT in arrived
    assert b"\r\nSensitivity: Private\r\n" in arrived


def test_a_full_mailbox_beside_another_is_reported_once_and_then_told(place: Place) -> None:
    """Invariant I1: the other has the mail, and whoever sent it hears of the rest."""
    before = len(place.store.mail(ALICE))
    assert place.send("tcp", (ALICE, FULL), letter(b"y\r\n" * 2000))[0] == 250
    (report,) = place.sink.messages
    assert (report.reverse_path, report.recipients) == ("", (PARTNER,))
    assert f"Final-Recipient: rfc822; {FULL}\r\n".encode() in report.content
    assert b"Status: 5.2.2\r\n" in report.content
    assert f"rfc822; {ALICE}".encode() not in report.content
    # Outside senders get one report an hour; then the reply itself says it.
    code, text = place.send("socket", (ALICE, FULL), letter(b"y\r\n" * 2000))
    assert code == 554
    assert "1 of 2 recipients have the message" in text
    assert "552 5.2.2" in text
    assert len(place.store.mail(ALICE)) == before + 2
    assert place.store.mail(FULL) == []


def test_a_full_mailbox_alone_is_the_stores_own_refusal(place: Place) -> None:
    """Invariant I9."""
    code, text = place.send("tcp", (FULL,), letter(b"y\r\n" * 2000))
    assert (code, text.partition(" ")[0]) == (552, "5.2.2")


def test_nobody_by_that_name_is_said_at_rcpt(place: Place) -> None:
    code, text = place.send("socket", (NOBODY,), letter(b"x"))
    assert (code, text.partition(" ")[0]) == (550, "5.1.1")


def test_the_doctor_reaches_the_store(place: Place) -> None:
    found = place.proxy.command("doctor").stdout
    assert "socket" not in found
    assert "tcp" not in found


def test_settings_are_shown_with_the_url(place: Place) -> None:
    shown = place.proxy.done("check-config")
    assert f"lmtp://{place.store.socket}" in shown
