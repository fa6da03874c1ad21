"""What each recipient of outgoing mail is to get, judged for him alone, and who cannot get it.

Teams are never encrypted to and never send encrypted; RFC 8551 2 for the services.
"""

from collections.abc import Sequence
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
from smime_proxy.policy.team import said_instead

_NO_CERTIFICATE = frozenset({Why.CERTIFICATE_MISSING, Why.CERTIFICATE_LAPSED, Why.AFTER_DECRYPTION})


@dataclass(frozen=True, slots=True)
class Wish:
    """What one recipient is to get: signed or not, encrypted to `recipient.certificate` or not.

    `makeshift`: his own certificate ended, and this is what he gets instead.
    `lacks_certificate`: he is not ours, and with a certificate his mail would be encrypted.
    """

    recipient: RecipientFacts
    sign: Level
    encrypt: Level
    algorithms: Algorithms = field(default_factory=Algorithms)
    missing: Why | None = None
    encrypted: bool = False
    makeshift: bool = False
    lacks_certificate: bool = False

    @property
    def wants_signature(self) -> bool:
        """Tell whether his mail is to be signed where a key allows it."""
        return self.sign.value >= SIGN_REQUEST

    @property
    def rule(self) -> str:
        """Say which settings made it, the one that acts first."""
        return self.encryption_rule if self.encrypted else f"sign: {self.sign.source}"

    @property
    def encryption_rule(self) -> str:
        """Say which setting or request wants his mail encrypted."""
        name = "after_decryption" if self.encrypt.of_conversation else "encrypt"
        return f"{name}: {self.encrypt.source}"


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
    level = encrypt_level(
        chosen,
        partner,
        request=request,
        plain=message.asks_plain,
        of_conversation=bool(message.conversation),
    )
    wish = Wish(recipient, sign, level, algorithms_for(recipient, chosen, rules))
    demanded = level.value >= ENCRYPT_REQUEST
    if level.value < ENCRYPT_POSSIBLE:
        return wish
    if any(account.kind is Kind.TEAM for account in facts.sender.named):
        return _without_team(wish, Why.TEAM_SENDS_NO_ENCRYPTED) if demanded else wish
    if internal and chosen.policy.internal is Internal.SIGN:
        return wish  # it does not leave the house: served by the signature
    if recipient.account is not None and recipient.account.kind is Kind.TEAM:
        return _without_team(wish, Why.TEAM_GETS_NO_ENCRYPTED) if demanded else wish
    if recipient.certificate is None:
        why = _without_certificate(recipient, chosen, level)
        lacks = not internal and not recipient.waits
        lapsed = bool(recipient.lapsed)
        return replace(wish, missing=why, makeshift=lapsed, lacks_certificate=lacks)
    return replace(wish, encrypted=True, makeshift=bool(recipient.lapsed))


def _without_team(wish: Wish, why: Why) -> Wish:
    return replace(wish, missing=Why.TEAM_AFTER_DECRYPTION if wish.encrypt.of_conversation else why)


def _without_certificate(recipient: RecipientFacts, chosen: Effective, level: Level) -> Why | None:
    """Say why mail to a recipient without a certificate is refused; None: it is sent clear.

    Encryption that was done until yesterday does not just stop: nobody would notice.
    """
    if recipient.waits:
        return Why.STATUS_UNKNOWN  # neither encrypted nor clear: it is known in a moment
    demanded = level.value >= ENCRYPT_REQUEST
    stops = recipient.lapsed and chosen.policy.on_lapsed_certificate is OnLapsedCertificate.REJECT
    if recipient.unreachable and (demanded or stops):
        return Why.DIRECTORY_UNREACHABLE  # who cannot be looked up now may be found tomorrow
    if demanded:
        return Why.AFTER_DECRYPTION if level.of_conversation else Why.CERTIFICATE_MISSING
    return Why.CERTIFICATE_LAPSED if stops else None


