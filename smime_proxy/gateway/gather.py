"""Gather the facts of one mail object: from its octets, the snapshot and the session.

RFC 5322 3.6.2 (originators), RFC 8551 3 (what protection is there already).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from smime_proxy.address import Mailbox
from smime_proxy.certs.revocation import Revocation, Want
from smime_proxy.certs.selection import PartnerCertificate, choose_signing
from smime_proxy.certs.source import MinimumSource
from smime_proxy.cms.capabilities import Capabilities, parse_capabilities
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.envelope import Envelope, Role
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.gateway.openers import Openers
from smime_proxy.gateway.ports import Directory, KeyUnavailable
from smime_proxy.message.calendar import meeting_method
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import FromError
from smime_proxy.message.header import HeaderBlock, has_loose_lines
from smime_proxy.message.mailboxes import from_mailbox, named_mailboxes, visible_mailboxes
from smime_proxy.message.report import may_be_answered
from smime_proxy.message.requests import Request, asks_by_sensitivity, read_requests
from smime_proxy.policy.effective import minimum_source, partner_rule
from smime_proxy.policy.facts import Facts, MessageFacts, RecipientFacts, SenderFacts
from smime_proxy.policy.outbound import policy_of
from smime_proxy.policy.rules import Account, Rules, subject_words
from smime_proxy.smime.classify import Outline


def gather(
    envelope: Envelope,
    entity: Entity,
    outline: Outline,
    directory: Directory,
    choices: RecipientChoices,
    rules: Rules,
    *,
    may_report: bool,
    revocation: Revocation | None = None,
) -> Facts:
    """Collect everything `decide` may ask; no I/O, one snapshot.

    Raises `message.requests.BadRequest` for a request field with another value than yes, and
    `KeyUnavailable` when a key that inbound mail is encrypted to cannot be loaded.
    """
    outbound = envelope.session.role is Role.OUTBOUND
    message = _message_facts(envelope, entity, outline, subject_words(rules.words))
    if listener := rules.listeners.get(envelope.session.listener):
        message = replace(
            message, lacks_field=lacking_field(entity.header, listener.require_header)
        )
    if not outbound:
        recipients = tuple(_inbound_recipients(envelope, outline, directory))
        return Facts(message, recipients, may_report=may_report)
    sender = _sender_facts(envelope, entity, directory, revocation)
    chosen = policy_of(sender, rules)

    def least(mailbox: Mailbox) -> MinimumSource:
        return minimum_source(chosen, partner_rule(rules, mailbox))

    want = None if revocation is None else revocation.want
    recipients = tuple(_outbound_recipients(envelope, entity, directory, choices, least, want))
    return Facts(message, recipients, sender, may_report)


def lacking_field(header: HeaderBlock, required: Mapping[str, tuple[str, ...]]) -> str:
    """Name the first field that is not there exactly once with one of its values; "" for none.

    The name counts as readers see it that unfold first: two that look alike are two. One alone must
    be written as services write it, no blank before the colon: others may not know it for theirs.
    """
    for name, values in required.items():
        folded = name.lower()
        found = header.starting_unfolded(folded)
        exact = [field for field in found if field.unfolded_name == folded]
        if len(exact) != 1 or exact[0].value.lower() not in values:
            return name
        if not exact[0].raw.lower().startswith(f"{folded}:".encode()):
            return name
    return ""


def own_account(directory: Directory, mailbox: Mailbox) -> Account | None:
    """Find our account of an address: exactly, else without a plus tag (E75).

    The tag is dropped only here, to find our own policy and keys, never to accept a signature.
    """
    account = directory.account(mailbox)
    if account is not None or (bare := mailbox.untagged) is None:
        return account
    return directory.account(bare)


def _message_facts(
    envelope: Envelope, entity: Entity, outline: Outline, words: Mapping[str, Request]
) -> MessageFacts:
    outbound = envelope.session.role is Role.OUTBOUND
    requests = read_requests(entity.header, words) if outbound else None
    return MessageFacts(
        meeting=(meeting_method(entity) or "") if outbound else "",
        smime=outline.smime,
        # What is encrypted only by its label is the client's own all the same: nobody signs it.
        signed=outline.signed or (outline.encrypted and not outline.sealed),
        encrypted=outline.encrypted,
        sealed=outline.sealed,
        loose_header=has_loose_lines(entity.header),
        pgp_encrypted=outline.pgp_encrypted,
        asks_sign=requests is not None and requests.sign,
        asks_encrypt=requests is not None and requests.encrypt,
        asks_plain=requests is not None and requests.plain,
        sensitive=outbound and asks_by_sensitivity(entity.header),
        answerable=envelope.session.hears_each
        or may_be_answered(entity.header, envelope.reverse_path),
    )


def _sender_facts(
    envelope: Envelope, entity: Entity, directory: Directory, revocation: Revocation | None
) -> SenderFacts:
    try:
        mailbox = from_mailbox(entity.header)
    except FromError as error:
        doubtful = named_mailboxes(entity.header, ("from",))
        return SenderFacts(problem=str(error), named=_accounts(directory, doubtful))
    named = _accounts(directory, (mailbox,))  # a clean From names nobody else
    account = directory.account(mailbox)
    if account is None:
        return SenderFacts(mailbox, named=named)
    held = directory.keys(account)
    choice = choose_signing(
        held,
        mailbox,
        envelope.received_at,
        revocation,
        anchors=directory.anchors(),
        known=directory.intermediates(),
    )
    entry = choice.chosen
    problem = "" if entry is not None else f"{mailbox}: {choice.why_none}"
    unavailable = False
    if entry is not None:
        try:
            directory.signer(account, entry, envelope.received_at)
        except KeyUnavailable as error:
            entry, problem, unavailable = None, str(error), True
    return SenderFacts(mailbox, "", account, named, entry, problem, unavailable)


def _accounts(directory: Directory, mailboxes: Iterable[Mailbox]) -> tuple[Account, ...]:
    ordered = sorted(mailboxes, key=lambda mailbox: mailbox.key)
    found = (own_account(directory, mailbox) for mailbox in ordered)
    unique = {account.address: account for account in found if account is not None}
    return tuple(unique.values())


def _outbound_recipients(
    envelope: Envelope,
    entity: Entity,
    directory: Directory,
    choices: RecipientChoices,
    least: Callable[[Mailbox], MinimumSource],
    want: Want | None,
) -> Iterable[RecipientFacts]:
    at = envelope.received_at
    named: frozenset[Mailbox] | None = None
    for mailbox in envelope.recipients:
        account = own_account(directory, mailbox)
        choice = choices.choose(directory, mailbox, account, at, least(mailbox), want)
        certificate, problem = choice.certificate, choice.problem
        if certificate is None:
            yield RecipientFacts(
                mailbox,
                account,
                problem=problem,
                lapsed=choice.lapsed,
                waits=choice.waits,
                unreachable=choices.unreachable(mailbox),
            )
            continue
        if named is None:  # To and Cc are read only for mail that may be encrypted
            named = visible_mailboxes(entity.header)
        yield RecipientFacts(
            mailbox,
            account,
            certificate,
            problem,
            choice.lapsed,
            mailbox in named,
            capabilities=_capabilities(directory, mailbox, account, certificate),
        )


def _capabilities(
    directory: Directory,
    mailbox: Mailbox,
    account: Account | None,
    chosen: PartnerCertificate,
) -> Capabilities | None:
    """Give what a recipient can read: what he said last, else what his certificate says.

    RFC 4262 1: a certificate speaks for the time before the first signed message. What is encrypted
    to a domain is opened by its gateway, whatever the person's own program reads.
    """
    his_own = account is None and chosen.is_personal(mailbox)
    remembered = directory.capabilities(mailbox) if his_own else None
    if remembered is not None or not chosen.certificate.capabilities:
        return remembered
    try:
        return parse_capabilities(chosen.certificate.capabilities)
    except MalformedCms:
        return None


def _inbound_recipients(
    envelope: Envelope, outline: Outline, directory: Directory
) -> Iterable[RecipientFacts]:
    openers = None if outline.enveloped is None else Openers(directory, outline.enveloped)
    for mailbox in envelope.recipients:
        account = own_account(directory, mailbox)
        opened = () if openers is None else openers.of(mailbox, account)
        yield RecipientFacts(mailbox, account, openers=opened)
