"""What is mutated: mail, CMS, certificates, key files and TNEF, made here, and the collections.

The collections are other people's, found by SMIME_CORPORA, and never kept.
"""

import base64
import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.envelop import envelop
from smime_proxy.cms.sign import sign
from smime_proxy.message.build import multipart_signed_entity, pkcs7_mime_entity
from smime_proxy.message.parse import parse
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.protected_headers import protect_encrypted, protect_signed
from tests import pki, tnef
from tests.fakes import DATE, Octets
from tests.fuzz import ber_tree, people
from tests.unit.cms import holders, made, ways

CANARY = b"canary sings in the mine"
MAX_SEED = 40_000  # octets of a file of the collections
TOP = (
    f"From: Alice <{people.ALICE}>\r\nTo: {people.PARTNER}\r\nSubject: Hello\r\nDate: {DATE}\r\n"
    "Message-ID: <1@example.test>\r\nMIME-Version: 1.0\r\n"
).encode()
TEXT = b"Content-Type: text/plain\r\n\r\nHello, " + CANARY + b"\r\n"
_RANDOM = Octets()
Wrapped = Callable[[bytes], bytes]


class Kind(Enum):
    """What octets are meant to be."""

    MAIL = "mail"
    CMS = "cms"
    CERTIFICATE = "certificate"
    KEY_FILE = "key file"
    TNEF = "tnef"


def entities() -> Iterator[bytes]:
    """Give entities of mail nobody protected."""
    encoded = base64.encodebytes(b"%PDF " + CANARY + bytes(range(256))).replace(b"\n", b"\r\n")
    attachment = (
        b"Content-Type: application/pdf; name*0=lo; name*1=ng.pdf\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''%C3%BC.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded
    )
    html = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>\xc3\xbc " + CANARY + b"</p>\r\n"
    calendar = (
        b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
        b"DESCRIPTION:" + CANARY + b"\r\nEND:VCALENDAR\r\n"
    )
    quoted = (
        b"Content-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe =\r\n" + CANARY + b"\r\n"
    )
    note = base64.encodebytes(tnef.stream(tnef.class_attribute("IPM.Microsoft Mail.Note")))
    winmail = (
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + note.replace(b"\n", b"\r\n")
    )
    yield from (TEXT, html, quoted, calendar.replace(b"REQUEST", b"PUBLISH"), calendar)
    yield multipart(b"mixed", multipart(b"alternative", TEXT, html), attachment)
    yield multipart(b"mixed", TEXT, winmail)
    yield multipart(b"digest", b"\r\n" + TOP + TEXT, b"\r\n" + TOP + quoted)
    yield b"Content-Type: message/rfc822\r\n\r\n" + TOP + multipart(b"related", html, attachment)
    yield multipart(b"report; report-type=delivery-status", TEXT, b"\r\n" + TOP)


def multipart(kind: bytes, *parts: bytes) -> bytes:
    boundary = b"=_" + kind[:5]
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/%b; boundary=%b\r\n\r\n%b--%b--\r\n" % (
        kind, boundary, body, boundary,
    )  # fmt: skip


def signed(part: bytes, name: str = "alice", *, detached: bool = True) -> bytes:
    return sign(part, people.signer(name), signing_time=pki.NOW, detached=detached)


def clear_signed(part: bytes, name: str = "alice") -> bytes:
    return multipart_signed_entity(part, signed(part, name), "sha-256", "=_signed")


def opaque(part: bytes, name: str = "alice") -> bytes:
    return pkcs7_mime_entity(signed(part, name, detached=False), "signed-data")


def sealed(entity: bytes, cipher: str = "aes256_cbc", *names: str) -> bytes:
    recipients = [people.recipient(name) for name in names or ("alice", "partner")]
    return encrypt_entity(entity, recipients, content_encryption=cipher, random=_RANDOM)


def compressed(entity: bytes) -> bytes:
    return pkcs7_mime_entity(made.compressed_data(entity), "compressed-data")


def protected_entities() -> Iterator[bytes]:
    """Give entities somebody signed, encrypted or compressed, in all orders that are sent."""
    mixed = multipart(b"mixed", TEXT, TEXT)
    header = parse(TOP + TEXT).header
    covered, _ = protect_encrypted(TEXT, header)
    yield from (clear_signed(TEXT), clear_signed(mixed, "bob"), opaque(TEXT), opaque(mixed, "bob"))
    yield from (sealed(TEXT), sealed(TEXT, "aes256_gcm"), sealed(TEXT, "aes128_cbc", "bob"))
    yield from (sealed(clear_signed(mixed)), sealed(opaque(TEXT), "aes128_gcm"))
    yield from (clear_signed(sealed(clear_signed(TEXT))), opaque(opaque(TEXT)))
    yield from (compressed(TEXT), clear_signed(compressed(TEXT)), compressed(opaque(TEXT)))
    yield from (clear_signed(protect_signed(TEXT, header)), sealed(covered))
    yield sealed(clear_signed(covered), "aes256_gcm")
    yield pkcs7_mime_entity(
        made.signed_data(certificates=[people.identity("alice").der]), "certs-only"
    )
    yield multipart(b"mixed", TEXT, sealed(TEXT))
    yield multipart(b"mixed", clear_signed(TEXT), TEXT)
    pgp = (
        b"Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n"
    )
    yield multipart(
        b'encrypted; protocol="application/pgp-encrypted"',
        b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n",
        pgp + b"-----END PGP MESSAGE-----\r\n",
    )


