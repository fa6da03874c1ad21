"""Encrypted mail to team accounts: all of it refused, or the persons served and one report made.

RFC 5321 6.1 (whom a report may go to), RFC 3834 2 (automatic mail is not answered).
"""

from collections.abc import Iterable

from smime_proxy.address import Mailbox
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.plan import Refusal, Refused, Why
from smime_proxy.policy.rules import Account, Kind

RULE = "encrypted mail to a team account"


def refuse_for_teams(
    facts: Facts,
) -> Refusal | tuple[tuple[Mailbox, ...], tuple[Refused, ...]] | None:
    """Settle who of the recipients of encrypted mail is a team account (E66-E68, V25).

    None when there is no team account among them, or when no report may be sent, so that the team
    mailbox gets the mail as it came rather than nobody; a `Refusal` when all are teams; else the
    recipients that are served and those the sender is told of by one report.
    """
    teams = {
        item.mailbox: item.account
        for item in facts.recipients
        if item.account is not None and item.account.kind is Kind.TEAM
    }
    if not teams:
        return None
    names = ", ".join(str(mailbox) for mailbox in teams)
    if all(item.mailbox in teams for item in facts.recipients):
        detail = f"{names} is a team account"
        return Refusal(Why.TEAM_GETS_NO_ENCRYPTED, detail, RULE, said_instead(teams.values()))
    if not (facts.message.answerable and facts.may_report):
        return None
    refused = frozenset(teams)
    served = tuple(item.mailbox for item in facts.recipients if item.mailbox not in refused)
    return served, tuple(
        Refused(
            mailbox,
            Why.TEAM_GETS_NO_ENCRYPTED,
            f"{mailbox} is a team account",
            RULE,
            account.refusal_text,
        )
        for mailbox, account in teams.items()
    )


def said_instead(teams: Iterable[Account]) -> str:
    """Give what these teams want senders to be told; "" where they want different things."""
    texts = {account.refusal_text for account in teams}
    return texts.pop() if len(texts) == 1 else ""
