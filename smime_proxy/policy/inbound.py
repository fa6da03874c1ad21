"""Decide what incoming mail gets: opened for whom its key is, judged, refused, or nothing at all.

RFC 8551 2 and 3 for the services; who may have text opened is settled by the forward-path alone.
"""

from smime_proxy.address import Mailbox
from smime_proxy.policy.facts import Facts, RecipientFacts
from smime_proxy.policy.plan import Decision, Decrypt, Delivery, Plan, Refusal, Relay, Verify
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.policy.team import refuse_for_teams

_OWN = "encrypted to the account"
_READER = "encrypted to an account he reads for"


def decide_inbound(facts: Facts) -> Decision:
    """Decide for mail from outside; total and pure, names every recipient exactly once.

    Text is opened for a recipient only with keys of the account that is his forward-path and of
    those that name him as reader, never for a team account nor with the key of one; everybody else
    of the same mail object gets the ciphertext.
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
    opened: dict[tuple[tuple[Account, ...], str], list[Mailbox]] = {}
    for item in recipients:
        openers = tuple(one for one in item.openers if one.kind is not Kind.TEAM)
        if not openers or _is_team(item):
            closed.append(item.mailbox)
            continue
        rule = _OWN if item.account in openers else _READER
        opened.setdefault((openers, rule), []).append(item.mailbox)
    rest = (Delivery(tuple(closed), Verify(), "no key of the recipient"),) if closed else ()
    return (
        *(
            Delivery(tuple(mailboxes), Decrypt(openers), rule)
            for (openers, rule), mailboxes in opened.items()
        ),
        *rest,
    )


def _is_team(item: RecipientFacts) -> bool:
    return item.account is not None and item.account.kind is Kind.TEAM
