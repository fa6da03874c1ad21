"""Deliver what was made: one group on the transaction already open, several by prepare and commit.

RFC 5321 6.1 (responsibility), RFC 3464 (the report for those who cannot be served).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smime_proxy.envelope import Envelope, ForwardPath, Role
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.delivery import (
    Group,
    PathReplies,
    Prepared,
    answered,
    drop,
    kept_for_copies,
    prepare_all,
    prepare_opened,
    verdict,
)
from smime_proxy.gateway.ports import Transaction
from smime_proxy.gateway.replies import reply_for
from smime_proxy.gateway.reports import failures, report_group, undelivered
from smime_proxy.gateway.work import Content, Work
from smime_proxy.message.report import may_be_answered
from smime_proxy.message.trace import received_field
from smime_proxy.policy.plan import Decrypt
from smime_proxy.reply import EnhancedStatus, Reply

CLIENT_GONE = Reply(451, EnhancedStatus(4, 2), "The client left before the message was sent.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client is told, and what each group's upstream said of whom, in the work's order.

    `copy` is the sent copy, prepared and to be filed now, or the reply that refused it for good.
    `each` has a reply for each forward-path, only where the client hears of each.
    """

    reply: Reply
    replies: tuple[PathReplies, ...]
    copy: Prepared | Reply | None = None
    each: tuple[Reply, ...] = ()


async def deliver(
    context: Context,
    envelope: Envelope,
    work: Work,
    opened: Transaction | None,
    client_gone: Callable[[], bool],
) -> Outcome:
    """Hand all groups on, then the report for refused recipients; the sent copy is prepared.

    `opened` is the transaction of the recipients as the client named them; it is used when there
    is one group, else reset. Nothing is sent unless every group and the copy are prepared.
    """
    groups = [group_of(context, envelope, content) for content in work.contents]
    report = _report(context, envelope, work)
    whole = len(groups) == 1 and len(groups[0].paths) == len(envelope.forward_paths)
    if whole and report is None and opened is not None:
        prepared = await prepare_opened(groups[0], opened)
    else:
        await drop(opened)
        prepared = await prepare_all([*groups, *([report] if report else [])])
    if isinstance(prepared, Reply):
        return _nobody(prepared, groups)
    try:
        copy = await prepare_copy(context, envelope, work)
    except BaseException:
        await prepared.abort()
        raise
    refusal = replace(copy, code=451) if isinstance(copy, Reply) and copy.is_temporary else None
    if client_gone():
        refusal = CLIENT_GONE
    if refusal is not None:
        await prepared.abort()
        await abort_copy(copy)
        return _nobody(refusal, groups)
    return await _commit(context, envelope, work, groups, prepared, copy)


async def file_copy(copy: Prepared | Reply) -> Reply:
    """File the sent copy `deliver` prepared, or give the reply that refused it for good."""
    return copy if isinstance(copy, Reply) else verdict((await copy.commit())[0])


async def _commit(
    context: Context,
    envelope: Envelope,
    work: Work,
    groups: Sequence[Group],
    prepared: Prepared,
    copy: Prepared | Reply | None,
) -> Outcome:
    try:
        replies = await prepared.commit()
        of_groups = replies[: len(groups)]
        reported = len(replies) > len(groups) and verdict(replies[-1]).is_positive
        if reported and envelope.reverse_path is not None:
            context.rate.note(envelope.reverse_path, envelope.received_at)
        served = any(reply.is_positive for _, reply in replies[0])
        if served and not all(verdict(group).is_positive for group in replies):
            reply = await _partly(context, envelope, work, groups, replies)
        else:
            reply = verdict(replies[0])
    except BaseException:
        await abort_copy(copy)
        raise
    if reply.is_temporary or not served:
        await abort_copy(copy)  # the client sends again, or nobody got it
        return Outcome(reply, of_groups)
    return Outcome(reply, of_groups, copy)


