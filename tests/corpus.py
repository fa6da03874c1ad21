"""Mail of other projects driven through a real gateway: which files are mails, and who sends them.

RFC 4155 (mbox), RFC 5321 2.3.8 (line ends); the collections are found by SMIME_CORPORA.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.selection import KeyEntry
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.message.errors import MessageError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.mailboxes import from_mailbox
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Account
from smime_proxy.reply import Reply
from smime_proxy.smtp.intake import normalise
from tests import pki
from tests.fakes import AT, FakeDirectory, FakeKey, World, session
from tests.peers import corpora

SENDER = "sender@example.test"
RECIPIENT = "someone@example.net"

RECEIVED = re.compile(rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
BOUNDARY = re.compile(rb'boundary="(=_smime_[0-9a-f]{32})"')  # of what we signed

_MBOX_LINE = re.compile(rb"\AFrom [^\r\n]*\r?\n")
_MBOX_NEXT = re.compile(rb"(?<=\n)\r?\n(?=From [^\r\n]*\d\d:\d\d:\d\d [^\r\n]*\r?\n[!-9;-~]+:)")
_MAIL_FIELD = re.compile(
    rb"^(?:from|to|subject|date|received|message-id|mime-version|content-type)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of a collection: its path there, `#n` behind it in an mbox, and its octets."""

    name: str
    raw: bytes = field(repr=False)


@dataclass
class Everybody(FakeDirectory):
    """A directory in which every address is an account with a key that carries it."""

    issuer: pki.Identity = field(default_factory=lambda: pki.root("Root of everybody"))

    def account(self, mailbox: Mailbox) -> Account | None:
        return super().account(mailbox) or Account(mailbox)

    def keys(self, account: Account) -> Sequence[KeyEntry]:
        return super().keys(account) or [self._made(account)]

    def signer(self, account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        self._made(account)
        return super().signer(account, entry, at)

    def _made(self, account: Account) -> FakeKey:
        if account.address not in self.key_entries:
            identity = pki.person(self.issuer, str(account.address), label="everybody")
            self.key_entries[account.address] = [FakeKey(identity)]
        return self.key_entries[account.address][0]


def mails(*parts: str) -> Iterator[Mail]:
    """Give the mails below a folder of the collections, as an SMTP client would send them.

    A mail is a file named `.eml`, and any other whose first block, behind an mbox `From ` line,
    begins with a field and has one that mail has, or is empty. An mbox gives each of its mails.
    `From ` lines are left out, and line ends are made CRLF, as the outbound listener does.
    """
    root = corpora(*parts)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            found = list(_mails_in(path))
            for number, raw in enumerate(found, 1):
                suffix = f"#{number}" if len(found) > 1 else ""
                name = f"{path.relative_to(root)}{suffix}"
                yield Mail(name, normalise(_MBOX_LINE.sub(b"", raw)))


def _mails_in(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    if path.suffix != ".eml" and not _is_mail(raw):
        return
    yield from _MBOX_NEXT.split(raw) if raw.startswith(b"From ") else (raw,)


def _is_mail(raw: bytes) -> bool:
    head = _MBOX_LINE.sub(b"", raw).replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if _FIRST_FIELD.match(head):
        return _MAIL_FIELD.search(head) is not None
    return raw.startswith(b"\r\n")


def sender_of(raw: bytes) -> Mailbox | None:
    """Give the clean From mailbox, None when there is no such thing."""
    try:
        return from_mailbox(header_of(raw))
    except MessageError:
        return None


def header_of(raw: bytes) -> HeaderBlock:
    """Give the header block; raises what `parse` does."""
    return parse(raw).header


async def send(world: World, raw: bytes, role: Role, sender: Mailbox | None = None) -> Reply:
    """Send one mail through a gateway to one recipient; upstreams of the world keep it."""
    talk = Gateway(world.context()).begin(session(role))
    assert (await talk.mail(sender or parse_mailbox(SENDER), ())).is_positive
    assert (await talk.rcpt(ForwardPath(parse_mailbox(RECIPIENT)))).is_positive
    return await talk.data(raw, AT, lambda: False)


def is_passed(raw: bytes, content: bytes) -> bool:
    """Tell whether a mail left octet for octet behind one Received field."""
    added = content.removesuffix(raw)
    return RECEIVED.fullmatch(added) is not None and added + raw == content
