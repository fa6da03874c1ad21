"""Decide what outgoing mail gets: signature, encryption, refusal, or nothing at all.

The numbers label the steps of `decide_outbound`; the first that settles the mail ends it. Steps 1
to 4 look at the mail, the fifth at its recipients.
RFC 8551 2 and 3 for the services, RFC 3463 for what a refusal says.
"""

from dataclasses import dataclass

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Envelope
from smime_proxy.policy.effective import Effective, effective, strictest
from smime_proxy.policy.facts import Facts, SenderFacts
from smime_proxy.policy.grouping import group, sent_copy
from smime_proxy.policy.plan import Decision, Delivery, Plan, Refusal, Relay, SigningKey, Why
from smime_proxy.policy.rules import (
    Account,
    AfterDecryption,
    Kind,
    ListenerRule,
    OnMissingKey,
    Rules,
)
from smime_proxy.policy.team import refuse_for_teams
from smime_proxy.policy.wish import (
    Wish,
    lapses,
    settle_missing,
    team_address,
    unreached,
    wish_for,
)

_NO_KEY = "no valid key"
# A stranger's mail forwarded by an alias comes from the same address as our own.
_STRANGERS = "XFORWARD says that it came from elsewhere"
_NULL_SENDER = "null reverse-path"  # RFC 5321 6.1: reports are never rewritten (E71)


@dataclass(frozen=True, slots=True)
class Open:
    """What the mail itself left open: the policy for its sender, and whether encryption is asked.

    Each recipient is to be judged by himself.
    """

    chosen: Effective
    request: bool


def decide_outbound(envelope: Envelope, facts: Facts, rules: Rules) -> Decision:
    """Decide for mail of our own senders; total and pure, every way out carries its rule.

    Gives a `Refusal` for the whole mail or a `Plan` that names every recipient exactly once.
    """
    settled = settle_early(envelope, facts, rules)
    if not isinstance(settled, Open):
        return settled
    # 5. Each recipient by himself, then all together.
    listener = rules.listeners.get(envelope.session.listener, ListenerRule())
    key, key_rule = _signing_key(envelope, facts, listener)
    return _join(
        facts, wishes_for(settled, facts, rules), settled.chosen, key, key_rule, rules.max_groups
    )


def settle_early(envelope: Envelope, facts: Facts, rules: Rules) -> Decision | Open:
    """Take the steps that look at no recipient's certificate; total and pure."""
    sender, message = facts.sender, facts.message
    everyone = tuple(recipient.mailbox for recipient in facts.recipients)
    # 0. A network that others share lets in only what bears the mark of our own, whatever it is.
    if refusal := required_field(envelope, message.lacks_field):
        return refusal
    # 1. An authenticated session may not use the address of an account it was not granted.
    if _is_foreign_account(envelope, sender):
        detail = f"login {envelope.session.login} was not granted {sender.mailbox}"
        return Refusal(Why.FROM_NOT_GRANTED, detail, "login not granted")
    chosen = policy_of(sender, rules)
    sensitive = chosen.policy.request_by_sensitivity and message.sensitive
    request = message.asks_encrypt or (sensitive and bool(sender.named))
    # 2. Invitations and answers pass untouched, whoever sends them.
    if message.meeting:
        if request:
            address = sender.mailbox or envelope.reverse_path or "<>"
            detail = f"{address}: a meeting {message.meeting} cannot be encrypted"
            return Refusal(Why.MEETING_NOT_ENCRYPTED, detail, "meeting with request to encrypt")
        # What only a field outside says of a ciphertext is no way round the rule for teams.
        if not (message.encrypted and message.sealed):
            return _relay(everyone, f"meeting {message.meeting}", "meeting")
    # 3. What the client encrypted itself is not touched, and no team account takes part in it.
    if message.encrypted:
        settled = _client_encrypted(facts, everyone)
        # A label is no encryption: readable text gets what policy says, like any other.
        if message.sealed or isinstance(settled, Refusal):
            return settled
    if message.pgp_encrypted:
        return _relay(everyone, "encrypted by the client with PGP/MIME")
    # 4. A From that names no account and asks for nothing is not ours to touch, unless it forwards
    # what was decrypted here: nobody sends that on in clear.
    after_decryption = chosen.policy.after_decryption is AfterDecryption.ENCRYPT
    confidential = bool(message.conversation) and after_decryption
    if not sender.named and not request and not confidential:
        asks = message.asks_sign or message.asks_plain  # the words go, nothing else
        return Plan((Delivery(everyone, Relay(requests=asks), "From names no account"),))
    return Open(chosen, request)


def required_field(envelope: Envelope, lacks: str) -> Refusal | None:
    """Refuse mail that lacks the field its network is let in by; a login is as good."""
    if not lacks or envelope.session.login is not None:
        return None
    detail = f"the field {lacks} does not say that the mail is ours"
    return Refusal(Why.FIELD_REQUIRED, detail, "required field")


def wishes_for(settled: Open, facts: Facts, rules: Rules) -> tuple[Wish, ...]:
    """Judge every recipient by himself, in their order."""
    return tuple(
        wish_for(recipient, settled.chosen, facts, rules, request=settled.request)
        for recipient in facts.recipients
    )


