"""What the log and the counters keep of each transaction: one line a delivery, never content.

No RFC; docs/metrics.md names the counters, docs/logging.md the events and their fields.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.envelope import Envelope, Origin, Role
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.deliver import Outcome
from smime_proxy.gateway.delivery import PathReplies
from smime_proxy.gateway.observing import Observed, Undecided
from smime_proxy.gateway.work import Content, Refused, Work
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.message_ids import own_identifiers
from smime_proxy.policy.plan import (
    Decrypt,
    Encrypt,
    Relay,
    Sign,
    SignThenEncrypt,
    Treatment,
    Verify,
)
from smime_proxy.reply import Reply

MAX_MESSAGE_ID = 250  # octets in the log; more is nobody's honest name
UNKNOWN_CLIENT = "unknown"  # as Postfix writes it

_QUEUED = re.compile(r"\bqueued as ([\w.-]{1,64})|\bid=([\w.-]{1,64})", re.ASCII)

_log = structlog.get_logger("smime_proxy.mail")

ACTIONS: dict[type[Treatment], str] = {
    Relay: "relay",
    Sign: "sign",
    Encrypt: "encrypt",
    SignThenEncrypt: "sign+encrypt",
    Verify: "verify",
    Decrypt: "decrypt",
}


def action_of(treatment: Treatment) -> str:
    """Name a treatment as the log, the counters and `explain` do."""
    return ACTIONS[type(treatment)]


def certificates_of(treatment: Treatment) -> tuple[str, ...]:
    """Give the SHA-256 fingerprints of the certificates a treatment uses, signer first."""
    signer = (
        treatment.key.entry.certificate.fingerprint
        if isinstance(treatment, Sign | SignThenEncrypt)
        else ""
    )
    recipients = (
        tuple(item.certificate.certificate.fingerprint for item in treatment.encryption.recipients)
        if isinstance(treatment, Encrypt | SignThenEncrypt)
        else ()
    )
    return (signer, *recipients) if signer else recipients


def opened_with(treatment: Treatment) -> tuple[str, ...]:
    """Give the accounts whose keys a treatment opens mail with."""
    accounts = treatment.accounts if isinstance(treatment, Decrypt) else ()
    return tuple(str(account.address) for account in accounts)


def algorithms_of(
    treatment: Treatment, certificate: PartnerCertificate | None
) -> Mapping[str, str]:
    """Give the algorithms a treatment uses, by setting name, for the holder of a certificate.

    A signature is named only where there is a choice, by a key that is RSA; so is key transport.
    """
    found: dict[str, str] = {}
    if isinstance(treatment, Sign | SignThenEncrypt):
        if treatment.key.entry.certificate.key_type == "rsa":
            found["signature"] = treatment.form.scheme.value
        found["opaque"] = "yes" if treatment.form.opaque else "no"
    if isinstance(treatment, Encrypt | SignThenEncrypt):
        found["content_encryption"] = treatment.encryption.content_encryption.value
        for item in treatment.encryption.recipients:
            if item.certificate == certificate and item.key_transport is not None:
                found["key_transport"] = item.key_transport.value
    if isinstance(treatment, Sign | Encrypt | SignThenEncrypt):
        found["header_protection"] = treatment.header_protection.value
    return found


def record_refusal(context: Context, envelope: Envelope, refused: Refused) -> None:
    """Log and count mail that is refused before anything leaves, or would be."""
    mode = _mode(context, envelope)
    context.measures.count("refused", rule=refused.rule.partition(":")[0], mode=mode)
    fields = _envelope_fields(envelope)
    _log.info("refused", **fields, rule=refused.rule, reply=str(refused.reply), mode=mode)


def record_copy(context: Context, envelope: Envelope, reply: Reply) -> None:
    """Log and count what became of the sent copy."""
    context.measures.count("sent_copies", outcome=_outcome(reply.code))
    _log.info("sent copy", id=envelope.identifier, reply=str(reply))


def record_deliveries(context: Context, envelope: Envelope, work: Work, outcome: Outcome) -> None:
    """Log one line a delivery and reply, and count treatments, exemptions and reports."""
    mode = _mode(context, envelope)
    fields = _envelope_fields(envelope) | {"message_id": _message_id(work.header)}
    for content, replies in zip(work.contents, outcome.replies, strict=True):
        action = action_of(content.delivery.treatment)
        for reply, to in _by_reply(replies):
            context.measures.count(
                "deliveries", treatment=action, outcome=_outcome(reply.code), mode=mode
            )
            _log_delivery(fields | {"to": to}, content, reply, mode)
    if work.confidential and envelope.session.role is Role.OUTBOUND:
        context.measures.count("after_decryption", mode=mode)
    if work.broken_dkim:
        context.measures.count("dkim_removed", mode=mode)
        _log.info("dkim removed", id=envelope.identifier, signatures=work.broken_dkim, mode=mode)
    for exemption in work.plan.exemptions:
        context.measures.count("exemptions", kind=exemption.partition(":")[0], mode=mode)
        _log.info("exemption", id=envelope.identifier, kind=exemption, mode=mode)
    for signature, encryption in work.verdicts if outcome.reply.is_positive else ():
        context.measures.count("verdicts", signature=signature, encryption=encryption, mode=mode)
    _record_refused(context, envelope, work, outcome)


def record_observed(
    context: Context, envelope: Envelope, observed: Observed, outcome: Outcome
) -> None:
    """Log and count what would have become of mail that left as it came.

    Each delivery that would have been made has the replies its recipients' copies got now; who
    would have got none has a line for what he got all the same, which is not counted.
    """
    (content,), (replies,) = observed.relayed.contents, outcome.replies
    instead, served = observed.instead, frozenset[Mailbox]()
    match instead:
        case Refused():
            record_refusal(context, envelope, instead)
        case Undecided():
            context.measures.count("undecided", reason=instead.value)
        case Work():
            groups = [frozenset(one.delivery.recipients) for one in instead.contents]
            told = tuple(_of(replies, group) for group in groups)
            record_deliveries(context, envelope, instead, replace(outcome, replies=told))
            served = served.union(*groups)
        case _:
            assert_never(instead)
    fields = _envelope_fields(envelope) | {"message_id": _message_id(observed.relayed.header)}
    others = tuple(pair for pair in replies if pair[0].mailbox not in served)
    for reply, to in _by_reply(others):
        _log_delivery(fields | {"to": to}, content, reply, _mode(context, envelope))


def _of(replies: PathReplies, mailboxes: Collection[Mailbox]) -> PathReplies:
    return tuple(pair for pair in replies if pair[0].mailbox in mailboxes)


def _log_delivery(fields: Mapping[str, object], content: Content, reply: Reply, mode: str) -> None:
    treatment = content.delivery.treatment
    _log.info(
        "delivery",
        **fields,
        action=action_of(treatment),
        rule=content.delivery.rule,
        certificates=[item[:16] for item in certificates_of(treatment)],
        opened_with=list(opened_with(treatment)),
        size=len(content.message),
        reply=str(reply),
        queued_as=queued_as(reply),
        mode=mode,
    )


def _record_refused(context: Context, envelope: Envelope, work: Work, outcome: Outcome) -> None:
    """Log and count who was refused: by LMTP the client is told, else a report tells the sender.

    Without a 250 no report was taken, and the client sends all of it again.
    """
    mode = _mode(context, envelope)
    for refused in work.plan.refused:
        fields = {"to": [str(refused.recipient)], "rule": refused.rule, "mode": mode}
        if envelope.session.hears_each:
            context.measures.count("refused", rule=refused.rule.partition(":")[0], mode=mode)
            _log.info("refused", id=envelope.identifier, **fields)
        elif outcome.reply.is_positive:
            context.measures.count("reported", mode=mode)
            _log.info("reported", id=envelope.identifier, **fields)


def _mode(context: Context, envelope: Envelope) -> str:
    return context.routes[envelope.session.listener].mode.value


def _by_reply(replies: PathReplies) -> Iterable[tuple[Reply, list[str]]]:
    """Gather who was told the same; a delivery by LMTP has more than one."""
    told: dict[Reply, list[str]] = {}
    for path, reply in replies:
        told.setdefault(reply, []).append(str(path.mailbox))
    return told.items()


def queued_as(reply: Reply) -> str:
    """Give the name the upstream has for the message, as Postfix and Exim say it, or ""."""
    found = _QUEUED.search(reply.text) if reply.is_positive else None
    return (found[1] or found[2]) if found else ""


def _message_id(header: HeaderBlock) -> str:
    identifiers = own_identifiers(header)
    return identifiers[0][:MAX_MESSAGE_ID].decode("utf-8", "replace") if identifiers else ""


def _envelope_fields(envelope: Envelope) -> dict[str, object]:
    sender: Mailbox | None = envelope.reverse_path
    forwarded = envelope.session.forwarded
    original = {} if forwarded is None else _forwarded_fields(forwarded)
    return {
        "id": envelope.identifier,
        "listener": envelope.session.listener,
        "client": envelope.session.peer,
        "helo": envelope.session.helo,
        **original,
        "sender": str(sender) if sender else "<>",
        "to": [str(mailbox) for mailbox in envelope.recipients],
    }


def _forwarded_fields(origin: Origin) -> dict[str, object]:
    """Give what XFORWARD said, under the names of Postfix's own log."""
    return {
        "orig_client": origin.address or UNKNOWN_CLIENT,
        "orig_queue_id": origin.identifier,
        "orig_source": origin.source,
    }


def _outcome(code: int) -> str:
    return {2: "accepted", 4: "deferred", 5: "refused"}.get(code // 100, "deferred")
