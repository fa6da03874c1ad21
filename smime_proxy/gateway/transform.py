"""Make the octets of each delivery: the plan's treatments carried out, no I/O, thread-safe.

RFC 8551 3.5 (signed), 3.3 and 3.4 (enveloped), 3.7 (signed and enveloped); RFC 9788 5 (protected
header); RFC 5322 3.6.3 (Bcc).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from smime_proxy.address import Mailbox
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import Envelope, Role
from smime_proxy.gateway.harvest import seen_capabilities
from smime_proxy.gateway.ports import FoundKey, SeenCapabilities
from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.dkim import dkim_count, without_broken_dkim, without_dkim
from smime_proxy.message.entity import Entity
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.message_ids import own_identifiers
from smime_proxy.message.requests import Request, strip_own_fields, strip_requests
from smime_proxy.policy.algorithms import HeaderProtection, KeyTransport
from smime_proxy.policy.plan import (
    Decrypt,
    Encrypt,
    Encryption,
    Relay,
    SentCopy,
    Sign,
    SignatureForm,
    SigningKey,
    SignThenEncrypt,
    Treatment,
    Verify,
)
from smime_proxy.policy.rules import Account
from smime_proxy.smime.decrypted_mark import MarkKeys
from smime_proxy.smime.delivery import as_it_came_without_claims
from smime_proxy.smime.encrypt import encrypt_message, recipient_of
from smime_proxy.smime.protected_headers import protect_encrypted, protect_signed
from smime_proxy.smime.receive import receive
from smime_proxy.smime.report import Report
from smime_proxy.smime.sign import sign_entity, sign_entity_opaque, signing_time
from smime_proxy.smime.status import mark_private, pending_field, result_fields, strip_results
from smime_proxy.smime.unwrap import Unwrap
from smime_proxy.smime.verify import Trust

# Never in what we sign or encrypt: who else got it is nobody's business (RFC 5322 3.6.3, E20).
BLIND_FIELDS = frozenset({"bcc", "resent-bcc"})
MAILBOX_LINE = b"From "  # of a mailbox file; no field, so nobody knows what it says


@dataclass(frozen=True, slots=True)
class Material:
    """What every treatment of one message may need; `random(n)` gives n octets.

    `find_key` gives the key that a judged message brings, `is_own_domain` is asked of domains that
    signed it by DKIM. `marks` are the keys of the mark on what is decrypted; without them there is
    none. `hostname` is ours.
    """

    envelope: Envelope
    entity: Entity
    words: Mapping[str, Request]
    authserv_id: str
    trust: Trust
    signer: Callable[[SigningKey], CmsSigner]
    decryption_keys: Callable[[Account], tuple[DecryptionKey, ...]]
    random: Callable[[int], bytes]
    unwrap: frozenset[Unwrap] = frozenset()
    find_key: Callable[[Report], FoundKey | None] = lambda _report: None
    is_own_domain: Callable[[str], bool] = lambda _domain: False
    marks: MarkKeys | None = None
    hostname: str = ""


class Fields(Enum):
    """Which fields of the header are copied into the innermost entity (RFC 9788 2.1.1)."""

    NONE = "none"
    CLEAR = "clear"
    CIPHER = "cipher"


class Transform:
    """Carries out treatments of one message; what several of them share is made once."""

    def __init__(self, material: Material) -> None:
        """Keep the material; nothing is computed before it is asked for."""
        self._material = material
        self._known: dict[tuple[str, SignatureForm, Fields], bytes] = {}
        self._outer: HeaderBlock | None = None
        self._hidden: tuple[bytes, HeaderBlock] | None = None
        self._seen: SeenCapabilities | None = None
        self._found: FoundKey | None = None
        self._broken_dkim = 0
        self._contents: dict[tuple[Mailbox, ...], bytes] = {}
        self._decrypted = False
        self._named: tuple[bytes, ...] = ()
        self._verdicts: dict[tuple[str, str], None] = {}

    @property
    def entity(self) -> Entity:
        """The message as it came."""
        return self._material.entity

    @property
    def seen(self) -> SeenCapabilities | None:
        """What the sender of a received message, made here, said that he can read."""
        return self._seen

    @property
    def found(self) -> FoundKey | None:
        """The key of its sender that a received message, made here, brought."""
        return self._found

    @property
    def decrypted(self) -> bool:
        """Whether something of a received message, made here, was decrypted."""
        return self._decrypted

    @property
    def identifiers(self) -> tuple[bytes, ...]:
        """Message-IDs of the message, and that under which it was delivered decrypted."""
        own = own_identifiers(self._material.entity.header)
        return tuple(dict.fromkeys((*own, *self._named)))

    @property
    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """What was found in a received message: its signature (RFC 8601 word) and encryption."""
        return tuple(self._verdicts)

    @property
    def broken_dkim(self) -> int:
        """How many DKIM signatures of our own domains what was made here would have broken."""
        return self._broken_dkim

    def content(self, treatment: Treatment) -> bytes:
        """Give the message octets of one treatment, CRLF throughout, without our Received field.

        Raises `cms.errors.CmsError` when a certificate cannot be encrypted to,
        `gateway.ports.KeyUnavailable` when a key cannot be loaded.
        """
        match treatment:
            case Relay(requests):
                return self._relayed(requests=requests)
            case Sign(key, form, protection):
                shown = Fields.NONE if protection is HeaderProtection.OFF else Fields.CLEAR
                return with_entity(self._outer_header(), self._signed(key, form, shown))
            case Encrypt(encryption, protection):
                hidden = Fields.NONE if protection is HeaderProtection.OFF else Fields.CIPHER
                return self._sealed(self._part(hidden), hidden, encryption)
            case SignThenEncrypt(key, encryption, form, protection):
                hidden = Fields.NONE if protection is HeaderProtection.OFF else Fields.CIPHER
                return self._sealed(self._signed(key, form, hidden), hidden, encryption)
            case Verify():
                return self._received(())
            case Decrypt(accounts):
                return self._opened(accounts)
            case _:
                assert_never(treatment)

    def sent_copy(self, copy: SentCopy) -> bytes:
        """Give the unencrypted copy of mail sent encrypted, marked as such and private."""
        if copy.key:
            inner = self._signed(copy.key, SignatureForm(copy.signature), Fields.NONE)
        else:
            inner = self._part(Fields.NONE)
        header = mark_private(self._outer_header()).prepend("X-SMIME-Copy", "sent")
        return with_entity(header, inner)

    def _relayed(self, *, requests: bool) -> bytes:
        material = self._material
        header = material.entity.header
        if material.envelope.session.role is Role.INBOUND:
            cleaned = strip_results(strip_own_fields(header), material.authserv_id)
            return as_it_came_without_claims(cleaned, material.entity)
        cleaned = strip_requests(header, material.words) if requests else strip_own_fields(header)
        if cleaned is header:
            return bytes(material.entity)
        cleaned = self._counted(
            cleaned, without_broken_dkim(header, cleaned, material.is_own_domain)
        )
        return bytes(cleaned) + bytes(material.entity)[len(bytes(header)) :]

    def _opened(self, accounts: tuple[Account, ...]) -> bytes:
        """Open a message once for those who own the key and those who read for them."""
        addresses = tuple(account.address for account in accounts)
        if addresses not in self._contents:
            keys = (key for one in accounts for key in self._material.decryption_keys(one))
            made = self._received(tuple(keys))
            # Large mail to many is held once: with whichever keys, they mostly get the same.
            same = (known for known in self._contents.values() if known == made)
            self._contents[addresses] = next(same, made)
        return self._contents[addresses]

    def _received(self, keys: tuple[DecryptionKey, ...]) -> bytes:
        material = self._material
        header = strip_results(strip_own_fields(material.entity.header), material.authserv_id)
        received = receive(material.entity, keys, material.trust, material.envelope.received_at)
        self._verdicts[received.report.signature, received.report.encryption] = None
        fields = result_fields(received.report, material.authserv_id)
        if received.opened.payload is not None:
            self._decrypted = True
            if material.marks is not None:
                content = material.envelope.content
                header = material.marks.named(header, content, material.hostname)
                fields += (material.marks.mark_of(header),)
                self._named = own_identifiers(header)
        self._seen = seen_capabilities(received.report, material.envelope.received_at) or self._seen
        found = material.find_key(received.report)
        if found is not None:
            self._found = found
            fields += _pending_fields(found)
        return received.message(header, fields, material.unwrap)

    def _signed(self, key: SigningKey, form: SignatureForm, fields: Fields) -> bytes:
        name = (key.entry.certificate.fingerprint, form, fields)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._sign(key, form, self._part(fields))
        return known

    def _sign(self, key: SigningKey, form: SignatureForm, part: bytes) -> bytes:
        material = self._material
        signer = material.signer(key).using(form.scheme.value)
        at = signing_time(material.entity.header, material.envelope.received_at)
        if form.opaque:
            return sign_entity_opaque(part, signer, signing_time=at)
        return sign_entity(part, signer, signing_time=at, boundary_seed=material.random(16))

    def _part(self, fields: Fields) -> bytes:
        """Give the innermost entity: what the client signed unchanged, anything else canonical."""
        match fields:
            case Fields.NONE:
                return canonical_entity(self._material.entity)
            case Fields.CLEAR:
                return protect_signed(canonical_entity(self._material.entity), self._outer_header())
            case Fields.CIPHER:
                return self._hiding()[0]
            case _:
                assert_never(fields)

    def _hiding(self) -> tuple[bytes, HeaderBlock]:
        """Give the innermost entity with all fields in it, and the header left outside."""
        if self._hidden is None:
            part = canonical_entity(self._material.entity)
            self._hidden = protect_encrypted(part, self._sealing_header())
        return self._hidden

    def _sealed(self, inner: bytes, fields: Fields, encryption: Encryption) -> bytes:
        header = self._hiding()[1] if fields is Fields.CIPHER else self._sealing_header()
        recipients = [
            recipient_of(
                item.certificate.certificate.der,
                oaep=item.key_transport is KeyTransport.RSAES_OAEP,
            )
            for item in encryption.recipients
        ]
        return encrypt_message(
            header,
            inner,
            recipients,
            content_encryption=encryption.content_encryption.value,
            random=self._material.random,
        )

    def _sealing_header(self) -> HeaderBlock:
        header = self._outer_header()
        if bytes(header).startswith(MAILBOX_LINE):
            return header.remove(lambda field: field.raw.startswith(MAILBOX_LINE))
        return header

    def _outer_header(self) -> HeaderBlock:
        if self._outer is None:
            header = strip_requests(self._material.entity.header, self._material.words)
            header = self._counted(header, without_dkim(header, self._material.is_own_domain))
            self._outer = outer_header(header.remove(BLIND_FIELDS))
        return self._outer

    def _counted(self, before: HeaderBlock, after: HeaderBlock) -> HeaderBlock:
        self._broken_dkim = max(self._broken_dkim, dkim_count(before) - dkim_count(after))
        return after


def _pending_fields(found: FoundKey) -> tuple[tuple[str, str], ...]:
    """Give the field that tells of a key that waits; nothing of one that is taken at once."""
    if found.caution is None:
        return ()
    fingerprint = found.certificate.fingerprint
    return (pending_field(found.mailbox, fingerprint, found.caution.value),)
