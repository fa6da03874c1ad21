"""What each recipient of outgoing mail is to get, judged for him alone, and who cannot get it.

Teams are never encrypted to and never send encrypted; RFC 8551 2 for the services.
"""

from dataclasses import dataclass, field, replace

from smime_proxy.address import Mailbox
from smime_proxy.policy.choice import Algorithms, choose_algorithms
from smime_proxy.policy.effective import (
    ENCRYPT_POSSIBLE,
    ENCRYPT_REQUEST,
    SIGN_REQUEST,
    Effective,
    Level,
    Partner,
    encrypt_level,
    partner_rule,
    sign_level,
)
from smime_proxy.policy.facts import Facts, RecipientFacts, SenderFacts
from smime_proxy.policy.plan import Refusal, Refused, Why
from smime_proxy.policy.rules import (
    Internal,
    Kind,
    OnLapsedCertificate,
    OnMissingCertificate,
    Rules,
)

_NO_CERTIFICATE = frozenset({Why.CERTIFICATE_MISSING, Why.CERTIFICATE_LAPSED})


@dataclass(frozen=True, slots=True)
class Wish:
    """What one recipient is to get: signed or not, encrypted to `recipient.certificate` or not.

    `makeshift`: his own certificate ended, and this is what he gets instead.
    """

    recipient: RecipientFacts
    sign: Level
    encrypt: Level
    algorithms: Algorithms = field(default_factory=Algorithms)
    missing: Why | None = None
    encrypted: bool = False
    makeshift: bool = False

    @property
    def wants_signature(self) -> bool:
        """Tell whether his mail is to be signed where a key allows it."""
        return self.sign.value >= SIGN_REQUEST

    @property
    def rule(self) -> str:
        """Say which settings made it, the one that acts first."""
        if self.encrypted:
            return f"encrypt: {self.encrypt.source}"
        return f"sign: {self.sign.source}"


def wish_for(
    recipient: RecipientFacts, chosen: Effective, facts: Facts, rules: Rules, *, request: bool
) -> Wish:
    """Judge one recipient: how strongly each service is wanted, and whether it can be had.

    With `internal = "sign"` our own accounts count as served without encryption.
    """
    message = facts.message
    internal = recipient.account is not None
    partner = partner_of(recipient, rules)
    sign = sign_level(chosen, partner, request=message.asks_sign)
    level = encrypt_level(chosen, partner, request=request, plain=message.asks_plain)
    wish = Wish(recipient, sign, level, algorithms_for(recipient, chosen, rules))
    demanded = level.value >= ENCRYPT_REQUEST
    if level.value < ENCRYPT_POSSIBLE:
        return wish
    if any(account.kind is Kind.TEAM for account in facts.sender.named):
        return replace(wish, missing=Why.TEAM_SENDS_NO_ENCRYPTED) if demanded else wish
    if internal and chosen.policy.internal is Internal.SIGN:
        return wish  # it does not leave the house: served by the signature
    if recipient.account is not None and recipient.account.kind is Kind.TEAM:
        return replace(wish, missing=Why.TEAM_GETS_NO_ENCRYPTED) if demanded else wish
    if recipient.certificate is None:
        why = _without_certificate(recipient, chosen, demanded=demanded)
        return replace(wish, missing=why, makeshift=bool(recipient.lapsed))
    return replace(wish, encrypted=True, makeshift=bool(recipient.lapsed))


def _without_certificate(
    recipient: RecipientFacts, chosen: Effective, *, demanded: bool
) -> Why | None:
    """Say why mail to a recipient without a certificate is refused; None: it is sent clear.

    Encryption that was done until yesterday does not just stop: nobody would notice.
    """
    if recipient.waits:
        return Why.STATUS_UNKNOWN  # neither encrypted nor clear: it is known in a moment
    if demanded:
        return Why.CERTIFICATE_MISSING
    if recipient.lapsed and chosen.policy.on_lapsed_certificate is OnLapsedCertificate.REJECT:
        return Why.CERTIFICATE_LAPSED
    return None


def lapses(served: tuple[Wish, ...]) -> list[str]:
    """Name, for the log, the recipients whose own certificate ended, and what they get instead."""
    return [
        f"{'domain certificate' if wish.encrypted else 'unencrypted'}:"
        f" {wish.recipient.mailbox}: {wish.recipient.lapsed}"
        for wish in served
        if wish.makeshift
    ]


def partner_of(recipient: RecipientFacts, rules: Rules) -> Partner:
    """Give what is written for a recipient as a partner; nothing is for our own accounts."""
    return partner_rule(rules, recipient.mailbox) if recipient.account is None else Partner()


def algorithms_for(recipient: RecipientFacts, chosen: Effective, rules: Rules) -> Algorithms:
    """Give the algorithms for one recipient's mail, whether it is to be protected or not."""
    certificate = recipient.certificate
    key_type = certificate.certificate.key_type if certificate is not None else ""
    return choose_algorithms(chosen, partner_of(recipient, rules), key_type, recipient.capabilities)


def settle_missing(
    facts: Facts, wishes: tuple[Wish, ...], chosen: Effective
) -> Refusal | tuple[Refused, ...]:
    """Settle the recipients that cannot get what is demanded: refuse all, or those by a report."""
    missing = [(wish, wish.missing) for wish in wishes if wish.missing is not None]
    if not missing:
        return ()
    waiting = [pair for pair in missing if pair[1] is Why.STATUS_UNKNOWN]
    if waiting:
        detail = "; ".join(_missing_detail(facts, wish, reason) for wish, reason in waiting)
        return Refusal(Why.STATUS_UNKNOWN, detail, "revocation unknown")
    first, why = missing[0]
    detail = "; ".join(_missing_detail(facts, wish, reason) for wish, reason in missing)
    rule = f"encrypt: {first.encrypt.source}, certificate missing"
    if why is Why.CERTIFICATE_LAPSED:
        rule = f"on_lapsed_certificate: {chosen.sources['on_lapsed_certificate']}"
    all_or_none = chosen.policy.on_missing_certificate is OnMissingCertificate.REJECT_ALL
    reportable = facts.message.answerable and facts.may_report
    team = any(reason not in _NO_CERTIFICATE for _, reason in missing)
    if team or all_or_none or not reportable or len(missing) == len(wishes):
        return Refusal(why, detail, rule)
    return tuple(
        Refused(wish.recipient.mailbox, reason, _missing_detail(facts, wish, reason), rule)
        for wish, reason in missing
    )


def _missing_detail(facts: Facts, wish: Wish, why: Why) -> str:
    if why is Why.TEAM_SENDS_NO_ENCRYPTED:
        return f"{team_address(facts.sender)} is a team account"
    if why is Why.TEAM_GETS_NO_ENCRYPTED:
        return f"{wish.recipient.mailbox} is a team account"
    return f"{wish.recipient.mailbox}: {wish.recipient.lapsed or wish.recipient.problem}"


def team_address(sender: SenderFacts) -> Mailbox | str:
    """Name the team account the mail is from, for the text of a refusal."""
    teams = (account.address for account in sender.named if account.kind is Kind.TEAM)
    return next(teams, "the sender")
