"""Say which rule decides what for each recipient of a message, sending nothing.

The very steps of the mail path: parse, look, gather, decide. No RFC: this is for administrators.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from smime_proxy.envelope import Envelope
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.gateway.record import action_of, certificates_of
from smime_proxy.gateway.replies import refusal_reply, reply_for
from smime_proxy.gateway.work import facts_of
from smime_proxy.message.errors import BadRequest, MessageError
from smime_proxy.message.parse import parse
from smime_proxy.policy.decide import decide
from smime_proxy.policy.effective import effective
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.plan import Plan, Refusal


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one recipient gets: `action` in the words of the log, or `refuse` with its reply.

    `group` numbers the copies from 1, 0 for a refusal; `certificates` are SHA-256 fingerprints in
    hexadecimal, the signer's first; `problem` says why he has no usable certificate.
    """

    recipient: str
    action: str
    rule: str
    group: int
    certificates: tuple[str, ...] = ()
    reply: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """All recipients, and by setting name the table its value was taken from."""

    recipients: tuple[Explanation, ...]
    sources: Mapping[str, str]
    exemptions: tuple[str, ...] = ()


def explain(context: Context, envelope: Envelope) -> Explained:
    """Decide as the mail path would and say why; never raises for what the mail path foresees."""
    try:
        entity = parse(envelope.content)
        facts = facts_of(context, envelope, entity, context.directory())
    except (MessageError, KeyUnavailable) as error:
        return Explained(_all_refused(envelope, error), {})
    decision = decide(envelope, facts, context.rules)
    account = facts.sender.account or next(iter(facts.sender.named), None)
    sources = effective(context.rules, account).sources
    if isinstance(decision, Refusal):
        reply = str(refusal_reply(decision.why, decision.detail))
        refused = tuple(
            Explanation(str(item.mailbox), "refuse", decision.rule, 0, (), reply, item.problem)
            for item in facts.recipients
        )
        return Explained(refused, sources)
    return Explained(_explained(decision, facts), sources, decision.exemptions)


def _explained(plan: Plan, facts: Facts) -> tuple[Explanation, ...]:
    problems = {item.mailbox: item.problem for item in facts.recipients}
    served = (
        Explanation(
            str(mailbox),
            action_of(delivery.treatment),
            delivery.rule,
            number,
            certificates_of(delivery.treatment),
            problem=problems.get(mailbox, ""),
        )
        for number, delivery in enumerate(plan.deliveries, 1)
        for mailbox in delivery.recipients
    )
    refused = (
        Explanation(
            str(item.recipient),
            "refuse",
            item.rule,
            0,
            (),
            str(refusal_reply(item.why, item.detail)),
            problems.get(item.recipient, ""),
        )
        for item in plan.refused
    )
    return (*served, *refused)


def _all_refused(
    envelope: Envelope, error: MessageError | KeyUnavailable
) -> tuple[Explanation, ...]:
    situation, detail = "malformed", str(error)
    if isinstance(error, BadRequest):
        situation, detail = "bad_request", f"{envelope.reverse_path or '<>'}: {error}"
    elif isinstance(error, KeyUnavailable):
        situation = "key_unavailable"
    reply = str(reply_for(situation, detail))
    return tuple(
        Explanation(str(mailbox), "refuse", situation.replace("_", " "), 0, (), reply)
        for mailbox in envelope.recipients
    )
