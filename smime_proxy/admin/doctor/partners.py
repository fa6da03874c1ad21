"""Partners mail can soon no longer be encrypted to, or cannot already.

RFC 8550 4.4 (fitness), RFC 5280 4.1.2.5 (validity).
"""

from collections.abc import Iterator
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.admin.doctor.finding import HORIZON, Finding, Severity
from smime_proxy.gateway.choices import RecipientChoice, RecipientChoices
from smime_proxy.policy.effective import effective, minimum_source, partner_rule
from smime_proxy.policy.rules import Encrypt, OnLapsedCertificate, Rules
from smime_proxy.stores.snapshot import Snapshot

_TODO = "ask for a signed mail or the new certificate, and take it in with `cert import`"


def partner_findings(snapshot: Snapshot, rules: Rules, at: datetime) -> Iterator[Finding]:
    """Look at every address that partner certificates are known for, at a time, aware UTC."""
    now, then = RecipientChoices(), RecipientChoices()
    later = _looks_later(snapshot, at)
    for mailbox in snapshot.partner_mailboxes():
        if snapshot.account(mailbox) is not None:  # mail to it is encrypted to its own keys
            continue
        least = minimum_source(effective(rules, None), partner_rule(rules, mailbox))
        choice = now.choose(snapshot, mailbox, None, at, least)
        if choice.certificate is None:
            yield _unusable(mailbox, choice, rules)
        elif later or choice.certificate.certificate.not_after - at < HORIZON:
            following = then.choose(snapshot, mailbox, None, at + HORIZON, least)
            if following.certificate is None:
                yield _ending(mailbox, following, rules)


def _looks_later(snapshot: Snapshot, at: datetime) -> bool:
    """Tell whether some issuer ends within the horizon: then paths are judged then too."""
    issuers = [*snapshot.intermediates(), *(a.certificate for a in snapshot.anchors().issuing())]
    return any(at <= one.not_after < at + HORIZON for one in issuers)


def _is_required(rules: Rules, mailbox: Mailbox) -> bool:
    written = (rules.default.encrypt, partner_rule(rules, mailbox).rule.encrypt)
    return Encrypt.REQUIRED in written


def _then(mailbox: Mailbox, choice: RecipientChoice, rules: Rules) -> str:
    """Say what happens to mail to a partner without a usable certificate."""
    if _is_required(rules, mailbox):
        return "mail to it is refused, for encryption is required"
    lapsed = bool(choice.lapsed) and rules.default.encrypt is not Encrypt.NEVER
    if lapsed and rules.default.on_lapsed_certificate is OnLapsedCertificate.REJECT:
        return "mail to it is refused (on_lapsed_certificate)"
    return "mail to it leaves unencrypted"


def _ending(mailbox: Mailbox, choice: RecipientChoice, rules: Rules) -> Finding:
    severity = Severity.ERROR if _is_required(rules, mailbox) else Severity.WARNING
    what = (
        f"no certificate is usable in {HORIZON.days} days ({choice.problem}): then"
        f" {_then(mailbox, choice, rules)}"
    )
    return Finding(severity, f"partner {mailbox}", what, _TODO)


def _unusable(mailbox: Mailbox, choice: RecipientChoice, rules: Rules) -> Finding:
    required = _is_required(rules, mailbox)
    severity = Severity.ERROR if required else Severity.WARNING if choice.lapsed else Severity.NOTE
    what = f"no certificate is usable ({choice.problem}): {_then(mailbox, choice, rules)}"
    return Finding(severity, f"partner {mailbox}", what, _TODO)
