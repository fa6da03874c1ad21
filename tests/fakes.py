"""Fakes that implement the gateway's Protocols: a directory in memory, upstreams that record."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.anchors import Anchor, Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import Envelope, ForwardPath, Origin, Role, Session
from smime_proxy.gateway import ports
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.gateway.context import Context, Route
from smime_proxy.gateway.deadlines import SUBMISSION, Deadlines
from smime_proxy.gateway.late import Late
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import (
    Answer,
    Directory,
    Extensions,
    Findings,
    FoundKey,
    KeyUnavailable,
    LedgerError,
    MemoryUnreadable,
    SeenCapabilities,
    Unconfirmed,
)
from smime_proxy.policy.lacking import Lack
from smime_proxy.policy.readers import by_reader
from smime_proxy.policy.rules import Account, Kind, Override, Rules
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smime.decrypted_mark import MarkKeys
from tests.fake_statuses import FakeStatuses
from tests.pki import Identity

AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DATE = "Mon, 01 Jun 2026 12:00:00 +0000"
OK = Reply(250, EnhancedStatus(0, 0), "accepted")
LOST = Reply(451, EnhancedStatus(4, 2), "connection lost, the message may have been sent")
_order = itertools.count(1)


@dataclass(frozen=True)
class FakeKey:
    """A key entry of an account."""

    identity: Identity
    former: bool = False

    @property
    def certificate(self) -> Certificate:
        return self.identity.certificate

    @property
    def chain(self) -> tuple[Certificate, ...]:
        return self.identity.chain


@dataclass
class FakeDirectory:
    """Accounts and certificates in memory."""

    by_address: dict[Mailbox, Account] = field(default_factory=dict)
    key_entries: dict[Mailbox, list[FakeKey]] = field(default_factory=dict)
    partners: dict[Mailbox, list[PartnerCertificate]] = field(default_factory=dict)
    roots: list[Anchor] = field(default_factory=list)
    remembered: dict[Mailbox, Capabilities] = field(default_factory=dict)
    unavailable: set[Mailbox] = field(default_factory=set)
    partner_domains: dict[str, list[PartnerCertificate]] = field(default_factory=dict)
    declined: set[tuple[Mailbox, Certificate]] = field(default_factory=set)

    def add(
        self, address: str, *identities: Identity, kind: Kind = Kind.PERSONAL, **more: object
    ) -> Account:
        """Add an account with keys; `more` are fields of Account or of its Override."""
        override = Override(**more.pop("override", {}))  # type: ignore[arg-type]
        mailbox = parse_mailbox(address)
        account = Account(mailbox, kind, override=override, **more)  # type: ignore[arg-type]
        for name in (mailbox, *account.aliases):
            self.by_address[name] = account
        self.key_entries[mailbox] = [FakeKey(identity) for identity in identities]
        return account

    def know(self, address: str, identity: Identity, *, pinned: bool = False) -> None:
        """Add a partner certificate."""
        found = PartnerCertificate(identity.certificate, identity.chain, pinned=pinned)
        self.partners.setdefault(parse_mailbox(address), []).append(found)

    def know_domain(self, domain: str, identity: Identity, *, pinned: bool = False) -> None:
        """Add a certificate for all mailboxes of a partner's domain."""
        found = PartnerCertificate(
            identity.certificate, identity.chain, pinned=pinned, domains=(domain,)
        )
        self.partner_domains.setdefault(domain, []).append(found)

    def account(self, mailbox: Mailbox) -> Account | None:
        return self.by_address.get(mailbox)

    def reads_for(self, mailbox: Mailbox) -> Sequence[Account]:
        known = {one.key: account for one, account in self.by_address.items()}
        return by_reader(known).get(mailbox.key, ())

    def is_own_domain(self, domain: str) -> bool:
        return domain in {mailbox.domain for mailbox in self.by_address}

    def keys(self, account: Account) -> Sequence[KeyEntry]:
        return self.key_entries.get(account.address, [])

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        if account.address in self.unavailable:
            raise KeyUnavailable(f"{account.address}: the key cannot be loaded")
        identity = self._identity(account, entry)
        return CmsSigner.build(
            identity.key,  # type: ignore[arg-type]
            identity.der,
            tuple(item.der for item in identity.chain),
            capabilities=account.kind is Kind.PERSONAL,
        )

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        if account.address in self.unavailable:
            raise KeyUnavailable(f"{account.address}: the key cannot be loaded")
        entries = self.key_entries.get(account.address, [])
        made = ((one.identity.key, one.identity.der) for one in entries)
        return [DecryptionKey.build(key, der) for key, der in made]  # type: ignore[arg-type]

    def partner_certificates(self, mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        return self.partners.get(mailbox, [])

    def domain_certificates(self, domain: str) -> Sequence[PartnerCertificate]:
        return self.partner_domains.get(domain, [])

    def capabilities(self, mailbox: Mailbox) -> Capabilities | None:
        return self.remembered.get(mailbox)

    def is_declined(self, mailbox: Mailbox, certificate: Certificate) -> bool:
        return (mailbox, certificate) in self.declined

    def anchors(self) -> Anchors:
        return Anchors.of(self.roots)

    def intermediates(self) -> Issuers:
        return Issuers()

    def known_certificates(self, issuer: bytes, serial: int) -> Sequence[bytes]:
        del issuer
        every = (item for found in self.partners.values() for item in found)
        return [item.certificate.der for item in every if item.certificate.serial == serial]

    def _identity(self, account: Account, entry: KeyEntry) -> Identity:
        return next(known.identity for known in self.key_entries[account.address] if known is entry)


@dataclass
class Sent:
    """What one committed transaction brought."""

    reverse_path: Mailbox | None
    recipients: tuple[Mailbox, ...]
    content: bytes
    parameters: tuple[str, ...]
    order: int = 0  # among all upstreams


@dataclass
class FakeUpstream:
    """Records what is committed; `faults` maps a step to the reply or error it answers with.

    Steps: open, mail, rcpt, prepare, commit, abort; with `:address` a fault is for that recipient
    only. With `lmtp` the others of its transaction are not touched by a fault of `commit`.
    `held` steps, named alike, wait for their event first.
    """

    extensions: Extensions = field(default_factory=Extensions)
    faults: dict[str, Reply | Exception] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    opened: int = 0
    aborted: int = 0
    settled: int = 0
    lmtp: bool = False
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    most: int = 0  # transactions open at once

    @property
    def leaked(self) -> int:
        """Count the transactions that were neither committed nor aborted."""
        return self.opened - self.settled

    async def open(self, _origin: Origin | None = None, /) -> "FakeTransaction":
        self.opened += 1
        self.most = max(self.most, self.leaked)
        fault = self.faults.get("open")
        if isinstance(fault, Exception):
            self.settled += 1
            raise fault
        return FakeTransaction(self)


class FakeTransaction:
    """One transaction of a `FakeUpstream`."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self._upstream = upstream
        self.extensions = upstream.extensions
        self._sender: Mailbox | None = None
        self._parameters: tuple[str, ...] = ()
        self._recipients: list[Mailbox] = []
        self._content = b""
        self._settled = False

    @property
    def is_lost(self) -> bool:
        return "session" in self._upstream.faults

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        self._sender, self._parameters = reverse_path, tuple(parameters)
        return self._answer("mail")

    async def rcpt(self, path: ForwardPath) -> Reply:
        reply = self._answer("rcpt", path.mailbox)
        if reply.is_positive:
            self._recipients.append(path.mailbox)
        return reply

    async def prepare(self, content: Sequence[bytes]) -> Reply | None:
        self._content = b"".join(content)
        await self._wait("prepare")
        reply = self._answer("prepare", *self._recipients)
        return None if reply.is_positive else reply

    async def commit(self) -> tuple[Reply, ...]:
        self._settle()
        await self._wait("commit")
        if self._upstream.lmtp:
            replies = tuple(self._answer("commit", item) for item in self._recipients)
        else:
            replies = (self._answer("commit", *self._recipients),) * len(self._recipients)
        pairs = zip(self._recipients, replies, strict=True)
        got = tuple(mailbox for mailbox, reply in pairs if reply.is_positive)
        if got:
            sent = Sent(self._sender, got, self._content, self._parameters, next(_order))
            self._upstream.sent.append(sent)
        return replies

    async def abort(self) -> None:
        self._upstream.aborted += 1
        self._settle()
        self._answer("abort")

    async def _wait(self, step: str) -> None:
        for name in (step, *(f"{step}:{mailbox}" for mailbox in self._recipients)):
            if name in self._upstream.held:
                await self._upstream.held[name].wait()

    def _settle(self) -> None:
        self._upstream.settled += not self._settled
        self._settled = True

    def _answer(self, step: str, *mailboxes: Mailbox) -> Reply:
        faults = self._upstream.faults
        names = [step, *(f"{step}:{mailbox}" for mailbox in mailboxes)]
        fault = next((faults[name] for name in names if name in faults), OK)
        if isinstance(fault, Exception):
            raise fault
        return fault


@dataclass
class FakeLedger:
    """A ledger in memory; `entries` tells who was accepted, False: about to be sent.

    `failing` names operations that fail; `done` those that were done.
    """

    entries: dict[bytes, bool] = field(default_factory=dict)
    dead: set[bytes] = field(default_factory=set)  # claimed by a process that ended
    failing: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def name(self, *parts: bytes) -> bytes:
        return b"|".join(parts)

    def is_empty(self) -> bool:
        return not self.entries and "look" not in self.failing

    async def look(self, names: Sequence[bytes]) -> ports.Known:
        self._do("look")
        served = {name for name in names if self.entries.get(name)}
        open_ = {name for name in names if self.entries.get(name) is False}
        return ports.Known(frozenset(served), bool(open_ - self.dead), len(open_ & self.dead))

    async def claim(self, names: Sequence[bytes]) -> ports.Known:
        self._do("claim")
        self.done.pop()
        known = await self.look(names)
        self.done[-1] = "claim"
        if not known.busy:
            self.entries.update(dict.fromkeys(set(names) - known.served, False))
        return known

    async def accept(self, names: Sequence[bytes]) -> None:
        self._do("accept")
        self.entries.update(dict.fromkeys(names, True))

    async def forget(self, names: Sequence[bytes]) -> None:
        self._do("forget")
        for name in names:
            self.entries.pop(name, None)

    def _do(self, operation: str) -> None:
        if operation in self.failing:
            raise LedgerError("no space left on the device")
        self.done.append(operation)


@dataclass
class FakeMeasures:
    """Counts calls by name."""

    counted: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def count(self, name: str, **labels: str) -> None:
        self.counted.append((name, labels))


@dataclass
class FakeDiscovery:
    """Directories outside that know what `findings` says, and nothing of anybody else."""

    findings: dict[Mailbox, Findings] = field(default_factory=dict)
    sources: tuple[str, ...] = ("ldap:corp",)
    asked: list[list[Lack]] = field(default_factory=list)
    closed: int = 0

    def sources_for(self, mailbox: Mailbox) -> Sequence[str]:
        return self.sources if mailbox.domain != "unserved.example" else ()

    async def find(self, lacks: Sequence[Lack], directory: Directory) -> Mapping[Mailbox, Findings]:
        self.asked.append(list(lacks))
        return {lack.mailbox: self.findings.get(lack.mailbox, Findings()) for lack in lacks}

    async def ask_all(self, mailbox: Mailbox) -> Findings:
        return self.findings.get(mailbox, Findings())

    async def keep(self, answers: Sequence[Answer]) -> None:
        raise NotImplementedError(answers)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class FakeMemory:
    """Remembers Message-IDs of decrypted mail in clear; `broken` when nobody can read it."""

    keys: MarkKeys = field(default_factory=lambda: MarkKeys.derive(bytes(32)))
    known: set[bytes] = field(default_factory=set)
    broken: str = ""
    settled: set[bytes] = field(default_factory=set)

    def knows(self, identifiers: Sequence[bytes]) -> bool:
        if self.broken:
            raise MemoryUnreadable(self.broken)
        return not self.known.isdisjoint(identifiers)

    def remember(self, identifiers: Sequence[bytes], at: datetime) -> None:
        self.known.update(identifiers)

    async def settle(self, identifiers: Sequence[bytes]) -> None:
        self.settled.update(identifiers)


class Octets:
    """Repeatable "random" octets."""

    _count = 0

    def __call__(self, number: int) -> bytes:
        self._count += 1
        return hashlib.shake_128(str(self._count).encode()).digest(number)


@dataclass
class World:
    """A gateway's surroundings for tests: one outbound and one inbound listener."""

    directory: FakeDirectory = field(default_factory=FakeDirectory)
    outside: FakeUpstream = field(default_factory=FakeUpstream)
    inside: FakeUpstream = field(default_factory=FakeUpstream)
    copies: FakeUpstream = field(default_factory=FakeUpstream)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    rules: Rules = field(default_factory=Rules)
    random: Callable[[int], bytes] = field(default_factory=Octets)
    with_reports: bool = True
    seen: list[SeenCapabilities] = field(default_factory=list)
    found: list[FoundKey] = field(default_factory=list)
    discovery: FakeDiscovery | None = None
    revocation: Revocation | None = None
    statuses: FakeStatuses | None = None
    memory: FakeMemory | None = None
    ledger: FakeLedger | None = field(default_factory=FakeLedger)
    deadlines: Deadlines = SUBMISSION
    late: Late = field(default_factory=Late)
    max_parallel_copies: int = 8
    mode: Mode = Mode.ENFORCE

    def context(self) -> Context:
        """Build the context of a gateway in this world."""
        reports = self.outside if self.with_reports else None
        return Context(
            hostname="proxy.example.test",
            authserv_id="proxy.example.test",
            rules=self.rules,
            routes={
                "out": Route(self.outside, reports, self.deadlines, self.mode),
                "in": Route(self.inside, reports, self.deadlines, self.mode),
            },
            directory=lambda: self.directory,
            sent_copy=lambda _url, _address: self.copies,
            measures=self.measures,
            random=self.random,
            remember=self.seen.append,
            harvest=self.found.append,
            discovery=self.discovery,
            choices=RecipientChoices(self.revocation),
            revocation=self.revocation,
            statuses=self.statuses,
            memory=self.memory,
            ledger=self.ledger,
            late=self.late,
            max_parallel_copies=self.max_parallel_copies,
        )


def session(role: Role = Role.OUTBOUND, **more: object) -> Session:
    """Make a session of the listener of that role, trusted as the default network is."""
    name = "out" if role is Role.OUTBOUND else "in"
    values = {"peer": "127.0.0.1", "helo": "client.example.test", "trusted": True, **more}
    return Session(name, role, **values)  # type: ignore[arg-type]


def envelope(
    content: bytes,
    sender: str | None,
    *recipients: str,
    role: Role = Role.OUTBOUND,
    **more: object,
) -> Envelope:
    """Make an envelope received at `AT`; `more` are fields of its session."""
    return Envelope(
        "0011aabb",
        session(role, **more),
        parse_mailbox(sender) if sender else None,
        tuple(ForwardPath(parse_mailbox(item)) for item in recipients),
        content,
        AT,
    )


def lost() -> Unconfirmed:
    """Make the error of a connection lost after the final dot."""
    return Unconfirmed(LOST)


def mail(
    sender: str, *to: str, subject: str = "Hello", body: str = "text\r\n", more: str = ""
) -> bytes:
    """Write a plain message; `more` are further header fields, each ended by CRLF."""
    return (
        f"From: {sender}\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\nDate: {DATE}\r\n"
        f"Message-ID: <1@example.test>\r\n{more}\r\n{body}"
    ).encode()
