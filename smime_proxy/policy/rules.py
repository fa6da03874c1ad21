"""The policy an administrator wrote, as values: defaults, overrides, accounts, listeners.

Names and meanings are those of the settings file; RFC 5321 2.3 for the words of the envelope.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from smime_proxy.address import Mailbox
from smime_proxy.certs.source import MinimumSource
from smime_proxy.message.requests import Request
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.smime.gateway_signer import GatewaySigner
from smime_proxy.smime.unwrap import Unwrap


class Kind(Enum):
    """Whose mailbox an account is: one person's, or one read by several (never encrypted)."""

    PERSONAL = "personal"
    TEAM = "team"


class Sign(Enum):
    """When mail is signed."""

    ALWAYS = "always"
    ON_REQUEST = "on_request"
    NEVER = "never"


class Encrypt(Enum):
    """When mail is encrypted."""

    REQUIRED = "required"
    WHEN_POSSIBLE = "when_possible"
    ON_REQUEST = "on_request"
    NEVER = "never"


class OnMissingKey(Enum):
    """What happens to mail that should be signed by an account without a valid key."""

    SEND_UNSIGNED = "send_unsigned"
    REJECT = "reject"


class OnMissingCertificate(Enum):
    """What happens when encryption is demanded and a recipient has no usable certificate."""

    REJECT_ALL = "reject_all"
    REJECT_THOSE = "reject_those"


class OnLapsedCertificate(Enum):
    """What happens when encryption was possible to a recipient once and no longer is."""

    REJECT = "reject"
    SEND_CLEAR = "send_clear"


class AfterDecryption(Enum):
    """What mail gets that answers or carries mail that came encrypted and was decrypted here."""

    ENCRYPT = "encrypt"
    POLICY = "policy"


class Internal(Enum):
    """What recipients that are our own accounts get."""

    SIGN = "sign"
    ENCRYPT = "encrypt"


class Harvest(Enum):
    """What becomes of certificates found in signed mail."""

    ASK = "ask"
    TRUSTED = "trusted"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Policy:
    """A complete policy: `[policy]`, or what is left after overrides were laid over it."""

    sign: Sign = Sign.ALWAYS
    encrypt: Encrypt = Encrypt.WHEN_POSSIBLE
    on_missing_key: OnMissingKey = OnMissingKey.SEND_UNSIGNED
    on_missing_certificate: OnMissingCertificate = OnMissingCertificate.REJECT_ALL
    on_lapsed_certificate: OnLapsedCertificate = OnLapsedCertificate.REJECT
    internal: Internal = Internal.SIGN
    sent_copy: str = ""
    request_by_sensitivity: bool = False
    signature: Signature = Signature.RSASSA_PKCS1V15
    key_transport: KeyTransport = KeyTransport.RSAES_PKCS1V15
    content_encryption: ContentEncryption = ContentEncryption.AES256_CBC
    opaque: bool = False
    header_protection: HeaderProtection = HeaderProtection.OFF
    minimum_source: MinimumSource = MinimumSource.HARVESTED
    after_decryption: AfterDecryption = AfterDecryption.ENCRYPT


@dataclass(frozen=True, slots=True)
class Override:
    """What a domain or an account says otherwise; None leaves the value below it in force."""

    sign: Sign | None = None
    encrypt: Encrypt | None = None
    on_missing_key: OnMissingKey | None = None
    on_missing_certificate: OnMissingCertificate | None = None
    on_lapsed_certificate: OnLapsedCertificate | None = None
    internal: Internal | None = None
    sent_copy: str | None = None
    request_by_sensitivity: bool | None = None
    signature: Signature | None = None
    key_transport: KeyTransport | None = None
    content_encryption: ContentEncryption | None = None
    opaque: bool | None = None
    header_protection: HeaderProtection | None = None
    minimum_source: MinimumSource | None = None
    after_decryption: AfterDecryption | None = None


@dataclass(frozen=True, slots=True)
class PartnerRule:
    """What mail to one partner address or domain asks for.

    `sign`, `encrypt` and `minimum_source` may only raise (the stricter wins); the algorithms hold
    as they are.
    """

    sign: Sign | None = None
    encrypt: Encrypt | None = None
    signature: Signature | None = None
    key_transport: KeyTransport | None = None
    content_encryption: ContentEncryption | None = None
    opaque: bool | None = None
    header_protection: HeaderProtection | None = None
    minimum_source: MinimumSource | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One account whose keys the proxy holds; `override` is its own policy.

    `enabled` False: signs no more, still decrypts. `aliases` are further addresses of the mailbox.
    `readers` are mailboxes that get what its keys open as it does: deputies, assistants; none of a
    team. `refusal_text`: what senders of encrypted mail to a team are told to do, "" for the usual.
    """

    address: Mailbox
    kind: Kind = Kind.PERSONAL
    aliases: frozenset[Mailbox] = frozenset()
    logins: frozenset[str] = frozenset()
    override: Override = field(default_factory=Override)
    enabled: bool = True
    refusal_text: str = ""
    readers: frozenset[Mailbox] = frozenset()


@dataclass(frozen=True, slots=True)
class ListenerRule:
    """Who a listener serves: `accounts` whose keys it may use, `domains` it accepts inbound.

    `accounts` entries are addresses or `*@domain` or `*`, as mailbox keys; `domains` are folded.
    `require_header` are fields, one of each, that mail of clients who did not authenticate must
    have, with the values that will do, in lower case.
    """

    accounts: tuple[str, ...] = ("*",)
    envelope_match: bool = True
    domains: frozenset[str] = frozenset()
    require_header: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestWords:
    """The subject words a sender may use; an empty string switches one off."""

    sign: str = "[sign]"
    encrypt: str = "[encrypt]"
    plain: str = "[plain]"


@lru_cache(maxsize=8)
def subject_words(words: RequestWords) -> Mapping[str, Request]:
    """Give the words that are on, in lower case, with what each asks for."""
    named = {words.sign: Request.SIGN, words.encrypt: Request.ENCRYPT, words.plain: Request.PLAIN}
    return {word.lower(): request for word, request in named.items() if word}


MAX_GROUPS = 64  # copies of one message; each has a dot that the client waits for


@dataclass(frozen=True, slots=True)
class Rules:
    """All policy of one settings file; keys of `domains` and `partners` are folded.

    `partners` is looked up by mailbox key first, then by domain. `listeners` by listener name.
    `unwrap` says which verified signatures inbound mail is delivered without. `gateways` are the
    partners' gateways that sign in place of people, by their domain. `harvest` says what becomes
    of the certificates in signed mail, `subject_address` whether an address in the subject of one
    counts where it names no other. `max_groups` copies of one message are made at most.
    """

    default: Policy = field(default_factory=Policy)
    domains: Mapping[str, Override] = field(default_factory=dict)
    partners: Mapping[str, PartnerRule] = field(default_factory=dict)
    listeners: Mapping[str, ListenerRule] = field(default_factory=dict)
    words: RequestWords = field(default_factory=RequestWords)
    unwrap: frozenset[Unwrap] = frozenset()
    gateways: Mapping[str, GatewaySigner] = field(default_factory=dict)
    harvest: Harvest = Harvest.ASK
    subject_address: bool = False
    max_groups: int = MAX_GROUPS
