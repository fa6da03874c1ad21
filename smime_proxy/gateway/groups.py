"""What is to be handed on: the groups of a message, the report for those refused, the sent copy.

RFC 5321 4.4 (Received), RFC 3464 (reports), RFC 3834 (who may be answered).
"""

from smime_proxy.envelope import Envelope, ForwardPath, Role, origin_of
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.delivery import Group, Kind, kept_for_copies
from smime_proxy.gateway.reports import failures, report_group
from smime_proxy.gateway.work import Content, Work
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.report import may_be_answered
from smime_proxy.message.trace import received_field
from smime_proxy.policy.plan import Decrypt


def may_report(context: Context, envelope: Envelope, work: Work) -> bool:
    """Tell whether a report may be sent; outside senders get few, their server tells them more."""
    sender = envelope.reverse_path
    if envelope.session.role is Role.OUTBOUND or sender is None:
        return sender is not None
    if not may_be_answered(work.header, sender):
        return False
    allowed = context.rate.allows(sender, envelope.received_at)
    if allowed:
        context.rate.note(sender, envelope.received_at)
    return allowed


def group_of(context: Context, envelope: Envelope, content: Content, header: HeaderBlock) -> Group:
    """Build the group of one content: its recipients, and our Received field in front of it.

    `header` is that of the message as it came.
    """
    session = envelope.session
    # As the client wrote them: two that differ only in case stay two, in his spelling (E74).
    recipients = frozenset(content.delivery.recipients)
    paths = tuple(path for path in envelope.forward_paths if path.mailbox in recipients)
    identifier = envelope.identifier
    if context.loops is not None:
        identifier = context.loops.mark(session.listener, identifier, header)
    received = received_field(
        helo=session.helo,
        peer=session.peer,
        hostname=context.hostname,
        protocol=session.protocol,
        identifier=identifier,
        recipient=paths[0].mailbox if len(paths) == 1 else None,
        at=envelope.received_at,
    )
    route = context.routes[session.listener]
    return Group(
        route.upstream,
        envelope.reverse_path,
        paths,
        (received, content.message),
        smtputf8=envelope.smtputf8,
        headers_only=route.mode.quotes_nothing(session.role),
        parameters=envelope.parameters,
        opened=isinstance(content.delivery.treatment, Decrypt),
        origin=origin_of(session, envelope.identifier),
    )


def report_of(context: Context, envelope: Envelope, work: Work) -> Group | None:
    """Build the report for recipients that policy refuses; None when there are none."""
    reports = context.routes[envelope.session.listener].reports
    if not work.plan.refused or reports is None:
        return None
    failed = failures(work.plan.refused, context.wording)
    return report_group(reports, envelope, work.header, failed, context.hostname, context.wording)


def copy_of(context: Context, envelope: Envelope, work: Work) -> Group | None:
    """Build the group of the sent copy, None when there is none.

    Raises `UpstreamError` when there is no such place.
    """
    plan = work.plan
    if plan.sent_copy is None or work.sent_copy is None:
        return None
    address = plan.sent_copy.account.address
    return Group(
        context.sent_copy(plan.sent_copy.url, address),
        envelope.reverse_path,
        (ForwardPath(address),),
        (work.sent_copy,),
        smtputf8=envelope.smtputf8,
        headers_only=True,
        parameters=kept_for_copies(envelope.parameters),
        kind=Kind.COPY,
    )
