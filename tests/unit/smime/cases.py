"""Messages for S/MIME tests, made by our own signer and encrypter, and how they are received."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from smime_proxy.certs.anchors import Anchor
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner, sign
from smime_proxy.message.build import multipart_signed_entity, pkcs7_mime_entity
from smime_proxy.message.parse import parse
from smime_proxy.message.requests import strip_own_fields
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.status import result_fields, strip_results
from smime_proxy.smime.unwrap import Unwrap
from smime_proxy.smime.verify import Trust
from tests import pki
from tests.fakes import DATE, Octets
from tests.unit.cms import made, parties

AT = pki.NOW
ALICE = "alice@example.test"
BOB = "bob@example.test"
ID = "proxy.example.test"
PART = b"Content-Type: text/plain\r\n\r\nHello Bob\r\n"
BOUNDARY = "=_b"


@cache
def anchor(identity: pki.Identity) -> Anchor:
    return Anchor(identity.certificate)


def trust(*roots: pki.Identity, known: Sequence[bytes] = ()) -> Trust:
    anchors = [anchor(root) for root in roots or (parties.root(),)]
    return Trust(anchors, (), lambda _issuer, _serial: known)


@cache
def person(*mailboxes: str, **declared: object) -> pki.Identity:
    """Make someone below the trusted root; all share one key, which is all tests need."""
    values = {"kind": "p256", "label": "smime person", "name": "Alice", **declared}
    return pki.person(parties.root(), *mailboxes, **values)


@cache
def signer_of(identity: pki.Identity) -> CmsSigner:
    chain = tuple(item.der for item in identity.chain)
    key = parties.signing_key(identity)
    return CmsSigner.build(key, identity.der, chain, capabilities=True)


@cache
def alice() -> pki.Identity:
    return parties.party()


def signature(
    part: bytes = PART,
    identity: pki.Identity | None = None,
    *,
    at: datetime | None = AT,
    detached: bool = True,
) -> bytes:
    return sign(part, signer_of(identity or alice()), signing_time=at, detached=detached)


def clear(
    part: bytes = PART,
    identity: pki.Identity | None = None,
    *,
    at: datetime | None = AT,
    der: bytes | None = None,
) -> bytes:
    """Give a multipart/signed entity; `der` in place of alice's signature."""
    made_of = signature(part, identity, at=at) if der is None else der
    return multipart_signed_entity(part, made_of, "sha-256", BOUNDARY)


def opaque(part: bytes = PART, identity: pki.Identity | None = None) -> bytes:
    return pkcs7_mime_entity(signature(part, identity, detached=False), "signed-data")


def enveloped(entity: bytes = PART, *names: str) -> bytes:
    recipients = [parties.recipient(name) for name in names or ("alice",)]
    return encrypt_entity(entity, recipients, random=Octets())


def compressed(entity: bytes) -> bytes:
    return cms(made.compressed_data(entity), "compressed-data")


def cms(der: bytes, label: str = "enveloped-data") -> bytes:
    return pkcs7_mime_entity(der, label)


def weakly_signed(digest: str, part: bytes = PART) -> bytes:
    """Give alice's detached SignedData with an old digest."""
    attributes = [made.CONTENT_TYPE, made.message_digest(part, digest)]
    return made.signed_data(made.signer_info(attributes, digest=digest))


def message(entity: bytes, sender: str = f"Alice <{ALICE}>", more: str = "") -> bytes:
    head = f"From: {sender}\r\nTo: {BOB}\r\nSubject: Hello\r\nDate: {DATE}\r\n{more}"
    return head.encode() + b"MIME-Version: 1.0\r\n" + entity


def key(name: str = "alice") -> DecryptionKey:
    return parties.decryption_key(name)


def received(
    content: bytes,
    *keys: DecryptionKey,
    trusting: Trust | None = None,
    at: datetime = AT,
) -> Received:
    return receive(parse(content), keys, trusting or trust(), at)


def verdict(content: bytes, *keys: DecryptionKey, trusting: Trust | None = None) -> str:
    """Give the result and its reason, `policy: ...`."""
    report = received(content, *keys, trusting=trusting).report
    return f"{report.signature}: {report.reason}" if report.reason else report.signature


def fields(content: bytes, *keys: DecryptionKey, trusting: Trust | None = None) -> dict[str, str]:
    report = received(content, *keys, trusting=trusting).report
    return dict(result_fields(report, ID))


def delivered(
    content: bytes, *keys: DecryptionKey, unwrap: frozenset[Unwrap] = frozenset()
) -> bytes:
    """Give the message as the gateway delivers it, Received field aside."""
    found = received(content, *keys)
    header = strip_results(strip_own_fields(found.entity.header), ID)
    return found.message(header, result_fields(found.report, ID), unwrap)
