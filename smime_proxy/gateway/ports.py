"""What the gateway needs from the world, as Protocols the shells implement.

RFC 5321 3.3 (mail transactions), RFC 1870, 6152, 6531, 3461 (the extensions an upstream offers).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.association import Association
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.policy.harvest import Caution
from smime_proxy.policy.lacking import Lack
from smime_proxy.policy.rules import Account
from smime_proxy.reply import Reply
from smime_proxy.smime.decrypted_mark import MarkKeys


class UpstreamError(Exception):
    """The upstream cannot be used; `reply` is what the client is told (4yz)."""

    def __init__(self, reply: Reply) -> None:
        """Keep the reply the client is to get."""
        super().__init__(str(reply))
        self.reply = reply


class Unconfirmed(UpstreamError):  # noqa: N818 - what is known, beside whose fault it is
    """The final dot was sent and no reply came: the message may have been sent."""


class LedgerError(Exception):
    """The ledger cannot be read or written now; the text says why in one line."""


class KeyUnavailable(Exception):  # noqa: N818 - the state of a key, not an error of ours
    """A private key exists but cannot be loaded now; the client is told 451 4.7.5."""


class MemoryUnreadable(Exception):  # noqa: N818 - the state of the memory, not an error of ours
    """It cannot be told whether mail was decrypted here; the client is told 451 4.3.0."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What an upstream offered in its EHLO reply; `size` in octets, 0 for no stated limit.

    `requiretls` only where its certificate was verified (RFC 8689 4.2.1). `prdr` is only of our own
    offers: no upstream is asked for it (draft-hall-prdr-00). `greeting` is the word its greeting
    ended with, if it may be the name of a listener of ours (`gateway.loops`).
    """

    eightbitmime: bool = True
    smtputf8: bool = True
    dsn: bool = False
    size: int = 0
    requiretls: bool = False
    prdr: bool = False
    greeting: str = ""


@dataclass(frozen=True, slots=True)
class SeenCapabilities:
    """What somebody said in signed mail that he can read, and when; `at` is aware UTC.

    Only of mail whose signature passes in everything, and of nobody who has an account here.
    """

    mailbox: Mailbox
    capabilities: Capabilities
    at: datetime


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A certificate that signed mail offers for encryption to its sender, not imported so far.

    `issuers` lie between it and the anchor, whose fingerprint is `anchor` ("": untrusted, and none
    are given). `message_id` is the mail's, cleaned. `caution` is None where it may be taken at
    once, else it waits. `count` messages brought it.
    """

    mailbox: Mailbox
    certificate: Certificate
    issuers: tuple[Certificate, ...]
    anchor: str
    message_id: str
    at: datetime
    caution: Caution | None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said of one mailbox, nothing included; times are aware UTC.

    `source` as in `[discovery] sources`; `reason` says in a line why there is nothing.
    """

    mailbox: Mailbox
    source: str
    fetched_at: datetime
    expires_at: datetime
    certificates: tuple[Certificate, ...] = ()
    associations: tuple[Association, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """A source that gave no answer, and why in one line."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about one mailbox; `unreachable` says who gave no answer, and why."""

    answers: tuple[Answer, ...] = ()
    unreachable: tuple[Silence, ...] = ()


class Discovery(Protocol):
    """Directories outside the store, asked for certificates of people who have none here."""

    def sources_for(self, mailbox: Mailbox) -> Sequence[str]:
        """Name the sources that would be asked, in their order; no I/O."""
        ...

    async def find(
        self, lacks: Sequence[Lack], directory: "Directory"
    ) -> Mapping[Mailbox, Findings]:
        """Look for certificates of all at once, within the budget of the settings.

        Sources are asked in their order until one gives a certificate that will do; answers of
        before count as long as they last.
        """
        ...

    async def ask_all(self, mailbox: Mailbox) -> Findings:
        """Ask every source anew, whatever it said before."""
        ...

    async def keep(self, answers: Sequence[Answer]) -> None:
        """Remember answers as if mail had brought them up."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Answers(Protocol):
    """Where answers of sources are kept beyond the life of a process; both calls may take time."""

    async def read(self, mailbox: Mailbox) -> Sequence[Answer]:
        """Give what sources said of a mailbox, outdated or not; nothing when it cannot be read."""
        ...

    async def write(self, answers: Sequence[Answer]) -> None:
        """Keep answers, each in place of what its source said before; what fails is logged."""
        ...


class Claim(Enum):
    """What becomes of the wish to fetch an answer about revocation that all processes share."""

    OURS = "ours"  # to be fetched now, by who asked
    THEIRS = "theirs"  # another process is fetching it
    FRESH = "fresh"  # another process has fetched it, and it is at hand now
    LATER = "later"  # it failed, or is held, and is not due yet


class Statuses(Protocol):
    """Fetches what is not known of revocations, and may let mail wait for it."""

    @property
    def budget(self) -> float:
        """Give the seconds one mail may wait for all of it; 0: none waits."""
        ...

    async def wait(
        self, wanted: Collection[tuple[Certificate, Certificate]], seconds: float
    ) -> bool:
        """Wait for certificates, each with its issuer; tells whether something new is known."""
        ...


class Transaction(Protocol):
    """One mail transaction on one upstream session.

    The order is mail, rcpt (several), prepare, commit; `abort` at any time before commit, after
    which the upstream has nothing. A method that loses the connection raises `UpstreamError`.
    """

    @property
    def extensions(self) -> Extensions:
        """What this upstream session offers."""
        ...

    @property
    def is_lost(self) -> bool:
        """Tell whether it is known that no dot can be sent any more."""
        ...

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Send MAIL and give the upstream's reply."""
        ...

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Send RCPT and give the upstream's reply."""
        ...

    async def prepare(self, content: Sequence[bytes]) -> Reply | None:
        """Send DATA and all of the content without the final dot; a Reply is its refusal."""
        ...

    async def commit(self) -> tuple[Reply, ...]:
        """Send the final dot and give a reply for each recipient accepted, in the order of `rcpt`.

        SMTP has one reply for all of them, LMTP one for each (RFC 2033 4.2). The session returns
        to the pool. Raises `UpstreamError` with 451 4.4.2 when no reply came: the mail may have
        been sent.
        """
        ...

    async def abort(self) -> None:
        """Drop the transaction: RSET before DATA, else the connection closed without a dot."""
        ...


