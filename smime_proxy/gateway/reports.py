"""Reports to senders: whom one may go to, how often, and the group that carries it.

RFC 3464 (delivery status notifications), RFC 3834 (what automatic mail may do), E67-E70.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Envelope, ForwardPath
from smime_proxy.gateway.delivery import Group, Kind, kept_for_copies
from smime_proxy.gateway.ports import Upstream
from smime_proxy.gateway.replies import refusal_reply
from smime_proxy.gateway.texts import REPORT, Language
from smime_proxy.gateway.wording import Wording
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.report import FailedRecipient, ReportText, delivery_report
from smime_proxy.policy.plan import Refused, Why
from smime_proxy.reply import Reply

ONE_REPORT_EACH = timedelta(hours=1)  # a sender, E70; RFC 3834 2
MAX_SENDERS = 10_000  # remembered; beyond that nobody new gets a report within the hour


class ReportRate:
    """Remembers who was sent a report, so that outside senders get one an hour at most."""

    def __init__(self) -> None:
        """Start with nobody remembered."""
        self._sent: dict[str, datetime] = {}

    def allows(self, sender: Mailbox, at: datetime) -> bool:
        """Tell whether a report may go to this sender now; remembers nothing."""
        if len(self._sent) >= MAX_SENDERS:
            self._forget(at)
        before = self._sent.get(sender.key)
        if before is not None:
            return at - before >= ONE_REPORT_EACH
        return len(self._sent) < MAX_SENDERS

    def note(self, sender: Mailbox, at: datetime) -> None:
        """Remember that a report went to this sender, if there is room or he is known."""
        if len(self._sent) < MAX_SENDERS or sender.key in self._sent:
            self._sent[sender.key] = at

    def _forget(self, at: datetime) -> None:
        self._sent = {
            key: before for key, before in self._sent.items() if at - before < ONE_REPORT_EACH
        }


def failures(refused: Sequence[Refused], wording: Wording) -> tuple[FailedRecipient, ...]:
    """Turn refused recipients into the rows of a report (RFC 3464 2.3)."""
    return tuple(
        FailedRecipient(
            item.recipient,
            wording.reply(refusal_reply(item.why, item.detail, item.instead)),
            tuple(_advice(item, wording, language) for language in wording.languages),
        )
        for item in refused
    )


def _advice(item: Refused, wording: Wording, language: Language) -> str:
    """Say what to do; the reason only where it is ours alone, not of a certificate's names."""
    advice = wording.advice(item.why.value, language, item.instead)
    if item.why is not Why.TEAM_GETS_NO_ENCRYPTED:
        return advice
    return f"{REPORT[language].team.format(names=item.recipient)} {advice}"


def undelivered(
    refused: Sequence[tuple[ForwardPath, Reply]], wording: Wording
) -> tuple[FailedRecipient, ...]:
    """Turn recipients that the upstream refused for good into the rows of a report."""
    advice = tuple(REPORT[language].refused for language in wording.languages)
    return tuple(
        FailedRecipient(path.mailbox, wording.reply(reply), advice) for path, reply in refused
    )


def report_group(
    upstream: Upstream,
    envelope: Envelope,
    header: HeaderBlock,
    failed: Sequence[FailedRecipient],
    hostname: str,
    wording: Wording,
) -> Group | None:
    """Build the group that carries one report to the reverse-path; None for the null one.

    Who asked not to hear of a recipient's failure does not (RFC 3461 4.1): None, if of nobody's.
    """
    sender = envelope.reverse_path
    told = [each for each in (_asked_for(envelope, item) for item in failed) if each is not None]
    if sender is None or not told:
        return None
    content = delivery_report(
        reporting_mta=hostname,
        recipient=sender,
        failed=told,
        text=ReportText(
            REPORT[wording.languages[0]].subject,
            tuple(REPORT[each].opening.format(mta=hostname) for each in wording.languages),
            tuple(wording.contact_line(each) for each in wording.languages),
        ),
        original_header=bytes(header),
        envelope_id=envelope.identification,
        identifier=envelope.identifier,
        date=envelope.received_at,
    )
    return Group(
        upstream,
        None,
        (ForwardPath(sender),),
        (content,),
        smtputf8=not sender.is_ascii,
        parameters=kept_for_copies(envelope.parameters),
        kind=Kind.REPORT,
        about=tuple(each.mailbox for each in told),
    )


def _asked_for(envelope: Envelope, failed: FailedRecipient) -> FailedRecipient | None:
    """Add what the client called this recipient; None where he wants no report of him."""
    for path in envelope.forward_paths:
        if path.mailbox == failed.mailbox:
            return replace(failed, original=path.original) if path.wants_failures else None
    return failed
