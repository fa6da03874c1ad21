"""Where faults are tried: a state with people, a service with many lanes, each with its own sinks.

A lane is a pair of upstreams with a sink each, in clear text and with TLS and login, and the
listeners in front of them; cases in different lanes do not touch each other.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.smime.encrypt import encrypt_entity, recipient_of
from tests.e2e.conftest import ALICE, FRIEND, PARTNER, command
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.fakes import Octets
from tests.faults.journal import Letter
from tests.faults.sinks import LOGIN, Sinks, sinks
from tests.tls_files import TlsFiles, make_tls_files

PARTNERS = (PARTNER, FRIEND, *(f"partner{number}@example.org" for number in (3, 4, 5)))
OPENERS = tuple(f"opener{number}@example.test" for number in range(1, 5))
NOBODY = "nobody@example.test"  # served, without an account
STRANGER = "stranger@example.net"
CANARY = "canary-of-what-is-encrypted"
LARGE = 300_000  # octets of content that do not reach the upstream in one piece


class Role(Enum):
    """What stands before the service."""

    SUBMISSION = "submission"  # a client that connects for each message
    FILTER = "smtp-filter"  # an MTA that pipelines and keeps its connection
    LMTP = "lmtp"  # an MTA that hears of each recipient by himself
    MX = "mx"  # somebody's MTA, and the mail is encrypted to our accounts

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class State:
    """A state directory to copy, with `bodies` of encrypted mail for `OPENERS`.

    A body is a MIME entity by how many copies are made of it and whether it is large.
    """

    folder: Path
    bodies: Mapping[tuple[int, bool], bytes]


def make_state(folder: Path) -> State:
    """Make authority, accounts and partners by the program's own commands."""
    design = Design({"out": "url = 'maildir:///dev/null'"}, {"out": Listener("outbound", "out")})
    proxy = Proxy(folder, design)
    for account in (ALICE, *OPENERS):
        command(proxy, "account", "add", account)
    command(proxy, "ca", "init")
    command(proxy, "ca", "issue", ALICE)
    ders = []
    for account in OPENERS:
        pem = command(proxy, "ca", "issue", account).encode()
        ders.append(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    for address in PARTNERS:
        name = address.partition("@")[0]
        (folder / f"{name}.pem").write_text(
            command(proxy, "ca", "issue", address, "--out", str(folder / f"{name}.key"))
        )
        command(proxy, "cert", "import", str(folder / f"{name}.pem"))
    bodies = {
        (copies, large): _nested(ders, copies, large=large)
        for copies, large in itertools.product((1, 2, 5), (False, True))
    }
    return State(proxy.state, bodies)


def _nested(ders: list[bytes], copies: int, *, large: bool) -> bytes:
    """Encrypt in as many layers as there are readers who get different octets.

    Of five, the first opens one layer, the fourth four, and the last recipient none. With one
    copy the first two can open it, and get the same.
    """
    entity = f"Content-Type: text/plain\r\n\r\n{CANARY}\r\n".encode() + _filling(large=large)
    depth = max(1, copies - 1)
    for layer in reversed(range(depth)):
        readers = ders[:2] if copies == 1 else ders[layer:depth]
        recipients = [recipient_of(der) for der in readers]
        entity = encrypt_entity(entity, recipients, random=Octets())
    return entity


def _filling(*, large: bool) -> bytes:
    return b"A line of text.\r\n" * (LARGE // 17 if large else 1)


@dataclass(frozen=True, slots=True)
class Way:
    """Mail that leaves in `copies` different copies; `several` recipients where one gets each."""

    role: Role
    copies: int

    def __str__(self) -> str:
        return f"{self.role}-{self.copies}"

    def recipients(self, *, several: bool) -> tuple[str, ...]:
        """Name who gets it; `several`: more than one even where there is one copy."""
        count = 2 if several and self.copies == 1 else self.copies
        if self.role is not Role.MX:
            return PARTNERS[:count]
        return OPENERS[:count] if self.copies == 1 else (*OPENERS[: self.copies - 1], NOBODY)

    def letter(
        self, identifier: str, state: State, *, large: bool = False, several: bool = False
    ) -> Letter:
        """Write the mail; what it says is a secret of its recipients."""
        recipients = self.recipients(several=several)
        shown = recipients if self.copies == 1 else recipients[:1]  # the others are blind copies
        sender = STRANGER if self.role is Role.MX else ALICE
        head = (
            f"From: {sender}\r\nTo: {', '.join(shown)}\r\nSubject: Case\r\n"
            f"Message-ID: <{identifier}>\r\nMIME-Version: 1.0\r\n"
        ).encode()
        if self.role is Role.MX:
            return Letter(identifier, sender, recipients, head + state.bodies[self.copies, large])
        text = f"X-SMIME-Encrypt: yes\r\n\r\n{CANARY}\r\n".encode() + _filling(large=large)
        return Letter(identifier, sender, recipients, head + text)


WAYS = tuple(Way(role, copies) for role in Role for copies in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Stage:
    """The service and its sinks; lane `n` has the sinks `2n` (clear) and `2n + 1` (TLS)."""

    proxy: Proxy
    sinks: Sinks
    state: State

    def port(self, lane: int, role: Role, *, tls: bool) -> int:
        """Give the port of the listener before a sink."""
        return self.proxy.ports[_listener(2 * lane + tls, role)]


def _listener(sink: int, role: Role) -> str:
    kind = {Role.MX: "mx", Role.LMTP: "lmtp"}.get(role, "out")
    return f"{kind}{sink}"


@contextlib.contextmanager
def staged(
    folder: Path, state: State, lanes: int, timeout: float, workers: int = 1
) -> Iterator[Stage]:
    """Run a service with so many lanes, whose upstreams are waited for `timeout` seconds."""
    tls = make_tls_files(folder)
    with sinks(folder / "sinks", 2 * lanes, tls) as running:
        design = replace(_design(folder, running, tls, timeout), workers=workers)
        with serving(folder / "proxy", state.folder, design) as proxy:
            yield Stage(proxy, running, state)


def patience(seconds: float) -> str:
    """Write how long an upstream is waited for, the same at each step."""
    steps = ("connect", "greeting", "command", "mail", "rcpt", "data", "block", "dot")
    return "{ " + ", ".join(f"{step} = {seconds}" for step in steps) + " }"


def _design(folder: Path, running: Sinks, tls: TlsFiles, timeout: float) -> Design:
    password = folder / "password"
    password.write_text(LOGIN[1] + "\n")
    upstreams, listeners = {}, {}
    for number, lane in enumerate(running.lanes):
        secure = (
            f'url = "smtp://localhost:{lane.port}"\ntls_ca_file = "{tls.ca}"\n'
            f'username = "{LOGIN[0]}"\npassword_file = "{password}"'
        )
        table = secure if lane.tls else to_sink(lane.port)
        upstreams[f"sink{number}"] = f"{table}\ntimeouts = {patience(timeout)}"
        more = f'domains = ["example.test"]\nreports = "sink{number}"'
        for role, lines in (
            (Role.SUBMISSION, ""),
            (Role.LMTP, 'protocol = "lmtp"'),
            (Role.MX, more),
        ):
            direction = "inbound" if role is Role.MX else "outbound"
            listeners[_listener(number, role)] = Listener(direction, f"sink{number}", lines)
    return Design(upstreams, listeners)
