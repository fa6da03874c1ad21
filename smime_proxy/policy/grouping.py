"""Part the recipients into groups of equal content, and say how each content is made.

Recipients of content that is not encrypted share a group; of encrypted mail those named in To or
Cc do, and every other gets a copy of his own, so that no RecipientInfo betrays him (E20, E36).
"""

from smime_proxy.policy.effective import Effective
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.plan import (
    Delivery,
    Encrypt,
    Relay,
    SentCopy,
    Sign,
    SigningKey,
    SignThenEncrypt,
    Treatment,
)
from smime_proxy.policy.wish import Wish


def group(
    wishes: tuple[Wish, ...], key: SigningKey | None, unsigned: str, *, untouched: bool
) -> tuple[Delivery, ...]:
    """Part the served recipients into deliveries, first-named first.

    `unsigned` says why there is no `key`; `untouched`: what is relayed keeps its Subject too.
    """
    plain: dict[bool, list[Wish]] = {}
    sealed: dict[tuple[bool, str], list[Wish]] = {}
    for wish in wishes:
        signed = key is not None and wish.wants_signature
        if wish.encrypted:
            alone = "" if wish.recipient.visible else wish.recipient.mailbox.key
            sealed.setdefault((signed, alone), []).append(wish)
        else:
            plain.setdefault(signed, []).append(wish)
    relay = Relay(requests=not untouched)
    return (
        *(
            _delivery(group, Sign(key) if key and signed else relay, unsigned)
            for signed, group in plain.items()
        ),
        *(
            _delivery(group, _sealing(group, key if signed else None), "")
            for (signed, _), group in sealed.items()
        ),
    )


def sent_copy(
    facts: Facts, chosen: Effective, wishes: tuple[Wish, ...], key: SigningKey | None
) -> SentCopy | None:
    """Say whether, and where, an unencrypted copy is filed: only of mail that is encrypted."""
    account = facts.sender.account
    encrypted = [wish for wish in wishes if wish.encrypted]
    if account is None or not encrypted or not chosen.policy.sent_copy:
        return None
    signed = any(wish.wants_signature for wish in encrypted)
    return SentCopy(account, chosen.policy.sent_copy, key if signed else None)


def _delivery(group: list[Wish], treatment: Treatment, unsigned: str) -> Delivery:
    recipients = tuple(wish.recipient.mailbox for wish in group)
    bare = isinstance(treatment, Relay) and group[0].wants_signature
    return Delivery(recipients, treatment, unsigned if bare else group[0].rule)


def _sealing(group: list[Wish], key: SigningKey | None) -> Treatment:
    found = (wish.recipient.certificate for wish in group)
    certificates = {item.certificate.fingerprint: item for item in found if item is not None}
    unique = tuple(certificates.values())
    return SignThenEncrypt(key, unique) if key is not None else Encrypt(unique)
