"""The people, the mails and the two ends of the exchange that every peer is tried with.

What is written here is made as the gateway makes it; what peers get of it is cut out by plain
octet operations and the standard library, so that no parser of ours vouches for itself.
"""

import email
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.certs.anchors import Anchor
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.parse import parse
from smime_proxy.smime.encrypt import encrypt_entity, recipient_of
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.sign import sign_entity, signing_time
from smime_proxy.smime.verify import Trust
from tests import pki

KINDS = ("rsa", "rsa3072", "p256", "p384", "p521")
READERS = ("bob", "carol")
TEXT = b"Content-Type: text/plain\r\n\r\nFor your eyes only.\r\n"
ALTERED = b"Content-Type: text/plain\r\n\r\nFor other eyes too.\r\n"

_GREETING = "Grüße aus Köln\r\nFrom here on\r\n.\r\n..dots and blanks \t\r\nend"
_PIXEL = bytes(range(256)) * 3
_ATTACHED = (
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\nnobody reads this\r\n'
    b'--m\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n'
    b"--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n"
    b"--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>From <b>us</b></p> \r\n--a--\r\n"
    b"--m\r\nContent-Type: application/octet-stream; name=all.bin\r\n"
    b"Content-Disposition: attachment; filename=all.bin\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n"
    b"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4lter\r\n--m--\r\n"
)
# Larger than any buffer of a peer, which writes it in several pieces.
LARGE = (
    b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + (b"JVBERi0x" * 9 + b"\r\n") * 2000
)
# Content-* fields and body of what people send; the rest of the header is added below.
BODIES = {
    "plain": TEXT,
    "without a type": b"\r\nJust words.\r\n",
    "empty": b"\r\n",
    "no line end": b"Content-Type: text/plain\r\n\r\nthe end",
    "8-bit": b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + _GREETING.encode(),
    "html": b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"<p>" + "ß".encode() * 2000 + b"</p>\r\n",
    "long lines": b"Content-Type: text/plain\r\n\r\n" + b"word " * 1000 + b"\r\n.\r\n",
    "binary": b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + _PIXEL,
    "attachments": _ATTACHED,
    "large": LARGE,
}


@cache
def root() -> pki.Identity:
    """Give the authority that both sides trust."""
    return pki.root("Exchange Root")


@cache
def issuing() -> pki.Identity:
    """Give the authority between the root and everybody, which travels with the mail (E39)."""
    return pki.intermediate(root(), "Exchange Issuing CA")


@cache
def sender(kind: str) -> pki.Identity:
    """Give the one who signs with a key of this kind; `stranger` is below no trusted root."""
    if kind == "stranger":
        return pki.person(pki.root("Strange Root"), address(kind))
    return pki.person(issuing(), address(kind), kind=kind)


@cache
def reader(name: str) -> pki.Identity:
    """Give one who is encrypted to; all have RSA keys."""
    return pki.person(issuing(), f"{name}@reader.test")


def address(kind: str) -> str:
    """Give the mailbox of a sender."""
    return f"{kind}@sender.test"


