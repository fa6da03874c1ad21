"""Which value of each setting holds for an account, and where it comes from.

Account over domain over `[policy]`; with partner and request the stricter wins. No RFC: this is
the order the settings file documents.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from smime_proxy.address import Mailbox
from smime_proxy.policy.rules import (
    Account,
    Encrypt,
    Internal,
    OnMissingCertificate,
    OnMissingKey,
    Override,
    PartnerRule,
    Policy,
    Rules,
    Sign,
)

_SETTINGS = tuple(setting.name for setting in fields(Policy))
# Stricter is higher; a sender's request stands between what is written and what is possible.
ENCRYPT_REQUEST = 3
ENCRYPT_POSSIBLE = 2
_ENCRYPT = {Encrypt.NEVER: 0, Encrypt.ON_REQUEST: 1, Encrypt.WHEN_POSSIBLE: 2, Encrypt.REQUIRED: 4}
SIGN_REQUEST = 2
_SIGN = {Sign.NEVER: 0, Sign.ON_REQUEST: 1, Sign.ALWAYS: 3}


@dataclass(frozen=True, slots=True)
class Effective:
    """A complete policy and, by setting name, the table each value was taken from."""

    policy: Policy
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Level:
    """How strongly something is wanted, and which table or request wants it."""

    value: int
    source: str


def effective(rules: Rules, account: Account | None) -> Effective:
    """Lay the overrides of an account and of its domain over the defaults.

    Without an account the defaults alone hold. Never raises.
    """
    layers: list[tuple[str, Override]] = []
    if account is not None:
        address = account.address
        layers.append((f'accounts."{address}"', account.override))
        domain = rules.domains.get(address.domain)
        if domain is not None:
            layers.append((f'domains."{address.domain}"', domain))
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name in _SETTINGS:
        value, source = _pick(name, layers, rules.default)
        values[name], sources[name] = value, f"{source}.{name}"
    return Effective(Policy(**values), sources)  # type: ignore[arg-type] # names and types match


def strictest(policies: Iterable[Effective]) -> Effective:
    """Join the policies of all accounts a From names; of each setting the strictest holds."""
    first, *others = policies
    policy, sources = first.policy, dict(first.sources)
    for other in others:
        if _ENCRYPT[other.policy.encrypt] > _ENCRYPT[policy.encrypt]:
            policy = replace(policy, encrypt=other.policy.encrypt)
            sources["encrypt"] = other.sources["encrypt"]
        if other.policy.on_missing_certificate is OnMissingCertificate.REJECT_ALL:
            policy = replace(policy, on_missing_certificate=OnMissingCertificate.REJECT_ALL)
        if other.policy.internal is Internal.ENCRYPT:
            policy = replace(policy, internal=Internal.ENCRYPT)
        if other.policy.on_missing_key is OnMissingKey.REJECT:
            policy = replace(policy, on_missing_key=OnMissingKey.REJECT)
        if other.policy.request_by_sensitivity:
            policy = replace(policy, request_by_sensitivity=True)
    return Effective(policy, sources)


def partner_rule(rules: Rules, mailbox: Mailbox) -> tuple[PartnerRule, str]:
    """Find what is written for one recipient: his address first, then his domain.

    A setting the address leaves open is taken from the domain. Gives the rule and its source.
    """
    own = rules.partners.get(mailbox.key)
    domain = rules.partners.get(mailbox.domain)
    if own is None or domain is None:
        rule = own or domain or PartnerRule()
        name = mailbox.key if own else mailbox.domain
        return rule, f'partners."{name}"'
    sign = domain.sign if own.sign is None else own.sign
    encrypt = domain.encrypt if own.encrypt is None else own.encrypt
    return PartnerRule(sign, encrypt), f'partners."{mailbox.key}"'


def encrypt_level(
    chosen: Effective, partner: tuple[PartnerRule, str], *, request: bool, plain: bool
) -> Level:
    """Say how strongly encryption is wanted for one recipient: the stricter of all wishes.

    `plain` turns off what is merely possible and never weakens a demand.
    """
    rule, source = partner
    level = Level(_ENCRYPT[chosen.policy.encrypt], chosen.sources.get("encrypt", "policy.encrypt"))
    if rule.encrypt is not None and _ENCRYPT[rule.encrypt] > level.value:
        level = Level(_ENCRYPT[rule.encrypt], f"{source}.encrypt")
    if request and level.value < ENCRYPT_REQUEST:
        level = Level(ENCRYPT_REQUEST, "request")
    if plain and level.value == ENCRYPT_POSSIBLE:
        level = Level(0, "request [plain]")
    return level


def sign_level(chosen: Effective, partner: tuple[PartnerRule, str], *, request: bool) -> Level:
    """Say how strongly a signature is wanted for one recipient: the stricter of all wishes."""
    rule, source = partner
    level = Level(_SIGN[chosen.policy.sign], chosen.sources.get("sign", "policy.sign"))
    if rule.sign is not None and _SIGN[rule.sign] > level.value:
        level = Level(_SIGN[rule.sign], f"{source}.sign")
    if request and level.value < SIGN_REQUEST:
        level = Level(SIGN_REQUEST, "request")
    return level


def _pick(name: str, layers: list[tuple[str, Override]], default: Policy) -> tuple[object, str]:
    for source, override in layers:
        value = getattr(override, name)
        if value is not None:
            return value, source
    return getattr(default, name), "policy"
