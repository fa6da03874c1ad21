"""The computing half of a mail transaction: octets and snapshot in, contents to deliver out.

Parse, look, gather, decide, transform, in this order and without I/O, so that large mail can be
worked on in a thread. RFC 5322, RFC 8551; limits of RFC 5321 6.3 (loops).
"""

from dataclasses import dataclass
from types import MappingProxyType

from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import Envelope, Role
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.conversation import with_conversation
from smime_proxy.gateway.discovered import Found
from smime_proxy.gateway.gather import gather, own_account
from smime_proxy.gateway.harvest import Finder
from smime_proxy.gateway.loops import MAX_PASSES
from smime_proxy.gateway.patience import ask_of_own
from smime_proxy.gateway.ports import (
    Directory,
    Discovery,
    FoundKey,
    KeyUnavailable,
    MemoryUnreadable,
    SeenCapabilities,
)
from smime_proxy.gateway.replies import refusal_reply, reply_for
from smime_proxy.gateway.transform import Material, Transform
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import BadRequest, MessageError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.message.trace import MAX_RECEIVED, received_count
from smime_proxy.policy.decide import decide
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.lacking import Lack, lacking
from smime_proxy.policy.plan import Delivery, Plan, Refusal, SigningKey
from smime_proxy.policy.rules import Rules, subject_words
from smime_proxy.reply import Reply
from smime_proxy.smime.classify import outline
from smime_proxy.smime.verify import Trust

MAX_COPIES_OCTETS = 400_000_000  # of one message in memory; eight copies of the largest
TOO_MANY_GROUPS = "too many groups"  # the rule in log and `explain`


@dataclass(frozen=True, slots=True)
class Content:
    """One group: its delivery as decided and the message octets, without our Received field."""

    delivery: Delivery
    message: bytes


