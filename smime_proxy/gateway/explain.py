"""Say which rule decides what for each recipient of a message, sending nothing.

The very steps of the mail path: parse, look, gather, decide. No RFC: this is for administrators.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Envelope, Role
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.discovered import Found
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import KeyUnavailable, MemoryUnreadable
from smime_proxy.gateway.record import action_of, algorithms_of, certificates_of, opened_with
from smime_proxy.gateway.replies import refusal_reply, reply_for
from smime_proxy.gateway.wording import Wording
from smime_proxy.gateway.work import TOO_MANY_GROUPS, facts_of, to_discover, too_many_groups
from smime_proxy.message.errors import BadRequest, MessageError
from smime_proxy.message.parse import parse
from smime_proxy.policy.choice import Algorithms, readable
from smime_proxy.policy.decide import decide
from smime_proxy.policy.effective import Effective, minimum_source, partner_rule
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.lacking import Lack
from smime_proxy.policy.outbound import policy_of
from smime_proxy.policy.plan import Plan, Refusal
from smime_proxy.policy.rules import Rules
from smime_proxy.policy.wish import algorithms_for
from smime_proxy.reply import Reply

# The source of what is otherwise than set: signed by the client, or shared with other recipients.
THE_MESSAGE = "the message"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one recipient gets: `action` in the words of the log, or `refuse` with its reply.

    `group` numbers the copies from 1, 0 for a refusal; `certificates` are SHA-256 fingerprints in
    hexadecimal, the signer's first; `problem` says why he has no usable certificate, or that it is
    the one of his domain. `algorithms`
    are those of his copy and `sources` the table each was taken from, both by setting name; `reads`
    is what he says that he can read, `certificate_source` who gave us the certificate of a partner
    (`certs.source`). `lookups` are the directories that would be asked for a certificate of his,
    `opened_with` the accounts whose keys open the mail for him.
    """

    recipient: str
    action: str
    rule: str
    group: int
    certificates: tuple[str, ...] = ()
    reply: str = ""
    problem: str = ""
    algorithms: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    certificate_source: str = ""
    lookups: tuple[str, ...] = ()
    opened_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """All recipients, and by setting name the table its value was taken from.

    `mode` is that of the listener; all is said as if it were enforced.
    """

    recipients: tuple[Explanation, ...]
    sources: Mapping[str, str]
    exemptions: tuple[str, ...] = ()
    mode: str = Mode.ENFORCE.value


def explain(context: Context, envelope: Envelope, found: Found | None = None) -> Explained:
    """Decide as the mail path would and say why; never raises for what the mail path foresees.

    `found` is what directories outside said; without it, None, it is said who would be asked.
    """
    mode = context.routes[envelope.session.listener].mode
    return replace(_explained_to(context, envelope, found), mode=mode.value)


def _explained_to(context: Context, envelope: Envelope, found: Found | None) -> Explained:
    try:
        entity = parse(envelope.content)
        facts = facts_of(context, envelope, entity, context.directory(), found or {})
    except (MessageError, KeyUnavailable, MemoryUnreadable) as error:
        return Explained(_all_refused(envelope, error, context.wording), {})
    explained = _decided(context, envelope, facts)
    if found is not None:
        return explained
    asked = {
        str(lack.mailbox): tuple(context.discovery.sources_for(lack.mailbox))
        for lack in to_discover(context, envelope, facts)
        if context.discovery is not None
    }
    one_by_one = (
        replace(one, lookups=asked.get(one.recipient, ())) for one in explained.recipients
    )
    return replace(explained, recipients=tuple(one_by_one))


def to_look_up(context: Context, envelope: Envelope) -> tuple[Lack, ...]:
    """Name the recipients directories outside would be asked about; nobody for faulty mail."""
    try:
        entity = parse(envelope.content)
        facts = facts_of(context, envelope, entity, context.directory(), {})
    except (MessageError, KeyUnavailable, MemoryUnreadable):
        return ()
    return to_discover(context, envelope, facts)


