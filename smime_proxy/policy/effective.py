"""Which value of each setting holds for an account, and where it comes from.

Account over domain over `[policy]`; with partner and request the stricter wins, of algorithms the
partner's. No RFC: this is the order the settings file documents.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from smime_proxy.address import Mailbox
from smime_proxy.certs.source import MinimumSource
from smime_proxy.policy.algorithms import HeaderProtection, KeyTransport
from smime_proxy.policy.rules import (
    Account,
    AfterDecryption,
    Encrypt,
    Internal,
    OnLapsedCertificate,
    OnMissingCertificate,
    OnMissingKey,
    Override,
    PartnerRule,
    Policy,
    Rules,
    Sign,
)

_SETTINGS = tuple(setting.name for setting in fields(Policy))
_PARTNER_SETTINGS = tuple(setting.name for setting in fields(PartnerRule))
# Stricter is higher; a sender's request stands between what is written and what is possible.
ENCRYPT_REQUIRED = 4
ENCRYPT_REQUEST = 3
ENCRYPT_POSSIBLE = 2
_ENCRYPT = {
    Encrypt.NEVER: 0,
    Encrypt.ON_REQUEST: 1,
    Encrypt.WHEN_POSSIBLE: ENCRYPT_POSSIBLE,
    Encrypt.REQUIRED: ENCRYPT_REQUIRED,
}
SIGN_REQUEST = 2
_SIGN = {Sign.NEVER: 0, Sign.ON_REQUEST: 1, Sign.ALWAYS: 3}


@dataclass(frozen=True, slots=True)
class Effective:
    """A complete policy and, by setting name, the table each value was taken from."""

    policy: Policy
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partner:
    """What is written for one recipient and, by setting name, the key it is written under."""

    rule: PartnerRule = field(default_factory=PartnerRule)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Level:
    """How strongly something is wanted, and which table or request wants it.

    `of_conversation`: for the sake of mail that was decrypted, which it answers or carries.
    """

    value: int
    source: str
    of_conversation: bool = False


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
        for name in _ordered_stricter(other.policy, policy):
            policy = replace(policy, **{name: getattr(other.policy, name)})
            sources[name] = other.sources[name]
        if other.policy.on_missing_certificate is OnMissingCertificate.REJECT_ALL:
            policy = replace(policy, on_missing_certificate=OnMissingCertificate.REJECT_ALL)
        if other.policy.on_lapsed_certificate is OnLapsedCertificate.REJECT:
            policy = replace(policy, on_lapsed_certificate=OnLapsedCertificate.REJECT)
        if other.policy.internal is Internal.ENCRYPT:
            policy = replace(policy, internal=Internal.ENCRYPT)
        if other.policy.on_missing_key is OnMissingKey.REJECT:
            policy = replace(policy, on_missing_key=OnMissingKey.REJECT)
        if other.policy.request_by_sensitivity:
            policy = replace(policy, request_by_sensitivity=True)
    return Effective(policy, sources)


def partner_rule(rules: Rules, mailbox: Mailbox) -> Partner:
    """Find what is written for one recipient: his address first, then his domain, key by key."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for key in (mailbox.key, mailbox.domain):
        written = rules.partners.get(key)
        if written is None:
            continue
        for name in _PARTNER_SETTINGS:
            value = getattr(written, name)
            if value is not None and name not in values:
                values[name], sources[name] = value, f'partners."{key}".{name}'
    return Partner(PartnerRule(**values), sources)  # type: ignore[arg-type] # names and types match


def encrypt_level(
    chosen: Effective,
    partner: Partner,
    *,
    request: bool,
    plain: bool,
    of_conversation: bool = False,
) -> Level:
    """Say how strongly encryption is wanted for one recipient: the stricter of all wishes.

    `plain` turns off what is merely possible and never weakens a demand. What answers or carries
    mail that was decrypted (`of_conversation`) is as good as required where policy says so.
    """
    rule = partner.rule
    level = Level(_ENCRYPT[chosen.policy.encrypt], chosen.sources.get("encrypt", "policy.encrypt"))
    if rule.encrypt is not None and _ENCRYPT[rule.encrypt] > level.value:
        level = Level(_ENCRYPT[rule.encrypt], partner.sources["encrypt"])
    required = of_conversation and chosen.policy.after_decryption is AfterDecryption.ENCRYPT
    if required and level.value < ENCRYPT_REQUIRED:
        source = chosen.sources.get("after_decryption", "policy.after_decryption")
        level = Level(ENCRYPT_REQUIRED, source, of_conversation=True)
    if request and level.value < ENCRYPT_REQUEST:
        level = Level(ENCRYPT_REQUEST, "request")
    if plain and level.value == ENCRYPT_POSSIBLE:
        level = Level(0, "request [plain]")
    return level


def sign_level(chosen: Effective, partner: Partner, *, request: bool) -> Level:
    """Say how strongly a signature is wanted for one recipient: the stricter of all wishes."""
    rule = partner.rule
    level = Level(_SIGN[chosen.policy.sign], chosen.sources.get("sign", "policy.sign"))
    if rule.sign is not None and _SIGN[rule.sign] > level.value:
        level = Level(_SIGN[rule.sign], partner.sources["sign"])
    if request and level.value < SIGN_REQUEST:
        level = Level(SIGN_REQUEST, "request")
    return level


def minimum_source(chosen: Effective, partner: Partner) -> MinimumSource:
    """Give the least source of a certificate mail to one recipient is encrypted to."""
    wanted, least = partner.rule.minimum_source, chosen.policy.minimum_source
    return wanted if wanted is not None and wanted.rank > least.rank else least


def _ordered_stricter(one: Policy, other: Policy) -> Iterator[str]:
    """Name the settings with an order of their own in which one policy is the stricter."""
    if _ENCRYPT[one.encrypt] > _ENCRYPT[other.encrypt]:
        yield "encrypt"
    if one.after_decryption is not other.after_decryption is AfterDecryption.POLICY:
        yield "after_decryption"
    if one.minimum_source.rank > other.minimum_source.rank:
        yield "minimum_source"
    mine, its = one.content_encryption, other.content_encryption
    if mine is not its and mine.is_at_least(its):
        yield "content_encryption"
    if one.key_transport is KeyTransport.RSAES_OAEP:
        yield "key_transport"
    if one.header_protection is HeaderProtection.BASELINE:
        yield "header_protection"


def _pick(name: str, layers: list[tuple[str, Override]], default: Policy) -> tuple[object, str]:
    for source, override in layers:
        value = getattr(override, name)
        if value is not None:
            return value, source
    return getattr(default, name), "policy"
