"""Make the octets of each delivery: the plan's treatments carried out, no I/O, thread-safe.

RFC 8551 3.5.3 (clear-signed), 3.3 (enveloped), 3.7 (signed and enveloped); RFC 5322 3.6.3 (Bcc).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import Envelope, Role
from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.entity import Entity
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.requests import Request, strip_own_fields, strip_requests
from smime_proxy.policy.plan import (
    Decrypt,
    Encrypt,
    Relay,
    SentCopy,
    Sign,
    SigningKey,
    SignThenEncrypt,
    Treatment,
    Verify,
)
from smime_proxy.policy.rules import Account
from smime_proxy.smime.encrypt import encrypt_message, recipient_of
from smime_proxy.smime.receive import receive
from smime_proxy.smime.sign import sign_entity, signing_time
from smime_proxy.smime.status import mark_private, result_fields, strip_results
from smime_proxy.smime.verify import Trust

# Never in what we sign or encrypt: who else got it is nobody's business (RFC 5322 3.6.3, E20).
BLIND_FIELDS = frozenset({"bcc", "resent-bcc"})
MAILBOX_LINE = b"From "  # of a mailbox file; no field, so nobody knows what it says


@dataclass(frozen=True, slots=True)
class Material:
    """What every treatment of one message may need; `random(n)` gives n octets."""

    envelope: Envelope
    entity: Entity
    words: Mapping[str, Request]
    authserv_id: str
    trust: Trust
    signer: Callable[[SigningKey], CmsSigner]
    decryption_keys: Callable[[Account], tuple[DecryptionKey, ...]]
    random: Callable[[int], bytes]


class Transform:
    """Carries out treatments of one message; what several of them share is made once."""

    def __init__(self, material: Material) -> None:
        """Keep the material; nothing is computed before it is asked for."""
        self._material = material
        self._signed: dict[str, bytes] = {}
        self._outer: HeaderBlock | None = None

    @property
    def entity(self) -> Entity:
        """The message as it came."""
        return self._material.entity

    def content(self, treatment: Treatment) -> bytes:
        """Give the message octets of one treatment, CRLF throughout, without our Received field.

        Raises `cms.errors.CmsError` when a certificate cannot be encrypted to,
        `gateway.ports.KeyUnavailable` when a key cannot be loaded.
        """
        match treatment:
            case Relay(requests):
                return self._relayed(requests=requests)
            case Sign(key):
                return with_entity(self._outer_header(), self._signed_entity(key))
            case Encrypt(certificates):
                inner = self._inner_entity()
                return self._sealed(inner, [item.certificate.der for item in certificates])
            case SignThenEncrypt(key, certificates):
                inner = self._signed_entity(key)
                return self._sealed(inner, [item.certificate.der for item in certificates])
            case Verify():
                return self._received(())
            case Decrypt(account):
                return self._received(self._material.decryption_keys(account))
            case _:
                assert_never(treatment)

    def sent_copy(self, copy: SentCopy) -> bytes:
        """Give the unencrypted copy of mail sent encrypted, marked as such and private."""
        inner = self._signed_entity(copy.key) if copy.key else self._inner_entity()
        header = mark_private(self._outer_header()).prepend("X-SMIME-Copy", "sent")
        return with_entity(header, inner)

    def _relayed(self, *, requests: bool) -> bytes:
        material = self._material
        header = material.entity.header
        if material.envelope.session.role is Role.INBOUND:
            cleaned = strip_results(strip_own_fields(header), material.authserv_id)
        elif requests:
            cleaned = strip_requests(header, material.words)
        else:
            cleaned = strip_own_fields(header)
        if cleaned is header:
            return bytes(material.entity)
        return bytes(cleaned) + bytes(material.entity)[len(bytes(header)) :]

    def _received(self, keys: tuple[DecryptionKey, ...]) -> bytes:
        material = self._material
        header = strip_results(strip_own_fields(material.entity.header), material.authserv_id)
        received = receive(material.entity, keys, material.trust, material.envelope.received_at)
        fields = result_fields(received.report, material.authserv_id)
        return received.message(header, fields)

    def _signed_entity(self, key: SigningKey) -> bytes:
        known = self._signed.get(key.entry.certificate.fingerprint)
        if known is not None:
            return known
        material = self._material
        signed = sign_entity(
            canonical_entity(material.entity),
            material.signer(key),
            signing_time=signing_time(material.entity.header, material.envelope.received_at),
            boundary_seed=material.random(16),
        )
        self._signed[key.entry.certificate.fingerprint] = signed
        return signed

    def _inner_entity(self) -> bytes:
        """Give the entity to encrypt: what the client signed unchanged, anything else canonical."""
        return canonical_entity(self._material.entity)

    def _sealed(self, inner: bytes, certificates: list[bytes]) -> bytes:
        recipients = [recipient_of(der) for der in certificates]
        header = self._outer_header()
        if bytes(header).startswith(MAILBOX_LINE):
            header = header.remove(lambda field: field.raw.startswith(MAILBOX_LINE))
        return encrypt_message(header, inner, recipients, random=self._material.random)

    def _outer_header(self) -> HeaderBlock:
        if self._outer is None:
            header = strip_requests(self._material.entity.header, self._material.words)
            self._outer = outer_header(header.remove(BLIND_FIELDS))
        return self._outer
