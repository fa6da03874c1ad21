"""Decide what incoming mail gets: opened for whom its key is, judged, refused, or nothing at all.

RFC 8551 2 and 3 for the services; who may have text opened is settled by the forward-path alone.
"""

from smime_proxy.address import Mailbox
from smime_proxy.policy.facts import Facts, RecipientFacts
from smime_proxy.policy.plan import Decision, Decrypt, Delivery, Plan, Refusal, Relay, Verify
from smime_proxy.policy.rules import Kind
from smime_proxy.policy.team import refuse_for_teams


def decide_inbound(facts: Facts) -> Decision:
    """Decide for mail from outside; total and pure, names every recipient exactly once.

    Text is opened for a recipient only with keys of the account that is his forward-path, never
    for a team account; everybody else of the same mail object gets the ciphertext.
    """
    message = facts.message
    everyone = tuple(recipient.mailbox for recipient in facts.recipients)
    if not message.smime:
        return Plan((Delivery(everyone, Relay(), "no S/MIME"),))
    if not message.encrypted:
        return Plan((Delivery(everyone, Verify(), "signed"),))
    settled = refuse_for_teams(facts)
    if isinstance(settled, Refusal):
        return settled
    served, refused = settled if settled is not None else (everyone, ())
    chosen = frozenset(served)
    recipients = [item for item in facts.recipients if item.mailbox in chosen]
    unanswered = settled is None and any(map(_is_team, facts.recipients))
    return Plan(
        _deliveries(recipients),
        refused,
        exemptions=("team mailbox gets encrypted mail: no report may be sent",) * unanswered,
    )


def _deliveries(recipients: list[RecipientFacts]) -> tuple[Delivery, ...]:
    closed: list[Mailbox] = []
    opened: dict[Mailbox, Delivery] = {}
    for item in recipients:
        account = item.account
        if account is None or not item.opens or _is_team(item):
            closed.append(item.mailbox)
            continue
        before = opened.get(account.address)
        mailboxes = (*before.recipients, item.mailbox) if before else (item.mailbox,)
        opened[account.address] = Delivery(mailboxes, Decrypt(account), "encrypted to the account")
    rest = (Delivery(tuple(closed), Verify(), "no key of the recipient"),) if closed else ()
    return (*opened.values(), *rest)


def _is_team(item: RecipientFacts) -> bool:
    return item.account is not None and item.account.kind is Kind.TEAM