def _decided(context: Context, envelope: Envelope, facts: Facts) -> Explained:
    decision = decide(envelope, facts, context.rules)
    chosen = policy_of(facts.sender, context.rules)
    sources = chosen.sources
    if isinstance(decision, Refusal):
        refused = refusal_reply(decision.why, decision.detail, decision.instead)
        reply = context.wording.reply(refused)
        return Explained(_nobody(facts, decision.rule, reply), sources)
    if envelope.session.role is Role.OUTBOUND and len(decision.deliveries) > (
        context.rules.max_groups
    ):
        reply = context.wording.reply(too_many_groups(context.rules))
        return Explained(_nobody(facts, TOO_MANY_GROUPS, reply), sources)
    wanted = {
        item.mailbox: algorithms_for(item, chosen, context.rules) for item in facts.recipients
    }
    explained = tuple(
        replace(one, sources={**_least_source(one, facts, chosen, context.rules), **one.sources})
        for one in _explained(decision, facts, wanted, context.wording)
    )
    return Explained(explained, sources, decision.exemptions)


def _least_source(
    one: Explanation, facts: Facts, chosen: Effective, rules: Rules
) -> Mapping[str, str]:
    """Say where the least source of a certificate comes from, if it is the partner's table."""
    mailbox = next(item.mailbox for item in facts.recipients if str(item.mailbox) == one.recipient)
    partner = partner_rule(rules, mailbox)
    if minimum_source(chosen, partner) is chosen.policy.minimum_source:
        return {}
    return {"minimum_source": partner.sources["minimum_source"]}


def _nobody(facts: Facts, rule: str, reply: Reply) -> tuple[Explanation, ...]:
    return tuple(
        Explanation(str(item.mailbox), "refuse", rule, 0, (), str(reply), item.problem)
        for item in facts.recipients
    )


def _explained(
    plan: Plan, facts: Facts, wanted: Mapping[Mailbox, Algorithms], wording: Wording
) -> tuple[Explanation, ...]:
    problems = {item.mailbox: item.problem for item in facts.recipients}
    certificates = {item.mailbox: item.certificate for item in facts.recipients}
    reads = {item.mailbox: readable(item.capabilities) for item in facts.recipients}
    served = []
    for number, delivery in enumerate(plan.deliveries, 1):
        for mailbox in delivery.recipients:
            found = algorithms_of(delivery.treatment, certificates.get(mailbox))
            served.append(
                Explanation(
                    str(mailbox),
                    action_of(delivery.treatment),
                    delivery.rule,
                    number,
                    certificates_of(delivery.treatment),
                    problem=problems.get(mailbox, ""),
                    algorithms=found,
                    reads=reads.get(mailbox, ()),
                    sources=_sources(found, wanted[mailbox]) if mailbox in wanted else {},
                    certificate_source=_source(facts, mailbox, found),
                    opened_with=opened_with(delivery.treatment),
                )
            )
    refused = (
        Explanation(
            str(item.recipient),
            "refuse",
            item.rule,
            0,
            (),
            str(wording.reply(refusal_reply(item.why, item.detail, item.instead))),
            problems.get(item.recipient, ""),
        )
        for item in plan.refused
    )
    return (*served, *refused)


def _source(facts: Facts, mailbox: Mailbox, found: Mapping[str, str]) -> str:
    """Say who gave us the certificate a partner's copy is encrypted to."""
    item = next(item for item in facts.recipients if item.mailbox == mailbox)
    if item.account is not None or item.certificate is None or "content_encryption" not in found:
        return ""
    return item.certificate.source.value


def _sources(found: Mapping[str, str], wanted: Algorithms) -> Mapping[str, str]:
    """Say where each algorithm comes from, by setting name."""
    said = {
        "signature": wanted.signature.value,
        "opaque": "yes" if wanted.opaque else "no",
        "content_encryption": wanted.content_encryption.value,
        "key_transport": wanted.key_transport.value if wanted.key_transport else "",
        "header_protection": wanted.header_protection.value,
    }
    return {
        name: wanted.sources[name] if value == said[name] else THE_MESSAGE
        for name, value in found.items()
    }


def _all_refused(
    envelope: Envelope,
    error: MessageError | KeyUnavailable | MemoryUnreadable,
    wording: Wording,
) -> tuple[Explanation, ...]:
    situation, detail = "malformed", str(error)
    if isinstance(error, BadRequest):
        situation, detail = "bad_request", f"{envelope.reverse_path or '<>'}: {error}"
    elif isinstance(error, KeyUnavailable):
        situation = "key_unavailable"
    elif isinstance(error, MemoryUnreadable):
        situation = "memory_unreadable"
    reply = str(wording.reply(reply_for(situation, detail)))
    return tuple(
        Explanation(str(mailbox), "refuse", situation.replace("_", " "), 0, (), reply)
        for mailbox in envelope.recipients
    )