async def _partly(
    context: Context,
    envelope: Envelope,
    work: Work,
    groups: Sequence[Group],
    replies: Sequence[PathReplies],
) -> Reply:
    """Answer for mail that some got: the client sends again, or a report names the rest."""
    context.measures.count("partly_sent")
    told = [pair for group in replies[: len(groups)] for pair in group]
    rest = [(path, reply) for path, reply in told if not reply.is_positive]
    count = f"{len(told) - len(rest)} of {len(told)} recipients have the message"
    if not all(reply.is_permanent for _, reply in rest) or len(replies) > len(groups):
        return reply_for("partly_sent", count)
    reports = context.routes[envelope.session.listener].reports
    if reports is not None and _may_report(context, envelope, work):
        header, failed = work.entity.header, undelivered(rest, context.wording)
        report = report_group(reports, envelope, header, failed, context.hostname, context.wording)
        # Without one nobody wanted to hear of it (RFC 3461 4.1).
        if report is None or (await _send(report)).is_positive:
            return next(reply for _, reply in told if reply.is_positive)
    return reply_for("partly_refused", f"{count}; the rest was refused: {rest[0][1]}")


def _may_report(context: Context, envelope: Envelope, work: Work) -> bool:
    """Tell whether a report may be sent; outside senders get few, their server tells them more."""
    sender = envelope.reverse_path
    if envelope.session.role is Role.OUTBOUND or sender is None:
        return sender is not None
    if not may_be_answered(work.entity.header, sender):
        return False
    allowed = context.rate.allows(sender, envelope.received_at)
    context.rate.note(sender, envelope.received_at)
    return allowed


async def _send(group: Group) -> Reply:
    prepared = await prepare_all([group])
    if isinstance(prepared, Reply):
        return prepared
    return verdict((await prepared.commit())[0])


def group_of(context: Context, envelope: Envelope, content: Content) -> Group:
    """Put one content behind our Received field, for its recipients as the client wrote them."""
    session = envelope.session
    # As the client wrote them: two that differ only in case stay two, in his spelling (E74).
    recipients = frozenset(content.delivery.recipients)
    paths = tuple(path for path in envelope.forward_paths if path.mailbox in recipients)
    received = received_field(
        helo=session.helo,
        peer=session.peer,
        hostname=context.hostname,
        protocol=session.protocol,
        identifier=envelope.identifier,
        recipient=paths[0].mailbox if len(paths) == 1 else None,
        at=envelope.received_at,
    )
    return Group(
        context.routes[session.listener].upstream,
        envelope.reverse_path,
        paths,
        (received, content.message),
        smtputf8=envelope.smtputf8,
        headers_only=session.role is Role.INBOUND,
        parameters=envelope.parameters,
        opened=isinstance(content.delivery.treatment, Decrypt),
    )


def _report(context: Context, envelope: Envelope, work: Work) -> Group | None:
    reports = context.routes[envelope.session.listener].reports
    if not work.plan.refused or reports is None:
        return None
    failed = failures(work.plan.refused, context.wording)
    return report_group(
        reports, envelope, work.entity.header, failed, context.hostname, context.wording
    )


async def prepare_copy(context: Context, envelope: Envelope, work: Work) -> Prepared | Reply | None:
    """Prepare the sent copy, if there is to be one; a Reply is its refusal."""
    plan = work.plan
    if plan.sent_copy is None or work.sent_copy is None:
        return None
    address = plan.sent_copy.account.address
    upstream = context.sent_copy(plan.sent_copy.url, address)
    group = Group(
        upstream,
        envelope.reverse_path,
        (ForwardPath(address),),
        (work.sent_copy,),
        smtputf8=envelope.smtputf8,
        headers_only=True,
        parameters=kept_for_copies(envelope.parameters),
    )
    return await prepare_all([group])


async def abort_copy(copy: Prepared | Reply | None) -> None:
    """Drop a sent copy that was prepared."""
    if isinstance(copy, Prepared):
        await copy.abort()


def _nobody(reply: Reply, groups: Sequence[Group]) -> Outcome:
    return Outcome(reply, tuple(answered(group, reply) for group in groups))