class Upstream(Protocol):
    """A place mail is handed on to."""

    async def open(self, origin: Origin | None = None, /) -> Transaction:
        """Take a session from the pool or make one; raises `UpstreamError`.

        `origin` is whose mail it will be, None for our own.
        """
        ...


class Directory(Protocol):
    """Accounts, keys and certificates as one consistent snapshot; no call does I/O."""

    def account(self, mailbox: Mailbox) -> Account | None:
        """Find the account that has this address or alias."""
        ...

    def reads_for(self, mailbox: Mailbox) -> Sequence[Account]:
        """Give the accounts, none a team, whose mail is opened for this reader too.

        By the address as it is named; for an account by its own address, whichever it is named by.
        """
        ...

    def keys(self, account: Account) -> Sequence[KeyEntry]:
        """Give all keys of an account, current and former."""
        ...

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        """Load (cached) the signer of one key; raises `KeyUnavailable`.

        `at`: its signatures name the certificate to encrypt to that is in use then.
        """
        ...

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        """Give every private key the account ever owned, for decryption, loaded and cached.

        Raises `KeyUnavailable` when one exists that cannot be loaded.
        """
        ...

    def partner_certificates(self, mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        """Give the known certificates of a partner, usable or not."""
        ...

    def domain_certificates(self, domain: str) -> Sequence[PartnerCertificate]:
        """Give the certificates that stand for all mailboxes of exactly this domain, folded."""
        ...

    def capabilities(self, mailbox: Mailbox) -> Capabilities | None:
        """Give what a partner said last in signed mail that he can read (RFC 8551 2.5.2)."""
        ...

    def is_declined(self, mailbox: Mailbox, certificate: Certificate) -> bool:
        """Tell whether somebody decided against this certificate for this partner."""
        ...

    def anchors(self) -> Anchors:
        """Give the trust anchors, pinned certificates included."""
        ...

    def intermediates(self) -> Issuers:
        """Give certificates of authorities known from imports, to complete chains."""
        ...

    def is_own_domain(self, domain: str) -> bool:
        """Tell whether a domain, folded, is one we have accounts in or serve, or below one."""
        ...

    def known_certificates(self, issuer: bytes, serial: int) -> Sequence[bytes]:
        """Give the DER of stored certificates with this issuer (DER name) and serial (E58)."""
        ...


class Memory(Protocol):
    """What is known of mail that was decrypted here, by whichever process; no call waits long."""

    @property
    def keys(self) -> MarkKeys:
        """The keys marks are made with."""
        ...

    def knows(self, identifiers: Sequence[bytes]) -> bool:
        """Tell whether mail with one of these Message-IDs was decrypted.

        Raises `MemoryUnreadable`.
        """
        ...

    def remember(self, identifiers: Sequence[bytes], at: datetime) -> None:
        """Take note of the Message-IDs of mail that was decrypted; returns at once."""
        ...

    async def settle(self, identifiers: Sequence[bytes]) -> None:
        """Wait a few seconds at most until these are where a restart and every process finds them.

        Raises nothing: what cannot be written now is kept, and known to this process meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger knows of the entries it was asked for.

    `served` have the message; `busy`: some are being sent at this moment, by whomever; `doubtful`
    of them were about to be sent by a process that ended, and nobody knows whether they were.
    """

    served: frozenset[bytes] = frozenset()
    busy: bool = False
    doubtful: int = 0


NOTHING_KNOWN = Known()


class Ledger(Protocol):
    """Who has a message already, for the client that sends it again: an entry a recipient.

    Everything may raise `LedgerError`, within seconds.
    """

    def name(self, *parts: bytes) -> bytes:
        """Give the name of an entry; touches nothing."""
        ...

    def is_empty(self) -> bool:
        """Tell, at once and at no cost, whether nothing is known of anything; if unsure, no."""
        ...

    async def look(self, names: Sequence[bytes]) -> Known:
        """Say what is known; changes nothing."""
        ...

    async def claim(self, names: Sequence[bytes]) -> Known:
        """Say what is known; unless busy, nobody else may send what is not served from now on.

        Durable when this returns; it ends with `accept`, `forget`, this process, or in time.
        """
        ...

    async def accept(self, names: Sequence[bytes]) -> None:
        """Remember that these have the message; durable when this returns."""
        ...

    async def forget(self, names: Sequence[bytes]) -> None:
        """Forget these: the client was answered, or nobody was sent anything."""
        ...


class Measures(Protocol):
    """Counters; names and labels are documented in docs/metrics.md."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        ...