def key_of(identity: pki.Identity) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Give a private key of a kind that CMS signs with here."""
    assert isinstance(identity.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return identity.key


def mail(kind: str, body: bytes, date: datetime = pki.NOW) -> bytes:
    """Give a message from a sender; `body` begins with the Content-* fields or an empty line."""
    return (
        b"From: Some One <%s>\r\nTo: bob@reader.test\r\nSubject: An exchange\r\n"
        b"Date: %s\r\nMessage-ID: <1@sender.test>\r\nMIME-Version: 1.0\r\n"
        % (address(kind).encode(), date.strftime("%a, %d %b %Y %H:%M:%S +0000").encode())
    ) + body


def signer(kind: str) -> CmsSigner:
    """Give the signer with its chain, as accounts of persons have it."""
    person = sender(kind)
    chain = tuple(certificate.der for certificate in person.chain)
    return CmsSigner.build(key_of(person), person.der, chain, capabilities=True)


def signed_here(message: bytes, kind: str, at: datetime = pki.NOW) -> bytes:
    """Sign a message clear."""
    entity = parse(message)
    return with_entity(outer_header(entity.header), _signed_entity(message, kind, at))


def encrypted_here(message: bytes, readers: Sequence[str] = READERS) -> bytes:
    """Encrypt a message unsigned."""
    entity = parse(message)
    return _sealed(message, canonical_entity(entity), readers)


def signed_and_encrypted_here(
    message: bytes, kind: str, readers: Sequence[str] = READERS, at: datetime = pki.NOW
) -> bytes:
    """Sign a message clear and encrypt the signed entity."""
    return _sealed(message, _signed_entity(message, kind, at), readers)


def _signed_entity(message: bytes, kind: str, at: datetime) -> bytes:
    entity = parse(message)
    return sign_entity(
        canonical_entity(entity),
        signer(kind),
        signing_time=signing_time(entity.header, at),
        boundary_seed=os.urandom(16),
    )


def _sealed(message: bytes, inner: bytes, readers: Sequence[str]) -> bytes:
    recipients = [recipient_of(reader(name).der) for name in readers]
    sealed = encrypt_entity(inner, recipients, random=os.urandom)
    return with_entity(outer_header(parse(message).header), sealed)


def trust(*known: pki.Identity) -> Trust:
    """Give what judges: the root, and certificates that are stored beside the mail (E58)."""
    stored = {person.certificate.serial: person.der for person in known}

    def find(_issuer: bytes, serial: int) -> Sequence[bytes]:
        return [stored[serial]] if serial in stored else []

    return Trust((Anchor(root().certificate),), (), find)


def keys(*names: str) -> list[DecryptionKey]:
    """Give the decryption keys of readers."""
    return [DecryptionKey.build(key_of(reader(name)), reader(name).der) for name in names]


def received(message: bytes, *readers: str, at: datetime | None = None) -> Received:
    """Receive a message with the keys of readers; peers sign by the clock, so `at` is now."""
    return receive(parse(message), keys(*readers), trust(), at or now())


def now() -> datetime:
    """Give the clock's time, by which peers sign and judge."""
    return datetime.now(UTC)


def split_signed(entity: bytes) -> tuple[bytes, bytes]:
    """Cut a clear-signed message into the signed octets and the signature in DER (RFC 1847)."""
    boundary = re.search(rb'boundary="?([^";\r\n]+)', entity)
    assert boundary is not None
    _, part, rest = entity.split(b"--" + boundary[1] + b"\r\n")
    signature = email.message_from_bytes(rest.split(b"\r\n--" + boundary[1] + b"--")[0])
    der = signature.get_payload(decode=True)
    assert isinstance(der, bytes)
    return part.removesuffix(b"\r\n"), der


def cms_of(message: bytes) -> bytes:
    """Give the CMS object that is the body of a message."""
    der = email.message_from_bytes(message).get_payload(decode=True)
    assert isinstance(der, bytes)
    return der


def clear_signed(
    kind: str, part: bytes, der: bytes, *, date: datetime | None = None, micalg: str = "sha-256"
) -> bytes:
    """Put a peer's detached signature into a message."""
    fields = (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        f" micalg={micalg}; boundary=theirs\r\n\r\n--theirs\r\n"
    )
    signature = EmailMessage(policy.SMTP)
    signature.set_content(der, "application", "pkcs7-signature", filename="smime.p7s")
    body = fields.encode() + part + b"\r\n--theirs\r\n" + bytes(signature) + b"\r\n--theirs--\r\n"
    return mail(kind, body, date or now())


def opaque(
    kind: str, der: bytes, smime_type: str = "signed-data", *, date: datetime | None = None
) -> bytes:
    """Put a peer's CMS object into a message."""
    body = EmailMessage(policy.SMTP)
    body.set_content(
        der,
        "application",
        "pkcs7-mime",
        params={"smime-type": smime_type},
        filename="smime.p7m",
    )
    del body["MIME-Version"]
    return mail(kind, bytes(body), date or now())


def leaves(message: bytes) -> list[tuple[str, bytes]]:
    """List type and decoded octets of every leaf, as the standard library reads them."""
    found = []
    for part in email.message_from_bytes(message).walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append((part.get_content_type(), content))
    return found


def altered(message: bytes) -> bytes:
    """Change one octet of the signed text, near the end of its part."""
    part, _ = split_signed(message)
    position = message.index(part) + len(part) - 4
    changed = bytes([message[position] ^ 1])
    return message[:position] + changed + message[position + 1 :]
