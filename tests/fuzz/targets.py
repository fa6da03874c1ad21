"""What is fed with mutants, and what must hold of what comes out.

A target raises only when something is wrong: an exception its docstring does not name, or a
`Violation`. What it returns tells one behaviour from another, so that new ones are followed up.
"""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache

from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.errors import CertificateError, KeyFileError
from smime_proxy.certs.path import Purpose, validate
from smime_proxy.certs.pkcs12 import read_key_file
from smime_proxy.cms import ber
from smime_proxy.cms.capabilities import encode_capabilities, parse_capabilities
from smime_proxy.cms.compress import decompress
from smime_proxy.cms.content_info import parse_content_info, peek_content_type
from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.signed_data import is_certs_only
from smime_proxy.cms.structures import (
    content_kind,
    parse_enveloped_data,
    parse_signed_data,
)
from smime_proxy.cms.verify import Integrity, verify
from smime_proxy.message.calendar import meeting_method
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.entity import Entity, decode_octets
from smime_proxy.message.errors import BadRequest, FromError, MessageError, TooComplex
from smime_proxy.message.mailboxes import from_mailbox, named_mailboxes, visible_mailboxes
from smime_proxy.message.parse import parse
from smime_proxy.message.requests import read_requests, strip_own_fields, strip_requests
from smime_proxy.message.tnef import message_class
from smime_proxy.policy.rules import subject_words
from smime_proxy.smime.classify import outline
from smime_proxy.smime.harvest import offered_key
from smime_proxy.smime.inspect import inspect
from smime_proxy.smime.receive import receive
from smime_proxy.smime.status import result_fields, strip_results
from smime_proxy.smime.unwrap import Unwrap
from smime_proxy.smtp.intake import normalise
from tests import pki
from tests.fuzz import exchange, people, seeds
from tests.fuzz.seeds import Kind
from tests.fuzz.violation import hold

PASSWORD = b"secret"
AUTHSERV_ID = "proxy.example.test"
WORDS = subject_words(exchange.world().rules.words)
_EVERY_UNWRAP = frozenset(Unwrap)


@dataclass(frozen=True)
class Target:
    """Something that takes octets meant to be of a kind; `share` of the runs it gets.

    `readings`: how often one run reads the octets anew; each reading may take the time allowed.
    """

    kind: Kind
    run: Callable[[bytes], Hashable]
    share: int = 1
    readings: int = 1


# ---------------------------------------------------------------- mail


def run_parse(raw: bytes) -> Hashable:
    entity = _parsed(raw)
    if entity is None:
        return "too complex"
    hold(bytes(entity) == raw, "a message is its octets")
    parts = []
    for part in entity.walk():
        header = part.header
        hold(b"".join(f.raw for f in header.fields) == bytes(header), "a header is its fields")
        decode_octets(part.body, part.transfer_encoding)
        parts.append((str(part.content_type), part.defects))
        _ = part.disposition, part.filename
    return tuple(parts[:20])


def run_fields(raw: bytes) -> Hashable:
    entity = _parsed(raw)
    if entity is None:
        return "too complex"
    header = entity.header
    found: list[Hashable] = [meeting_method(entity)]
    for read in (from_mailbox, visible_mailboxes, named_mailboxes):
        try:
            found.append(type(read(header)).__name__)
        except (FromError, TooComplex) as error:
            found.append(str(error)[:60])
    try:
        found.append(read_requests(header, WORDS))
        left = read_requests(strip_requests(header, WORDS), WORDS)
        hold(not left, "requests are removed")
    except BadRequest as error:
        found.append(str(error))
    own = strip_own_fields(header)
    hold(not own.starting("x-smime-"), "own fields are removed")
    return tuple(found)