def lapses(served: tuple[Wish, ...]) -> list[str]:
    """Name, for the log, the recipients whose own certificate ended, and what they get instead."""
    return [
        f"{'domain certificate' if wish.encrypted else 'unencrypted'}:"
        f" {wish.recipient.mailbox}: {wish.recipient.lapsed}"
        for wish in served
        if wish.makeshift
    ]


def unreached(served: tuple[Wish, ...]) -> list[str]:
    """Name, for log and counter, whose mail is not encrypted and might be with better luck."""
    return [
        f"directory unreachable: {wish.recipient.mailbox}: {wish.recipient.unreachable}"
        for wish in served
        if wish.lacks_certificate and wish.recipient.unreachable
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
    for_good = [(wish, why) for wish, why in missing if why is not Why.DIRECTORY_UNREACHABLE]
    rest = _settle(facts, wishes, chosen, for_good) if for_good else ()
    if isinstance(rest, Refusal) or len(for_good) == len(missing):
        return rest
    # The others wait with him: a retry that found them served would have to know of it.
    unreachable = [(wish, why) for wish, why in missing if why is Why.DIRECTORY_UNREACHABLE]
    rule = f"{unreachable[0][0].encryption_rule}, directory unreachable"
    return _refusal(facts, unreachable, rule)


def _settle(
    facts: Facts, wishes: tuple[Wish, ...], chosen: Effective, missing: Sequence[tuple[Wish, Why]]
) -> Refusal | tuple[Refused, ...]:
    first, why = missing[0]
    rule = f"{first.encryption_rule}, certificate missing"
    if why is Why.CERTIFICATE_LAPSED:
        rule = f"on_lapsed_certificate: {chosen.sources['on_lapsed_certificate']}"
    refusal = _refusal(facts, missing, rule)
    all_or_none = chosen.policy.on_missing_certificate is OnMissingCertificate.REJECT_ALL
    reportable = facts.message.answerable and facts.may_report
    team = any(reason not in _NO_CERTIFICATE for _, reason in missing)
    if team or all_or_none or not reportable or len(missing) == len(wishes):
        return refusal
    return tuple(
        Refused(wish.recipient.mailbox, reason, _missing_detail(facts, wish, reason), refusal.rule)
        for wish, reason in missing
    )


def _refusal(facts: Facts, missing: Sequence[tuple[Wish, Why]], rule: str) -> Refusal:
    detail = "; ".join(_missing_detail(facts, wish, reason) for wish, reason in missing)
    teams = [
        wish.recipient.account
        for wish, reason in missing
        if reason is Why.TEAM_GETS_NO_ENCRYPTED and wish.recipient.account is not None
    ]
    instead = said_instead(teams) if missing[0][1] is Why.TEAM_GETS_NO_ENCRYPTED else ""
    return Refusal(missing[0][1], detail, rule, instead)


def _missing_detail(facts: Facts, wish: Wish, why: Why) -> str:
    if why is Why.TEAM_AFTER_DECRYPTION:
        teams = (one for one in facts.sender.named if one.kind is Kind.TEAM)
        team = next((one.address for one in teams), wish.recipient.mailbox)
        return f"{team} is a team account, and the mail {facts.message.conversation}"
    if why is Why.AFTER_DECRYPTION:
        problem = wish.recipient.lapsed or wish.recipient.problem
        return f"{wish.recipient.mailbox}: {problem}, and the mail {facts.message.conversation}"
    if why is Why.TEAM_SENDS_NO_ENCRYPTED:
        return f"{team_address(facts.sender)} is a team account"
    if why is Why.TEAM_GETS_NO_ENCRYPTED:
        return f"{wish.recipient.mailbox} is a team account"
    if why is Why.DIRECTORY_UNREACHABLE:
        return f"{wish.recipient.mailbox}: {wish.recipient.unreachable}"
    return f"{wish.recipient.mailbox}: {wish.recipient.lapsed or wish.recipient.problem}"


def team_address(sender: SenderFacts) -> Mailbox | str:
    """Name the team account the mail is from, for the text of a refusal."""
    teams = (account.address for account in sender.named if account.kind is Kind.TEAM)
    return next(teams, "the sender")
