"""A layout of deploy/postfix running: what tests send into it, and what comes out.

RFC 5321, 3464.
"""

import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.deploy.postfix.layout import Layout
from tests.dovecot import Store
from tests.e2e.client import Answer
from tests.e2e.conftest import ALICE, TEAM, Made
from tests.e2e.proxy import Proxy, eventually
from tests.ports import HOST
from tests.postfix import Postfix
from tests.sink import Sink
from tests.sink_journal import Message

BOB = "bob@example.test"  # a mailbox and no account of the service
INVOICES = "invoices@example.test"  # an application's; nobody logs in to send from it
OFFICE = "office@example.test"  # its mailbox is all but full
SALES = "sales@example.test"  # stands for alice and bob
AWAY = "away@example.test"  # stands for somebody outside; alice's key opens its mail
USERS = {ALICE: 0, BOB: 0, TEAM: 0, INVOICES: 0, OFFICE: 100}
PASSWORD = "x"  # of everybody, by tests/dovecot.py
US, STRANGER = "127.0.0.1", "127.0.0.2"
EXPECTED = ("Connection refused", "required alias not found: postmaster")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class PostfixHouse:
    """The running programs of one layout."""

    layout: Layout
    postfix: Postfix
    proxy: Proxy
    world: Sink
    mailboxes: Store | Sink
    made: Made
    trusting: ssl.SSLContext

    def submit(self, login: str, sender: str, to: Sequence[str], content: bytes) -> Answer:
        """Log in on port 587 and send one message; gives the reply that decides."""
        with smtplib.SMTP(HOST, self.layout.ports["submission"], timeout=60) as client:
            client.starttls(context=self.trusting)
            client.login(login, PASSWORD)
            return _send(client, sender, to, content)

    def send(
        self, source: str, sender: str, to: Sequence[str], content: bytes, port: str = "smtp"
    ) -> Answer:
        """Send one message from an address of this machine, `US` or `STRANGER`, with no login."""
        number = self.layout.ports[port]
        with smtplib.SMTP(HOST, number, source_address=(source, 0), timeout=60) as client:
            return _send(client, sender, to, content)

    def outside(self, identifier: str) -> list[Message]:
        """Give the copies of a message that left for the world."""
        return [one for one in tuple(self.world.messages) if _names(one.content, identifier)]

    def inside(self, user: str, identifier: str) -> list[bytes]:
        """Give the copies of a message in a mailbox, and reports about it."""
        if isinstance(self.mailboxes, Store):
            mail = self.mailboxes.mail(user)
        else:
            mail = [one.content for one in self.mailboxes.messages if user in one.recipients]
        return [raw for raw in mail if _names(raw, identifier)]

    def left(self, identifier: str) -> Message:
        """Wait until all is delivered; gives the only copy that left for the world."""
        (message,) = self._awaited(lambda: self.outside(identifier))
        return message

    def arrived(self, user: str, identifier: str) -> bytes:
        """Wait until all is delivered; gives the only one in a mailbox."""
        (raw,) = self._awaited(lambda: self.inside(user, identifier))
        return raw

    def settle(self) -> None:
        """Wait until nothing is under way; twice, for a hand-over may be between two queues."""
        for _ in range(2):
            eventually(self.postfix.is_idle, self.explain)
            time.sleep(0.05)

    def warnings(self) -> list[str]:
        """Give what Postfix warned of, but for outages and the postmaster nobody set here."""
        lines = self.postfix.log().splitlines()
        told = [line for line in lines if "warning: " in line]
        return [line for line in told if not any(word in line for word in EXPECTED)]

    def explain(self) -> str:
        return f"{self.postfix.log()[-8000:]}\n{self.proxy.log()[-4000:]}"

    def _awaited(self, found: Callable[[], list[Found]]) -> list[Found]:
        eventually(lambda: bool(found()), self.explain)
        self.settle()
        assert len(found()) == 1, self.explain()
        return found()


def _names(raw: bytes, identifier: str) -> bool:
    return f"Message-ID: <{identifier}>\r\n".encode() in raw


def _send(client: smtplib.SMTP, sender: str, to: Sequence[str], content: bytes) -> Answer:
    client.ehlo_or_helo_if_needed()
    for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in to)):
        code, text = client.docmd(line)
        if code >= 400:
            return Answer(code, (text.decode(),))
    code, text = client.data(content)
    return Answer(code, (text.decode(),))