@dataclass(frozen=True, slots=True)
class Work:
    """All that is left to do: contents to deliver, and what the plan says besides.

    `header` is that of the message as it came. `seen` is what the sender can read, to be remembered
    once the mail is delivered; `found` his key. `broken_dkim` counts DKIM
    signatures of our own that had to go. `confidential` are the Message-IDs of mail that was
    decrypted here, or answers or carries such mail, to be remembered. `verdicts`: what was found of
    signature and encryption.
    """

    header: HeaderBlock
    plan: Plan
    contents: tuple[Content, ...]
    sent_copy: bytes | None = None
    seen: SeenCapabilities | None = None
    found: FoundKey | None = None
    broken_dkim: int = 0
    confidential: tuple[bytes, ...] = ()
    verdicts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The message is refused before anything left; `rule` says why in the log."""

    reply: Reply
    rule: str


class Lacking(Exception):  # noqa: N818 - the state of a mail, not an error
    """Certificates are to be looked for before anything can be decided: for whom, and where."""

    def __init__(self, lacks: tuple[Lack, ...], discovery: Discovery) -> None:
        """Keep the recipients, and who is to be asked."""
        super().__init__(", ".join(str(lack.mailbox) for lack in lacks))
        self.lacks = lacks
        self.discovery = discovery


def make(context: Context, envelope: Envelope, found: Found | None = None) -> Work | Refused:
    """Do everything that needs no network for one mail object.

    Foreseen faults of the message or a key are a `Refused`; anything else raises. `found` is what
    directories outside said; while it is None, raises `Lacking` if they are to be asked.
    """
    directory = context.directory()
    try:
        entity = parse(envelope.content)
        if loop := loop_of(context, envelope, entity.header):
            return Refused(reply_for("mail_loop", loop), "mail loop")
        facts = facts_of(context, envelope, entity, directory, found or {})
        lacks = to_discover(context, envelope, facts) if found is None else ()
        if lacks and context.discovery is not None:
            raise Lacking(lacks, context.discovery)
        decision = decide(envelope, facts, context.rules)
        if isinstance(decision, Refusal):
            reply = refusal_reply(decision.why, decision.detail, decision.instead)
            return Refused(reply, decision.rule)
        transform = Transform(_material(context, envelope, entity, directory))
        return _carry_out(decision, transform, directory, facts, context.rules)
    except MemoryUnreadable as error:
        return Refused(reply_for("memory_unreadable", str(error)), "memory unreadable")
    except BadRequest as error:
        detail = f"{envelope.reverse_path or '<>'}: {error}"
        return Refused(reply_for("bad_request", detail), "request field")
    except KeyUnavailable as error:
        return Refused(reply_for("key_unavailable", str(error)), "key unavailable")
    except MessageError as error:
        return Refused(reply_for("malformed", str(error)), "malformed message")


def loop_of(context: Context, envelope: Envelope, header: HeaderBlock) -> str:
    """Say by what a message is known that goes round, "" of any other."""
    if received_count(header) > MAX_RECEIVED:
        return f"more than {MAX_RECEIVED} Received fields"
    if context.loops and context.loops.goes_round(envelope.session.listener, header):
        return f"it was here more than {MAX_PASSES} times"
    return ""


def to_discover(context: Context, envelope: Envelope, facts: Facts) -> tuple[Lack, ...]:
    """Name the recipients without a certificate whom some directory outside is asked about."""
    discovery = context.discovery
    if discovery is None:
        return ()
    lacks = lacking(envelope, facts, context.rules)
    return tuple(lack for lack in lacks if discovery.sources_for(lack.mailbox))


def facts_of(
    context: Context,
    envelope: Envelope,
    entity: Entity,
    directory: Directory,
    found: Found = MappingProxyType({}),
) -> Facts:
    """Gather the facts of one mail object as `decide` wants them.

    Raises as `gather`, and `MemoryUnreadable`.
    """
    facts = gather(
        envelope,
        entity,
        outline(entity),
        directory,
        RecipientChoices(context.revocation, found) if found else context.choices,
        context.rules,
        may_report=_may_report(context, envelope),
        revocation=context.revocation,
    )
    if context.memory is None:
        return facts
    return with_conversation(facts, envelope, entity, context.rules, context.memory)


def too_many_groups(rules: Rules) -> Reply:
    """Refuse a message of more copies than it may have."""
    return reply_for("too_many_groups", f"more than {rules.max_groups} copies")


def _may_report(context: Context, envelope: Envelope) -> bool:
    if envelope.session.hears_each:
        return True  # the client reports, as the reply for each recipient tells it to
    sender = envelope.reverse_path
    if sender is None or context.routes[envelope.session.listener].reports is None:
        return False
    if not all(path.wants_failures for path in envelope.forward_paths):
        return False  # RFC 3461 4.1: who asked not to be told must not lose mail silently for it
    if envelope.session.role is Role.OUTBOUND:
        return True  # our own people are told each time; the rate is for outside senders
    return context.rate.allows(sender, envelope.received_at)


def _material(
    context: Context, envelope: Envelope, entity: Entity, directory: Directory
) -> Material:
    trust = Trust(
        directory.anchors(),
        directory.intermediates(),
        directory.known_certificates,
        context.revocation,
        context.rules.gateways,
        lambda mailbox: [one.certificate for one in directory.partner_certificates(mailbox)],
        context.rules.subject_address,
    )
    at = envelope.received_at

    def signer(key: SigningKey) -> CmsSigner:
        ask_of_own(context, directory, key.entry, at)
        return directory.signer(key.account, key.entry, at)

    finder = Finder(context.rules.harvest, directory, trust, entity.header, at)
    return Material(
        envelope=envelope,
        entity=entity,
        words=subject_words(context.rules.words),
        authserv_id=context.authserv_id,
        trust=trust,
        signer=signer,
        decryption_keys=lambda account: tuple(directory.decryption_keys(account)),
        random=context.random,
        unwrap=context.rules.unwrap,
        find_key=finder.find,
        is_own_domain=directory.is_own_domain,
        marks=context.memory.keys if context.memory is not None else None,
        hostname=context.hostname,
    )


def _carry_out(
    plan: Plan, transform: Transform, directory: Directory, facts: Facts, rules: Rules
) -> Work | Refused:
    contents: list[Content] = []
    try:
        for delivery in plan.deliveries:
            _add(contents, Content(delivery, transform.content(delivery.treatment)))
            # Before the next one is made: they may be large.
            if len(contents) > rules.max_groups:
                return Refused(too_many_groups(rules), TOO_MANY_GROUPS)
            if len(contents) > 1 and sum(len(one.message) for one in contents) > MAX_COPIES_OCTETS:
                detail = f"{len(contents)} copies have more than {MAX_COPIES_OCTETS} octets"
                return Refused(reply_for("too_many_groups", detail), TOO_MANY_GROUPS)
        copy = transform.sent_copy(plan.sent_copy) if plan.sent_copy else None
    except CmsError as error:
        # What should be signed or encrypted cannot be: never sent any other way (invariant I5).
        return Refused(reply_for("internal_error", str(error)), "protection failed")
    seen = transform.seen
    if seen is not None and own_account(directory, seen.mailbox) is not None:
        seen = None  # what our own accounts can read is known from their keys
    # Of an answer as well: who answers that may name no older mail.
    confidential = transform.decrypted or bool(facts.message.conversation)
    return Work(
        transform.entity.header,
        plan,
        tuple(contents),
        copy,
        seen,
        transform.found,
        transform.broken_dkim,
        transform.identifiers if confidential else (),
        transform.verdicts,
    )


def _add(contents: list[Content], content: Content) -> None:
    """Add a group, joined to the one of equal octets if there is: several persons opened it."""
    for number, before in enumerate(contents):
        if before.message == content.message:
            recipients = (*before.delivery.recipients, *content.delivery.recipients)
            joined = Delivery(recipients, before.delivery.treatment, before.delivery.rule)
            contents[number] = Content(joined, before.message)
            return
    contents.append(content)
