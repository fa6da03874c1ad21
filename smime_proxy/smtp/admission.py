"""Who may talk to a listener, how much and how long: its options and what is going on at it.

RFC 5321 3.8 (closing), 4.5.3.1.8 (recipients), 4.5.3.2.7 (server timeout), 7.8 (resistance).
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, Protocol

from smime_proxy.envelope import Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import Extensions, Measures
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.wording import Wording
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.allowance import Allowance
from smime_proxy.smtp.auth import Authenticator
from smime_proxy.smtp.client_certificate import ClientCertificates
from smime_proxy.smtp.conversation import Gateway
from smime_proxy.smtp.intake import ByteBudget
from smime_proxy.smtp.throttle import Throttle, network_of

MAX_MESSAGE_OCTETS_HELD = 512 << 20  # octets of messages in memory, for each process
UNKNOWN_PEER = "unknown"  # in place of the address of a client that is not named
CACHED_PEERS = 4096  # client addresses whose trust is remembered; bounds memory
STRESS_SHARE = 0.8  # of the sessions there may be; from here on patience is short, as Postfix's
STRESS_FAULTS = 1  # Postfix smtpd_hard_error_limit under stress
DRAIN_SECONDS = 5.0  # a client may be silent, or behind the rate, once the service ends

_TOO_MANY_SESSIONS = Reply(421, EnhancedStatus(7, 0), "Too many sessions from your address")
_TOO_MANY_OF_LOGIN = Reply(421, EnhancedStatus(7, 0), "Too many sessions with your login")
_FULL = reply_for("overloaded")
_BUSY = reply_for("too_busy")
SHUTTING_DOWN = reply_for("shutting_down")


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """One listener of the settings; times in seconds.

    `bind` is host:port, IPv6 in brackets. `domains` are folded (address.fold_domain); an inbound
    listener takes recipients there and nowhere else. `tls` offers STARTTLS, or is what an smtps
    listener speaks from the first octet; reloading its certificate in place serves new sessions.
    `authenticator` judges the credentials of clients; without it they have no passwords. `clients`
    says what the certificates are that `tls` asks them for. `wording` says our own replies. `prdr`
    offers SMTP clients a reply for each recipient (draft-hall-prdr-00). `bare_line_ends` is what
    becomes of content with a bare CR or LF, "" for what the role asks for. `max_lag` is how late
    the event loop may be before clients are put off, 0 for ever so late. What sessions may take is
    said in `Allowance`. `trusted_peers` may say by XCLIENT, XFORWARD and, with `proxy_protocol`, by
    a header in front of all who their client is. `mode` says whether our own refusals are final.
    """

    name: str
    role: Role
    bind: str
    protocol: Literal["smtp", "smtps", "lmtp"] = "smtp"
    trusted_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    trusted_peers: tuple[IPv4Network | IPv6Network, ...] = ()
    proxy_protocol: bool = False
    domains: frozenset[str] = frozenset()
    tls: ssl.SSLContext | None = None
    authenticator: Authenticator | None = None
    clients: ClientCertificates = field(default_factory=ClientCertificates)
    wording: Wording = field(default_factory=Wording)
    prdr: bool = False
    max_message_size: int = 50_000_000  # octets, RFC 1870; the extensions may lower it
    max_recipients: int = 1000  # Postfix smtpd_recipient_limit
    max_sessions: int = 1000  # of one process; each holds a file descriptor and an upstream's
    max_sessions_per_address: int = 50  # Postfix smtpd_client_connection_count_limit
    max_sessions_per_login: int = 50  # the same, wherever they come from
    max_faults: int = 20  # Postfix smtpd_hard_error_limit
    idle_seconds: float = 300  # RFC 5321 4.5.3.2.7
    chunk_seconds: float = 180  # RFC 5321 4.5.3.2.5
    content_seconds: float = 1800  # 50 MB at 28 kB/s; ends clients that trickle
    line_seconds: float = 60  # a command is a hundred octets; ends clients that trickle those
    min_rate: float = 500  # octets a second of content; Postfix smtpd_min_data_rate
    behind_seconds: float = 60  # a program may think before its first octet, a train have a tunnel
    stress_seconds: float = 10  # Postfix smtpd_timeout under stress
    max_lag: float = 0.1  # Haraka's toobusy takes 0.07
    max_octets_held: int = MAX_MESSAGE_OCTETS_HELD
    bare_line_ends: Literal["", "refuse", "normalise"] = ""
    mode: Mode = Mode.ENFORCE

    @property
    def allowance(self) -> Allowance:
        """Give what a session may take when nothing is wrong."""
        return Allowance(
            idle=self.idle_seconds,
            line=self.line_seconds,
            chunk=self.chunk_seconds,
            content=self.content_seconds,
            behind=self.behind_seconds,
            rate=self.min_rate,
        )

    @property
    def refuses_bare_line_ends(self) -> bool:
        """Tell whether a bare CR or LF is refused; else it is made CRLF, never sent on (E09)."""
        return (self.bare_line_ends or _BARE_LINE_ENDS[self.role]) == "refuse"


_BARE_LINE_ENDS = {Role.INBOUND: "refuse", Role.OUTBOUND: "normalise"}


class Visitor(Protocol):
    """A session as its listener sees it."""

    @property
    def deadline(self) -> float:
        """Loop time until which the client must say something; infinite while we work."""
        ...

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What carries the session out."""
        ...

    def expire(self) -> None:
        """The client was silent for too long."""
        ...

    def nudge(self) -> None:
        """Look whether the listener is draining."""
        ...

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds from now for what is awaited already."""
        ...

    def abort(self) -> None:
        """End now, whatever is going on."""
        ...


class Admission:
    """The state shared by all sessions of one listener in one process."""

    def __init__(
        self,
        options: ListenerOptions,
        gateway: Gateway,
        extensions: Callable[[], Extensions],
        budget: ByteBudget,
        measures: Measures | None,
        learn: Callable[[], Awaitable[None]] | None = None,
        lag: Callable[[], float] = float,
    ) -> None:
        """Start with nobody there; `extensions` says what to offer, asked at each EHLO.

        `learn` is awaited before, so that it is known what the upstream offers. `lag` says how
        late the event loop is, in seconds.
        """
        self.gateway = gateway
        self.extensions = extensions
        self.learn = learn
        self.budget = budget
        self.draining = False
        self.greeting = ""  # a word for its end, by which we know ourselves
        self.visitors: set[Visitor] = set()
        self._measures = measures
        self._lag = lag
        self.throttle = Throttle()
        self._sessions: Counter[str] = Counter()
        self._logins: dict[Visitor, str] = {}
        self.use(options)

    def use(self, options: ListenerOptions) -> None:
        """Go by other options from now on; who was let in stays, and is judged anew at MAIL."""
        self.options = options
        self.trusts = _membership(options.trusted_networks)
        self.believes = _membership(options.trusted_peers)
        self._usual = options.allowance
        self._stressed = self._usual.hurried(options.stress_seconds)
        self._draining = self._usual.hurried(DRAIN_SECONDS)

    @property
    def is_stressed(self) -> bool:
        """Tell whether so many sessions are open that idle ones are a burden."""
        return len(self.visitors) >= STRESS_SHARE * self.options.max_sessions

    @property
    def is_lagging(self) -> bool:
        """Tell whether the process has had more to do than it can for a while."""
        return 0 < self.options.max_lag < self._lag()

    @property
    def allowance(self) -> Allowance:
        """Give what a session may take now."""
        if self.draining:
            return self._draining
        return self._stressed if self.is_stressed else self._usual

    @property
    def max_faults(self) -> int:
        """Give how many faults a session may make now."""
        return STRESS_FAULTS if self.is_stressed else self.options.max_faults

    def enter(self, visitor: Visitor, peer: str) -> Reply | None:
        """Let a client in, or give the reply it is sent away with."""
        refusal, reason = self._judge(peer)
        if refusal is not None:
            self.count("sessions_refused", reason=reason)
            return refusal
        self.visitors.add(visitor)
        self._sessions[network_of(peer)] += 1
        self.count("sessions")
        return None

    def leave(self, visitor: Visitor, peer: str) -> None:
        """Forget a client that was let in."""
        if visitor in self.visitors:
            self.visitors.remove(visitor)
            self._logins.pop(visitor, None)
            self._part(peer)

    def identify(self, visitor: Visitor, login: str) -> Reply | None:
        """Note who a client is now, "" for nobody, or give the reply it is sent away with."""
        self._logins.pop(visitor, None)
        if not login:
            return None
        login = login.casefold()
        if list(self._logins.values()).count(login) >= self.options.max_sessions_per_login:
            self.count("sessions_refused", reason="login")
            return _TOO_MANY_OF_LOGIN
        self._logins[visitor] = login
        return None

    def put_off(self) -> Reply | None:
        """Give the reply to MAIL of a process that has more to do than it can, else None."""
        if not self.is_lagging:
            return None
        self.count("put_off")
        return reply_for("mail_put_off")

    def rename(self, peer: str, other: str) -> Reply | None:
        """Count a session for another address from now on, or give the reply that ends it."""
        self._part(peer)
        crowded = peer != other and self._is_crowded(other)
        self._sessions[network_of(other)] += 1
        if not crowded:
            return None
        self.count("sessions_refused", reason="address")
        return _TOO_MANY_SESSIONS

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter of this listener."""
        if self._measures is not None:
            self._measures.count(name, listener=self.options.name, **labels)

    def _part(self, peer: str) -> None:
        network = network_of(peer)
        self._sessions[network] -= 1
        if not self._sessions[network]:
            del self._sessions[network]

    def _judge(self, peer: str) -> tuple[Reply | None, str]:
        if self.draining:
            return SHUTTING_DOWN, "shutdown"
        if len(self.visitors) >= self.options.max_sessions:
            return _FULL, "full"
        if self._is_crowded(peer):
            return _TOO_MANY_SESSIONS, "address"
        if self.is_lagging:
            return _BUSY, "lag"
        return None, ""

    def _is_crowded(self, peer: str) -> bool:
        return self._sessions[network_of(peer)] >= self.options.max_sessions_per_address


def _membership(networks: tuple[IPv4Network | IPv6Network, ...]) -> Callable[[str], bool]:
    """Make a test whether an address lies in one of the networks; no other text does."""

    def is_member(peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return lru_cache(CACHED_PEERS)(is_member)


def plain_address(host: str) -> str:
    """Give an IP address as text without scope, and an IPv4 client of an IPv6 socket as IPv4."""
    host = host.partition("%")[0]
    if host.startswith("::ffff:"):
        mapped = IPv6Address(host).ipv4_mapped
        return str(mapped) if mapped is not None else host
    return host
