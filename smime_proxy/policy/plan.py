"""What is to be done with one mail object: a refusal, or deliveries with their treatments.

RFC 5321 3.3 (one mail object, several recipients), RFC 8551 3 (the S/MIME services).
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from smime_proxy.address import Mailbox
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.rules import Account


class Why(Enum):
    """Why mail, or one recipient of it, is refused; `gateway.replies` has the reply of each."""

    FROM_NOT_GRANTED = "from_not_granted"
    FIELD_REQUIRED = "field_required"
    KEY_MISSING = "key_missing"
    KEY_UNAVAILABLE = "key_unavailable"
    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_LAPSED = "certificate_lapsed"
    AFTER_DECRYPTION = "after_decryption"
    STATUS_UNKNOWN = "status_unknown"
    DIRECTORY_UNREACHABLE = "directory_unreachable"
    MEETING_NOT_ENCRYPTED = "meeting_not_encrypted"
    TEAM_SENDS_NO_ENCRYPTED = "team_sends_no_encrypted"
    TEAM_GETS_NO_ENCRYPTED = "team_gets_no_encrypted"
    TEAM_AFTER_DECRYPTION = "team_after_decryption"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The account that signs and the key it signs with."""

    account: Account
    entry: KeyEntry


@dataclass(frozen=True, slots=True)
class Relay:
    """Hand on unchanged, without the fields that only we may write.

    `requests`: the sender's request words leave the Subject too.
    """

    requests: bool = False


@dataclass(frozen=True, slots=True)
class SignatureForm:
    """How a signature is written: by which scheme where the key is RSA, opaque or clear."""

    scheme: Signature = Signature.RSASSA_PKCS1V15
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class EncryptionRecipient:
    """A certificate to encrypt to; `key_transport` is None where its key is not RSA."""

    certificate: PartnerCertificate
    key_transport: KeyTransport | None = KeyTransport.RSAES_PKCS1V15


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a message is encrypted, and to whom."""

    recipients: tuple[EncryptionRecipient, ...]
    content_encryption: ContentEncryption = ContentEncryption.AES256_CBC


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign, clear or opaque (RFC 8551 3.5.3, 3.5.2)."""

    key: SigningKey
    form: SignatureForm = SignatureForm()
    header_protection: HeaderProtection = HeaderProtection.OFF


@dataclass(frozen=True, slots=True)
class Encrypt:
    """Encrypt what came (RFC 8551 3.3, 3.4), already signed or unsigned."""

    encryption: Encryption
    header_protection: HeaderProtection = HeaderProtection.OFF


@dataclass(frozen=True, slots=True)
class SignThenEncrypt:
    """Sign, then encrypt the signed entity (RFC 8551 3.7)."""

    key: SigningKey
    encryption: Encryption
    form: SignatureForm = SignatureForm()
    header_protection: HeaderProtection = HeaderProtection.OFF


@dataclass(frozen=True, slots=True)
class Verify:
    """Judge inbound mail and write the result into fields; nothing is opened."""


@dataclass(frozen=True, slots=True)
class Decrypt:
    """Open inbound mail with every key these accounts ever owned, and judge what is inside."""

    accounts: tuple[Account, ...]


Treatment: TypeAlias = Relay | Sign | Encrypt | SignThenEncrypt | Verify | Decrypt


@dataclass(frozen=True, slots=True)
class Delivery:
    """One group: recipients that get the same octets, how these are made, and by which rule."""

    recipients: tuple[Mailbox, ...]
    treatment: Treatment
    rule: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One recipient that is not served, why, and what his account wants to be said of it."""

    recipient: Mailbox
    why: Why
    detail: str
    rule: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class SentCopy:
    """The unencrypted copy of mail sent encrypted; `url` is a `sent_copy` setting.

    It is signed clear whatever a partner demands, and keeps its whole header: it is its sender's.
    """

    account: Account
    url: str
    key: SigningKey | None
    signature: Signature = Signature.RSASSA_PKCS1V15


@dataclass(frozen=True, slots=True)
class Refusal:
    """The whole mail object is refused; nobody gets it.

    `instead` is what the account it is for wants to be said in place of the usual advice.
    """

    why: Why
    detail: str
    rule: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done: deliveries, one report naming `refused`, a sent copy, and what to count."""

    deliveries: tuple[Delivery, ...]
    refused: tuple[Refused, ...] = ()
    sent_copy: SentCopy | None = None
    exemptions: tuple[str, ...] = ()


Decision: TypeAlias = Refusal | Plan
