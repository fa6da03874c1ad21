"""Who lacks a certificate that his mail is to be encrypted to, so that it pays to look for one.

RFC 8551 2 (services); who is our own, or served already, is never looked for.
"""

from dataclasses import dataclass

from smime_proxy.address import Mailbox
from smime_proxy.certs.source import MinimumSource
from smime_proxy.envelope import Envelope, Role
from smime_proxy.policy.effective import minimum_source
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.outbound import Open, settle_early, wishes_for
from smime_proxy.policy.rules import Rules
from smime_proxy.policy.wish import partner_of


@dataclass(frozen=True, slots=True)
class Lack:
    """A recipient without a usable certificate; `minimum` is the least source that will do."""

    mailbox: Mailbox
    minimum: MinimumSource


def lacking(envelope: Envelope, facts: Facts, rules: Rules) -> tuple[Lack, ...]:
    """Name the recipients who are not ours and have no usable certificate where one is wanted.

    Wanted is what is required, requested or done when possible. Total and pure, like `decide`.
    """
    if envelope.session.role is not Role.OUTBOUND:
        return ()
    settled = settle_early(envelope, facts, rules)
    if not isinstance(settled, Open):
        return ()
    return tuple(
        Lack(
            wish.recipient.mailbox,
            minimum_source(settled.chosen, partner_of(wish.recipient, rules)),
        )
        for wish in wishes_for(settled, facts, rules)
        if wish.lacks_certificate
    )