def run_canonical(raw: bytes) -> Hashable:
    entity = _parsed(normalise(raw + b"\n"))  # as listeners do with what we sign
    if entity is None:
        return "too complex"
    try:
        once = canonical_entity(entity)
        twice = canonical_entity(parse(once))
    except TooComplex:
        return "too complex with fields of ours"
    # What is broken is left alone, and may be whole behind the fields of ours.
    if not any(part.defects for part in entity.walk()):
        hold(twice == once, "what is canonical stays as it is")
    outer_header(entity.header)
    return once == raw


def run_outline(raw: bytes) -> Hashable:
    entity = _parsed(raw)
    return "too complex" if entity is None else str(outline(entity))[:300]


def run_inspect(raw: bytes) -> Hashable:
    found = inspect(raw, keys=people.opening_keys(), trust=people.trust(), at=pki.NOW)
    told = found.as_json()
    json.dumps(told)
    if found.report.signature == "pass":
        signed = (_sender(raw), _crlf(found.extracted or b""))
        hold(signed in known_signed(), "only what was signed passes, and from its signer")
    kinds = tuple(layer.protection for layer in found.report.layers)
    return kinds, found.error, found.report.signature, found.report.reason, found.report.lock


def run_receive(raw: bytes) -> Hashable:
    entity = _parsed(raw)
    if entity is None:
        return "too complex"
    received = receive(entity, people.opening_keys(), people.trust(), pki.NOW)
    header = strip_results(strip_own_fields(entity.header), AUTHSERV_ID)
    fields = result_fields(received.report, AUTHSERV_ID)
    for unwrap in (frozenset[Unwrap](), _EVERY_UNWRAP):
        delivered = _parsed(received.message(header, fields, unwrap))
        if delivered is None:
            continue
        names = [field.name.lower() for field in delivered.header.starting("x-smime-")]
        hold(len(names) == len(set(names)) == 4, "results are written once, whatever arrived")
        told = delivered.header.first("x-smime-signature") or ""
        hold(told.partition(";")[0] == received.report.signature, "the result is the one found")
    offered = offered_key(received.report, people.trust(), pki.NOW)
    if offered is not None and offered.anchor is not None:
        known = {people.identity(name).certificate for name in ("alice", "bob", "partner")}
        hold(offered.certificate in known, "only keys the authority vouched for are trusted")
        hold(offered.certificate.carries(offered.mailbox), "a key is offered for its own address")
        hold(received.report.signature == "pass", "only what passes offers a trusted key")
    return received.report.signature, received.report.reason, received.report.lock


def _parsed(raw: bytes) -> Entity | None:
    try:
        return parse(raw)
    except TooComplex:
        return None


def _sender(raw: bytes) -> str:
    try:
        return str(from_mailbox(parse(raw).header))
    except MessageError as error:
        return str(error)