def cms_objects() -> Iterator[bytes]:
    """Give CMS of every kind the package reads, also in BER of indefinite lengths and chunks."""
    objects = [signed(TEXT), signed(TEXT, "bob", detached=False), made.compressed_data(TEXT * 20)]
    objects += [
        envelop(TEXT, [people.recipient("alice"), people.recipient("bob")],
                content_encryption=cipher, random=_RANDOM)
        for cipher in ("aes256_cbc", "aes128_gcm", "chacha20_poly1305")
    ]  # fmt: skip
    for kind in holders.KINDS:
        holder = holders.holder(kind)
        objects.append(envelop(TEXT, [holder.recipient()], random=_RANDOM))
    alice = people.identity("alice")
    sid = read_certificate(alice.der).issuer_and_serial
    bare = made.signer_info(None, content=TEXT, key=alice.key, sid=sid)
    objects.append(made.signed_data(bare, content=TEXT, certificates=[alice.der]))
    objects.append(made.signed_data(certificates=[alice.der]))
    objects.append(made.enveloped_data(
        ways.oaep(bytes(32), b""), encrypted=made.encrypted_content(TEXT, bytes(32))
    ))  # fmt: skip
    yield from objects
    yield from (streamed(item) for item in objects)


def streamed(raw: bytes) -> bytes:
    """Write as a streaming writer does: indefinite lengths, strings in chunks."""

    def loosened(node: ber_tree.Node) -> ber_tree.Node:
        if node.inside is not None:
            return ber_tree.Node(node.tag, [loosened(item) for item in node.inside], form=-1)
        if node.tag == b"\x04" and len(node.octets) > 100:
            pieces = [node.octets[at : at + 50] for at in range(0, len(node.octets), 50)]
            return ber_tree.Node(
                b"\x24", [ber_tree.Node(b"\x04", octets=p) for p in pieces], form=-1
            )
        return node

    return ber_tree.write([loosened(node) for node in ber_tree.read(raw)])


def made_here(kind: Kind) -> list[bytes]:
    """Give the seeds of a kind that need nothing but this project."""
    match kind:
        case Kind.MAIL:
            return [TOP + entity for entity in (*entities(), *protected_entities())]
        case Kind.CMS:
            return list(cms_objects())
        case Kind.CERTIFICATE:
            names = ("root", "alice", "bob", "partner")
            found = [people.identity(name).der for name in names]
            pem = [people.identity(name).pem() for name in names[1:3]]
            return [*found, b"".join(pem), made.signed_data(certificates=found)]
        case Kind.KEY_FILE:
            alice, bob = people.identity("alice"), people.identity("bob")
            pem = [alice.key_pem() + alice.pem(), bob.key_pem(b"secret") + bob.pem()]
            return [*pem, bob.pkcs12(), bob.pkcs12(legacy=True), bob.pkcs12(None)]
        case Kind.TNEF:
            old, new = "IPM.Microsoft Schedule.MtgReq", "IPM.Schedule.Meeting.Request"
            written = tnef.properties(
                tnef.class_property(new), tnef.class_property(new, tnef.STRING8)
            )
            return [tnef.stream(tnef.class_attribute(old), written), tnef.stream(written)]


_SUFFIXES = {
    Kind.MAIL: {".eml", ".mbox"},
    Kind.CMS: {".p7m", ".p7s", ".p7c", ".cms", ".ber", ".der"},
    Kind.CERTIFICATE: {".crt", ".cer", ".pem"},
    Kind.KEY_FILE: {".p12", ".pfx"},
    Kind.TNEF: {".tnef"},
}


def collected(kind: Kind) -> list[bytes]:
    """Give small files of the collections that are of a kind, none where there are none."""
    folder = os.environ.get("SMIME_CORPORA", "")
    if not folder:
        return []
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in _SUFFIXES[kind] and path.is_file() and path.stat().st_size <= MAX_SEED:
            raw = path.read_bytes()
            found.append(
                raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if kind is Kind.MAIL else raw
            )
    return found