def may_sign(envelope: Envelope, sender: SenderFacts, listener: ListenerRule) -> str:
    """Say why this session may not use the key of the From account; "" when it may (E01).

    The rule is the contract's: clean From, enabled account in the listener's `accounts`, no word of
    a peer that it is a stranger's, and a granted login, or a trusted network with (by
    `envelope_match`) the reverse-path of the account.
    """
    account = sender.account
    if envelope.reverse_path is None:
        return _NULL_SENDER
    if sender.mailbox is None:
        return f"From does not qualify: {sender.problem}"
    if account is None:
        return "From is no account's address"
    if not account.enabled:
        return f"account {account.address} is disabled"
    if not _listed(account, listener):
        return f"account {account.address} is not among the listener's accounts"
    if envelope.session.is_strangers:
        return _STRANGERS
    if envelope.session.login is not None:
        return ""  # a login that was not granted was refused before
    if not envelope.session.trusted:
        return "neither authenticated nor from a trusted network"
    own = {sender.mailbox, account.address, *account.aliases}
    if listener.envelope_match and envelope.reverse_path not in own:
        return "the reverse-path is not the From mailbox"
    return ""


def _is_foreign_account(envelope: Envelope, sender: SenderFacts) -> bool:
    login = envelope.session.login
    return login is not None and sender.account is not None and login not in sender.account.logins


def _listed(account: Account, listener: ListenerRule) -> bool:
    address = account.address
    return any(entry in {"*", address.key, f"*@{address.domain}"} for entry in listener.accounts)


def policy_of(sender: SenderFacts, rules: Rules) -> Effective:
    """Give the policy for a sender: of all accounts his From names the strictest."""
    accounts = dict.fromkeys(
        account.address for account in (sender.account, *sender.named) if account is not None
    )
    by_address = {account.address: account for account in sender.named}
    if sender.account is not None:
        by_address[sender.account.address] = sender.account
    if not accounts:
        return effective(rules, None)
    return strictest(effective(rules, by_address[address]) for address in accounts)


def _relay(recipients: tuple[Mailbox, ...], rule: str, exemption: str = "") -> Plan:
    exemptions = (exemption,) if exemption else ()
    return Plan((Delivery(recipients, Relay(), rule),), exemptions=exemptions)


def _client_encrypted(facts: Facts, everyone: tuple[Mailbox, ...]) -> Decision:
    if any(account.kind is Kind.TEAM for account in facts.sender.named):
        detail = f"{team_address(facts.sender)} is a team account"
        return Refusal(Why.TEAM_SENDS_NO_ENCRYPTED, detail, "team account sends encrypted")
    refused = refuse_for_teams(facts)
    if refused is None:
        return _relay(everyone, "encrypted by the client")
    if isinstance(refused, Refusal):
        return refused
    served, rest = refused
    return Plan((Delivery(served, Relay(), "encrypted by the client"),), refused=rest)


def _signing_key(
    envelope: Envelope, facts: Facts, listener: ListenerRule
) -> tuple[SigningKey | None, str]:
    """Give the key to sign with, or why there is none: not allowed, already signed, or missing."""
    sender = facts.sender
    if facts.message.signed:
        return None, "signed by the client"
    problem = may_sign(envelope, sender, listener)
    if problem:
        return None, problem
    if sender.account is None or sender.entry is None:
        return None, _NO_KEY
    return SigningKey(sender.account, sender.entry), ""


def _join(
    facts: Facts,
    wishes: tuple[Wish, ...],
    chosen: Effective,
    key: SigningKey | None,
    key_rule: str,
    most: int,
) -> Decision:
    refused = settle_missing(facts, wishes, chosen)
    if isinstance(refused, Refusal):
        return refused
    served = tuple(wish for wish in wishes if wish.missing is None)
    if key_rule == _NO_KEY and any(wish.wants_signature for wish in served):
        sender = facts.sender
        if sender.key_unavailable:
            return Refusal(Why.KEY_UNAVAILABLE, sender.key_problem, "signing key unavailable")
        if chosen.policy.on_missing_key is OnMissingKey.REJECT:
            rule = f"on_missing_key: {chosen.sources['on_missing_key']}"
            return Refusal(Why.KEY_MISSING, sender.key_problem, rule)
    if facts.message.loose_header and any(wish.encrypted for wish in served):
        # It stays outside the encryption, where text has no place.
        detail = "a line of the header is no field"
        return Refusal(Why.MALFORMED, detail, "encrypt: text in the header")
    untouched = facts.message.signed or key_rule == _NULL_SENDER
    unsigned = key is None and any(wish.wants_signature for wish in served)
    why = f"{key_rule}: {facts.sender.key_problem}" if key_rule == _NO_KEY else key_rule
    exemptions = [f"unsigned: {why}"] if unsigned and not facts.message.signed else []
    exemptions += [*lapses(served), *unreached(served)]
    deliveries = group(served, key, key_rule, untouched=untouched, most=most)
    return Plan(
        deliveries,
        refused,
        sent_copy(facts, chosen, served, key),
        tuple(exemptions),
    )
