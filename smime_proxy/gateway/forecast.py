"""What the rules would do to mail that was sent already: counted, and nothing sent or changed.

RFC 5322 3.6.2 and 3.6.3 (by whom, to whom), RFC 5321 4.4 (Return-Path). The steps of `explain`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.envelope import Envelope, ForwardPath, Session
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.explain import Explanation, explain
from smime_proxy.gateway.gather import own_account
from smime_proxy.message.errors import FromError, MessageError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.mailboxes import from_mailbox, visible_mailboxes
from smime_proxy.message.parse import header_of

MAX_LISTED = 1000  # refusals and files that are named; beyond that they are only counted
MAX_RECIPIENTS = 100_000  # without a certificate that are told apart; bounds memory
ADDRESSED = ("to", "cc", "bcc")
# What servers write of the envelope, where the others name nobody.
DELIVERED = ("delivered-to", "x-original-to", "x-envelope-to", "envelope-to", "x-rcpt-to")
REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How much mail gets this action by this rule: messages, and recipients of theirs."""

    action: str
    rule: str
    messages: int
    recipients: int


@dataclass(frozen=True, slots=True)
class RefusedMail:
    """Mail that is refused alike: from whom, to whom, how much, and the first file of it."""

    sender: str
    recipient: str
    rule: str
    reply: str
    messages: int
    file: str


@dataclass(frozen=True, slots=True)
class Uncertified:
    """Somebody outside without a usable certificate, why, and how much mail goes to him."""

    recipient: str
    messages: int
    problem: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that is no mail, or cannot be read."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """All that was counted; `refusals_unlisted` and `unreadable` count beyond what is listed."""

    messages: int
    outcomes: tuple[Outcome, ...]
    refusals: tuple[RefusedMail, ...]
    refusals_unlisted: int
    without_certificate: tuple[Uncertified, ...]
    exemptions: Mapping[str, int]
    unreadable: int
    unreadable_files: tuple[Unread, ...]


@dataclass
class Forecasting:
    """Counts mail after mail in bounded memory; `at` is aware UTC."""

    context: Context
    session: Session
    at: datetime
    _messages: int = 0
    _outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _recipients: Counter[tuple[str, str]] = field(default_factory=Counter)
    _refusals: dict[tuple[str, str, str, str], tuple[int, str]] = field(default_factory=dict)
    _unlisted: int = 0
    _uncertified: Counter[str] = field(default_factory=Counter)
    _problems: dict[str, str] = field(default_factory=dict)
    _exemptions: Counter[str] = field(default_factory=Counter)
    _unreadable: int = 0
    _unread: list[Unread] = field(default_factory=list)

    def add(self, file: str, content: bytes) -> None:
        """Count one mail, CRLF line ends only."""
        header = header_of(content)
        try:
            recipients = _recipients_of(header)
        except MessageError as error:
            self.miss(file, str(error))
            return
        if not recipients:
            self.miss(file, "it names no recipient")
            return
        envelope = Envelope(
            "explain",
            self.session,
            _reverse_path(header),
            tuple(map(ForwardPath, recipients)),
            content,
            self.at,
        )
        explained = explain(self.context, envelope)
        self._messages += 1
        found = [(one.action, one.rule) for one in explained.recipients]
        self._recipients.update(found)
        self._outcomes.update(set(found))
        self._exemptions.update({one.partition(":")[0] for one in explained.exemptions})
        for one in explained.recipients:
            if one.action == REFUSE:
                self._refuse(file, str(envelope.reverse_path or "<>"), one)
            self._look_for_certificate(one)

    def miss(self, file: str, reason: str) -> None:
        """Count a file that is no mail or cannot be read."""
        self._unreadable += 1
        if len(self._unread) < MAX_LISTED:
            self._unread.append(Unread(file, reason))

    def result(self) -> Forecast:
        """Give what was counted: most first, rules of one action together."""
        outcomes = [
            Outcome(action, rule, number, self._recipients[action, rule])
            for (action, rule), number in self._outcomes.items()
        ]
        return Forecast(
            self._messages,
            tuple(sorted(outcomes, key=lambda one: (one.action, -one.messages, one.rule))),
            tuple(
                RefusedMail(*whose, number, file)
                for whose, (number, file) in sorted(
                    self._refusals.items(), key=lambda item: (-item[1][0], item[0])
                )
            ),
            self._unlisted,
            tuple(
                Uncertified(name, number, self._problems[name])
                for name, number in sorted(
                    self._uncertified.items(), key=lambda item: (-item[1], item[0])
                )
            ),
            dict(sorted(self._exemptions.items())),
            self._unreadable,
            tuple(self._unread),
        )

    def _refuse(self, file: str, sender: str, one: Explanation) -> None:
        whose = (sender, one.recipient, one.rule, one.reply)
        if whose in self._refusals:
            number, first = self._refusals[whose]
            self._refusals[whose] = (number + 1, first)
        elif len(self._refusals) < MAX_LISTED:
            self._refusals[whose] = (1, file)
        else:
            self._unlisted += 1

    def _look_for_certificate(self, one: Explanation) -> None:
        if not one.problem:
            return
        directory, mailbox = self.context.directory(), parse_mailbox(one.recipient)
        if own_account(directory, mailbox) is not None:
            return
        if self.context.choices.choose(directory, mailbox, None, self.at).certificate is not None:
            return  # that of his domain
        if mailbox.key in self._uncertified or len(self._uncertified) < MAX_RECIPIENTS:
            self._uncertified[mailbox.key] += 1
            self._problems[mailbox.key] = one.problem


def _recipients_of(header: HeaderBlock) -> list[Mailbox]:
    """Give whom a mail went to, as far as it says so; raises `MessageError`."""
    found = visible_mailboxes(header, ADDRESSED) or visible_mailboxes(header, DELIVERED)
    return sorted(found, key=lambda mailbox: mailbox.key)


def _reverse_path(header: HeaderBlock) -> Mailbox | None:
    """Give the Return-Path, where a server wrote it, else the mailbox of From; None for neither."""
    written = header.first("return-path")
    try:
        if written is not None:
            text = written.strip("<> ")
            return parse_mailbox(text) if text else None
        return from_mailbox(header)
    except (AddressError, FromError):
        return None