def _crlf(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@cache
def known_signed() -> frozenset[tuple[str, bytes]]:
    """Give From mailbox and innermost octets of every seed that passes."""
    found = set()
    for raw in seeds.made_here(Kind.MAIL):
        inspection = inspect(raw, keys=people.opening_keys(), trust=people.trust(), at=pki.NOW)
        if inspection.report.signature == "pass":
            found.add((_sender(raw), _crlf(inspection.extracted or b"")))
    assert found
    return frozenset(found)


# ---------------------------------------------------------------- CMS


def run_walk(raw: bytes) -> Hashable:
    try:
        element, _ = ber.read(raw)
        once = ber.to_der(element)
    except CmsError as error:
        return str(error)[:30]
    hold(ber.to_der(ber.read_only(once)) == once, "DER is its own DER")
    return once == raw


def run_structures(raw: bytes) -> Hashable:
    found: list[Hashable] = []
    for read in (
        content_kind, parse_content_info, peek_content_type, parse_signed_data,
        parse_enveloped_data, is_certs_only, decompress, parse_capabilities,
    ):  # fmt: skip
        try:
            found.append(type(read(raw)).__name__)
        except CmsError as error:
            found.append(str(error)[:60])
    return tuple(found)


def run_capabilities(raw: bytes) -> Hashable:
    try:
        capabilities = parse_capabilities(raw)
    except CmsError as error:
        return str(error)[:60]
    hold(parse_capabilities(encode_capabilities(capabilities)) == capabilities, "read as written")
    return len(capabilities.identifiers)


def run_decrypt(raw: bytes) -> Hashable:
    try:
        enveloped = parse_enveloped_data(raw)
        plain = decrypt(enveloped, (*people.opening_keys(), *exchange.other_keys()))
    except DecryptionError:
        return "not opened"
    except CmsError as error:
        return str(error)[:60]
    if enveloped.authenticated:
        hold(plain in exchange.SEALED, "authenticated ciphertext opens to what was sealed")
    return enveloped.content_encryption, plain == seeds.TEXT


def run_verify(raw: bytes) -> Hashable:
    try:
        signed = parse_signed_data(raw)
    except CmsError as error:
        return str(error)[:60]
    found: list[Hashable] = []
    ours = {people.identity(name).der for name in ("alice", "bob")}
    for contents in ((), (seeds.TEXT,), (b"other" + seeds.TEXT,)):
        reports = verify(signed, contents, [people.identity("alice").der])
        for report in reports:
            # Others signed what is in the collections.
            if report.integrity is Integrity.INTACT and report.certificate in ours:
                own = contents or (signed.content_octets() or b"",)
                hold(own[0] == seeds.TEXT, "only what was signed is intact")
            found.append((report.integrity, report.reason))
            _ = report.issuer, report.serial, report.ski
    return tuple(found)


# ---------------------------------------------------------------- certificates, keys, TNEF


def run_certificate(raw: bytes) -> Hashable:
    try:
        found = read_certificates(raw)
    except CertificateError as error:
        return str(error)[:60]
    return tuple(_judged(certificate) for certificate in found[:3])


def _judged(certificate: Certificate) -> Hashable:
    _ = certificate.subject, certificate.issuer, certificate.identities(dn_address=True)
    pool, anchors = [people.identity("root").certificate], [people.anchor()]
    told = [validate(certificate, pool, anchors, pki.NOW, purpose=purpose) for purpose in Purpose]
    return tuple((item.status, item.reason) for item in told), certificate.valid_at(pki.NOW)


def run_key_file(raw: bytes) -> Hashable:
    try:
        bundle = read_key_file(raw, PASSWORD)
    except KeyFileError as error:
        hold("\n" not in str(error), "a fault of a key file is one line")
        return str(error)[:60]
    return len(bundle.pairs), len(bundle.chain)


def run_tnef(raw: bytes) -> Hashable:
    return (message_class(raw) or "")[:40]


TARGETS: dict[str, Target] = {
    "parse": Target(Kind.MAIL, run_parse, 4),
    "fields": Target(Kind.MAIL, run_fields, 4),
    "canonical": Target(Kind.MAIL, run_canonical, 4),
    "inspect": Target(Kind.MAIL, run_inspect, 8),
    "inspect-cms": Target(Kind.CMS, run_inspect, 2),
    "receive": Target(Kind.MAIL, run_receive, 8),
    "outbound": Target(Kind.MAIL, exchange.run_outbound, 6),
    "signing": Target(Kind.MAIL, exchange.run_signing, 4),
    "inbound": Target(Kind.MAIL, exchange.run_inbound, 4),
    "outline": Target(Kind.MAIL, run_outline, 4),
    "walk": Target(Kind.CMS, run_walk, 4),
    "structures": Target(Kind.CMS, run_structures, 6, readings=8),
    "capabilities": Target(Kind.CMS, run_capabilities),
    "decrypt": Target(Kind.CMS, run_decrypt, 8),
    "verify": Target(Kind.CMS, run_verify, 8),
    "certificate": Target(Kind.CERTIFICATE, run_certificate, 4),
    "key-file": Target(Kind.KEY_FILE, run_key_file, 2),
    "tnef": Target(Kind.TNEF, run_tnef),
}
