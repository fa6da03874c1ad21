"""Part the recipients into groups of equal content, and say how each content is made.

Recipients of content that is not encrypted share a group; of encrypted mail those named in To or
Cc do, and every other gets a copy of his own, so that no RecipientInfo betrays him (E20, E36).
Who is to get another signature, cipher or header protection is in another group (E85); keys of
several types share one message (RFC 5652 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.effective import Effective
from smime_proxy.policy.facts import Facts
from smime_proxy.policy.plan import (
    Delivery,
    Encrypt,
    Encryption,
    EncryptionRecipient,
    Relay,
    SentCopy,
    Sign,
    SignatureForm,
    SigningKey,
    SignThenEncrypt,
    Treatment,
)
from smime_proxy.policy.rules import MAX_GROUPS
from smime_proxy.policy.wish import Wish

_ONLY_SCHEME = Signature.RSASSA_PKCS1V15  # stands for the one scheme of keys that are not RSA


@dataclass(frozen=True, slots=True)
class _Content:
    """All that makes one recipient's content another than the next one's."""

    form: SignatureForm | None
    header_protection: HeaderProtection
    content_encryption: ContentEncryption | None
    alone: str = ""


def group(
    wishes: tuple[Wish, ...],
    key: SigningKey | None,
    unsigned: str,
    *,
    untouched: bool,
    most: int = MAX_GROUPS,
) -> tuple[Delivery, ...]:
    """Part the served recipients into deliveries, first-named first.

    `unsigned` says why there is no `key`; `untouched`: what is relayed keeps its Subject too, and
    nothing is written into what is encrypted. `most` is how many there may be, if that can be had
    without giving up what somebody demands.
    """
    groups = _parted(wishes, key, untouched=untouched)
    if len(groups) > most:
        # What recipients say that they can read must not be why a mail cannot be sent.
        groups = _parted([_as_set(wish) for wish in wishes], key, untouched=untouched)
    return tuple(
        _delivery(wishes_of, _treatment(content, wishes_of, key, untouched=untouched), unsigned)
        for content, wishes_of in groups.items()
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
    signing = key if signed else None
    return SentCopy(account, chosen.policy.sent_copy, signing, chosen.policy.signature)


def _parted(
    wishes: Sequence[Wish], key: SigningKey | None, *, untouched: bool
) -> dict[_Content, list[Wish]]:
    groups: dict[_Content, list[Wish]] = {}
    for wish in sorted(wishes, key=lambda wish: wish.encrypted):
        groups.setdefault(_content(wish, key, untouched=untouched), []).append(wish)
    return groups


def _as_set(wish: Wish) -> Wish:
    chosen = wish.algorithms
    return replace(wish, algorithms=replace(chosen, content_encryption=chosen.floor))


def _content(wish: Wish, key: SigningKey | None, *, untouched: bool) -> _Content:
    """Say what a recipient's content depends on; what does not show in it parts nobody."""
    chosen = wish.algorithms
    form = None
    if key is not None and wish.wants_signature:
        is_rsa = key.entry.certificate.key_type == "rsa"
        form = SignatureForm(chosen.signature if is_rsa else _ONLY_SCHEME, chosen.opaque)
    protection = chosen.header_protection
    if untouched or (form is None and not wish.encrypted):
        protection = HeaderProtection.OFF
    if not wish.encrypted:
        return _Content(form, protection, None)
    alone = "" if wish.recipient.visible else wish.recipient.mailbox.key
    return _Content(form, protection, chosen.content_encryption, alone)


def _treatment(
    content: _Content, wishes: list[Wish], key: SigningKey | None, *, untouched: bool
) -> Treatment:
    form, protection = content.form, content.header_protection
    if content.content_encryption is not None:
        encryption = Encryption(_recipients(wishes), content.content_encryption)
        if key is None or form is None:
            return Encrypt(encryption, protection)
        return SignThenEncrypt(key, encryption, form, protection)
    if key is None or form is None:
        return Relay(requests=not untouched)
    return Sign(key, form, protection)


def _delivery(group: list[Wish], treatment: Treatment, unsigned: str) -> Delivery:
    recipients = tuple(wish.recipient.mailbox for wish in group)
    bare = isinstance(treatment, Relay) and group[0].wants_signature
    return Delivery(recipients, treatment, unsigned if bare else group[0].rule)


def _recipients(wishes: list[Wish]) -> tuple[EncryptionRecipient, ...]:
    """Give each certificate once; where it serves several, OAEP if one of them is to have it."""
    found: dict[str, EncryptionRecipient] = {}
    for wish in wishes:
        item, transport = wish.recipient.certificate, wish.algorithms.key_transport
        if item is None:
            continue
        name = item.certificate.fingerprint
        if name not in found or transport is KeyTransport.RSAES_OAEP:
            found[name] = EncryptionRecipient(item, transport)
    return tuple(found.values())
