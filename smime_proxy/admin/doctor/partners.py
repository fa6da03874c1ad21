"""Partners mail can soon no longer be encrypted to, or cannot already.

RFC 8550 4.4 (fitness), RFC 5280 4.1.2.5 (validity).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.admin.doctor.finding import HORIZON, Finding, Severity
from smime_proxy.certs.certificate import Validity
from smime_proxy.certs.selection import PartnerCertificate, choose_recipient
from smime_proxy.policy.effective import effective, minimum_source, partner_rule
from smime_proxy.policy.rules import Encrypt, Rules
from smime_proxy.stores.snapshot import Snapshot

_TODO = "ask for a signed mail or the new certificate, and take it in with `cert import`"


def partner_findings(snapshot: Snapshot, rules: Rules, at: datetime) -> Iterator[Finding]:
    """Look at every address that partner certificates are known for, at a time, aware UTC."""
    later = _looks_later(snapshot, at)
    for mailbox in snapshot.partner_mailboxes():
        if snapshot.account(mailbox) is not None:  # mail to it is encrypted to its own keys
            continue
        least = minimum_source(effective(rules, None), partner_rule(rules, mailbox))
        known = _candidates(snapshot, mailbox)
        now = choose_recipient(known, mailbox, at, snapshot.anchors(), least)
        required = _is_required(rules, mailbox)
        if now.chosen is None:
            yield _unusable(mailbox, known, now.why_none, at, required=required)
        elif later or now.chosen.certificate.not_after - at < HORIZON:
            then = choose_recipient(known, mailbox, at + HORIZON, snapshot.anchors(), least)
            if then.chosen is None:
                yield _ending(mailbox, then.why_none, required=required)


def _candidates(snapshot: Snapshot, mailbox: Mailbox) -> list[PartnerCertificate]:
    known = tuple(snapshot.intermediates())
    return [
        replace(candidate, chain=(*candidate.chain, *known))
        for candidate in snapshot.partner_certificates(mailbox)
    ]


def _looks_later(snapshot: Snapshot, at: datetime) -> bool:
    """Tell whether some issuer ends within the horizon: then paths are judged then too."""
    issuers = [*snapshot.intermediates(), *(a.certificate for a in snapshot.anchors())]
    return any(timely.not_after - at < HORIZON for timely in issuers)


def _is_required(rules: Rules, mailbox: Mailbox) -> bool:
    written = (rules.default.encrypt, partner_rule(rules, mailbox).rule.encrypt)
    return Encrypt.REQUIRED in written


def _ending(mailbox: Mailbox, reason: str, *, required: bool) -> Finding:
    severity = Severity.ERROR if required else Severity.WARNING
    what = f"no certificate is usable in {HORIZON.days} days ({reason}): {_then(required=required)}"
    return Finding(severity, f"partner {mailbox}", what, _TODO)


def _then(*, required: bool) -> str:
    return "then mail to it is refused" if required else "then mail to it leaves unencrypted"


def _unusable(
    mailbox: Mailbox,
    known: Sequence[PartnerCertificate],
    reason: str,
    at: datetime,
    *,
    required: bool,
) -> Finding:
    ended = all(one.certificate.valid_at(at) is Validity.EXPIRED for one in known)
    severity = Severity.ERROR if required else Severity.WARNING if ended else Severity.NOTE
    what = f"no certificate is usable ({reason}): {_then(required=required)}"
    return Finding(severity, f"partner {mailbox}", what, _TODO)
