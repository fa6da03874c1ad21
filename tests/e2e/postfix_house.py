"""Postfix before the service in every way it can be, Postfix behind it, Dovecot's Maildirs at last.

One Postfix has a port for each way; what the service hands on comes back to it on one more, whence
it goes to Dovecot by LMTP, or to a sink for the domain `SINKING`, which notes parameters.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.dovecot import HOST, Store, dovecot
from tests.e2e.client import Answer, Client
from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.faults.journal import delivered
from tests.ports import free_ports
from tests.postfix import Entry, Postfix, postfix_with
from tests.sink import Sink, running

SINKING = "sink.example"
REFUSED = "refused@example.net"  # by the Postfix behind, when it hears RCPT
FULL = "full@example.test"  # by Dovecot, after the dot
WAYS: Mapping[str, str] = {
    "before": "smtpd_proxy_filter=127.0.0.1:{}",  # command by command, before the queue
    # Message by message, when all of it is there.
    "adjusted": "smtpd_proxy_filter=127.0.0.1:{}\n  -o smtpd_proxy_options=speed_adjust",
    "smtp": "content_filter=smtp:[127.0.0.1]:{}",
    "lmtp": "content_filter=lmtp:[127.0.0.1]:{}",
    "store": "content_filter=lmtp:[127.0.0.1]:{}",  # and from there to Dovecot itself
}
# A report goes to each but once in a while.
WRITERS = {way: f"{way}.writer@example.org" for way in (*WAYS, "behind")}
_UNLIMITED = (ALICE, TEAM, PARTNER, FRIEND, OUTSIDE, *WRITERS.values())
USERS = {**dict.fromkeys(_UNLIMITED, 0), FULL: 100}
_NAMED = re.compile(rb"^Final-Recipient: rfc822; ?([^\r]+)\r\n", re.MULTILINE | re.IGNORECASE)


def _listener(way: str, role: str) -> Listener:
    upstream = "store" if way == "store" else "back"
    lines = ['protocol = "lmtp"'] if way in ("lmtp", "store") else []
    if role == "inbound":
        lines += ['domains = ["example.test"]', 'reports = "back"']
    return Listener(role, upstream, "\n".join(lines))


def _main(store: Store, sink: Sink) -> str:
    return f"""
default_transport = lmtp:[{HOST}]:{store.port}
transport_maps = inline:{{ {SINKING}=smtp:[{HOST}]:{sink.port} }}
minimal_backoff_time = 3600s
smtp_host_lookup = native
behind_restrictions = check_recipient_access inline:{{ {REFUSED}=REJECT }}, permit
"""


@dataclass(frozen=True, slots=True)
class PostfixHouse:
    """The running programs; listeners and ports are named `WAY-ROLE`, `behind-ROLE` without way."""

    proxy: Proxy
    postfix: Postfix
    ports: Mapping[str, int]
    store: Store
    sink: Sink
    made: Made

    def send(
        self,
        where: str,
        envelope: Sequence[str],
        content: bytes,
    ) -> list[Answer]:
        """Say MAIL and RCPT as told and send the content; gives all replies from MAIL on."""
        port = self.ports.get(where) or self.proxy.ports[where]
        with Client(port) as client:
            assert client.say("EHLO client.example.test").code == 250
            answers = [client.say(line) for line in envelope]
            if all(answer.code >= 400 for answer in answers[1:]):
                return answers
            assert client.say("DATA").code == 354
            return [*answers, client.content(content)]

    def settled(self, expected: int = 0, identifier: str = "") -> None:
        """Wait until nothing is under way, and so many copies of a message are there."""

        def is_settled() -> bool:
            arrived = sum(self.copies(identifier).values()) if expected else 0
            return arrived >= expected and self.postfix.is_idle()

        eventually(is_settled, self.explain)

    def copies(self, identifier: str) -> Counter[str]:
        """Count the copies of a message in the end, by recipient; reports are not among them."""
        name = f"Message-ID: <{identifier}>\r\n".encode()
        found = Counter(
            user
            for user in USERS
            for raw in self.store.mail(user)
            if name in raw and not is_report(raw)
        )
        for pair, count in delivered(self.sink.messages).items():
            if pair[0] == identifier:
                found[pair[1]] += count
        return found

    def one(self, user: str, identifier: str) -> bytes:
        """Give the one copy of a message in a Maildir."""
        name = f"Message-ID: <{identifier}>\r\n".encode()
        (found,) = (one for one in self.store.mail(user) if name in one and not is_report(one))
        return found

    def reports(self, user: str, identifier: str) -> list[tuple[str, ...]]:
        """Give whom each report about a message names, of those in a user's Maildir."""
        name = f"Message-ID: <{identifier}>\r\n".encode()
        return [
            tuple(one.decode() for one in _NAMED.findall(raw))
            for raw in self.store.mail(user)
            if name in raw and is_report(raw)
        ]

    def explain(self) -> str:
        return f"{self.postfix.log()[-8000:]}\n{self.proxy.log()[-4000:]}"


def is_report(raw: bytes) -> bool:
    """Tell a delivery status notification (RFC 3464)."""
    return b"report-type=delivery-status" in raw


def path(kind: str, address: str, *parameters: str) -> str:
    """Write MAIL FROM or RCPT TO."""
    return " ".join((f"{kind}:<{address}>", *parameters))


@contextlib.contextmanager
def postfix_house(folder: Path, made: Made) -> Iterator[PostfixHouse]:
    """Run everything until the block ends; it wants root."""
    names = [f"{way}-{role}" for way in WAYS for role in ("outbound", "inbound")]
    back, *entries = free_ports(1 + len(names))
    with dovecot(USERS) as store, running(Sink()) as sink:
        upstreams = {
            "back": to_sink(back),
            "store": f'url = "lmtp://{HOST}:{store.port}"\ntls = "never"',
        }
        listeners = {name: _listener(*name.split("-")) for name in names}
        listeners["behind-outbound"] = Listener("outbound", "back")
        listeners["behind-inbound"] = _listener("behind", "inbound")
        design = Design(upstreams, listeners)
        with serving(folder / "proxy", made.state, design) as proxy:
            ports = dict(zip(names, entries, strict=True))
            fronts = [
                Entry(port, (WAYS[name.partition("-")[0]].format(proxy.ports[name]),))
                for name, port in ports.items()
            ]
            behind = Entry(back, ("smtpd_recipient_restrictions=$behind_restrictions",))
            with postfix_with([*fronts, behind], _main(store, sink)) as postfix:
                yield PostfixHouse(proxy, postfix, ports, store, sink, made)
            assert "Traceback" not in proxy.log()
