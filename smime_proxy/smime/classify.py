"""Tell what protection a message already has, by the CMS content type and not by the label.

RFC 8551 3 and 3.9 (identifying an S/MIME message), RFC 1847 (multipart/signed), RFC 3156 (PGP).
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import partial

from smime_proxy.cms.compress import decompress
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.structures import (
    EnvelopedData,
    content_kind,
    parse_enveloped_data,
    parse_signed_data,
)
from smime_proxy.message.content_type import is_plain
from smime_proxy.message.encoded_word import decode_base64
from smime_proxy.message.entity import (
    IDENTITY_ENCODINGS,
    Defect,
    Entity,
    decode_octets,
    decode_start,
)
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.message.transfer_encoding import is_bare_base64

MAX_LAYERS = 8  # nested S/MIME layers that are looked into; triple wrapping needs three
MAX_COMPRESSED = 2  # of these, compressed ones; each may hold the largest content once more
SIGNED_PARTS = 2  # RFC 1847 2.1: what is signed, and the signature

_CMS_TYPES = frozenset(
    f"application/{prefix}pkcs7-{kind}" for prefix in ("", "x-") for kind in ("mime", "signature")
)
_CMS_NAMES = (".p7m", ".p7s", ".p7c", ".p7z")
_SIGNATURE_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})

# Readers show what has another type by that: a PDF, say, is found in octets nobody signed.
_UNSHOWN_TYPES = _CMS_TYPES | {"application/octet-stream"}
_SAMPLE = 4096  # octets of a ciphertext looked at
_LEAST_SAMPLE = 32  # octets; one random octet in three is printable
_PRINTABLE = b"\t\r\n" + bytes(range(ord(" "), ord("~") + 1))

# What stands before the first part for readers without MIME, and says nothing of the mail.
_PREAMBLE = re.compile(rb"(?:This is an? [A-Za-z0-9/ ()-]{0,80}+\.?)?")
_ARMOUR = re.compile(  # RFC 9580 6.2
    rb"\s*+-----BEGIN PGP MESSAGE-----\r?\n(?:[A-Za-z]++: [^\n]*+\n){0,20}\s*+"
    rb"[A-Za-z0-9+/=\r\n]++-----END PGP MESSAGE-----\s*+"
)
_MAX_PGP_VERSION = 64  # octets of "Version: 1", RFC 3156 4

# An unterminated last part is none of these: what is signed is delimited all the same.
_FATAL = frozenset({Defect.NO_BOUNDARY, Defect.NO_DELIMITER, Defect.SEVERAL_CONTENT_TYPES})


class Protection(Enum):
    """The outer S/MIME layer that holds the whole body (RFC 8551 3)."""

    NONE = "none"
    CLEAR_SIGNED = "clear-signed"
    SIGNED_DATA = "signed-data"
    ENVELOPED_DATA = "enveloped-data"
    AUTH_ENVELOPED_DATA = "auth-enveloped-data"
    COMPRESSED_DATA = "compressed-data"
    ENCRYPTED_DATA = "encrypted-data"
    CERTS_ONLY = "certs-only"
    MALFORMED = "malformed"


ENCRYPTED = frozenset(
    {Protection.ENVELOPED_DATA, Protection.AUTH_ENVELOPED_DATA, Protection.ENCRYPTED_DATA}
)


# A layer nobody can read is a client's own S/MIME all the same: nobody touches it.
_SIGNED = frozenset({Protection.CLEAR_SIGNED, Protection.SIGNED_DATA, Protection.MALFORMED})
# What lies in these says nothing of octets that stand beside them.
_OPAQUE = frozenset({Protection.SIGNED_DATA, Protection.COMPRESSED_DATA})


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be told of a message's protection without any key.

    `smime`: an S/MIME layer or part anywhere outside attached messages. `signed`: a signature of
    any kind is or holds the whole body. `encrypted`: so does a ciphertext, be it inside a
    signature; `enveloped` is that CMS object, where recipients can be read from it. `sealed`: it
    is a ciphertext by more than its label, and no readable text stands beside it.
    """

    protection: Protection
    smime: bool = False
    signed: bool = False
    encrypted: bool = False
    sealed: bool = False
    pgp_encrypted: bool = False
    enveloped: EnvelopedData | None = None


def classify(entity: Entity) -> Protection:
    """Tell the outer layer; something labelled S/MIME that cannot be read is MALFORMED (E48)."""
    if entity.content_type.full == "multipart/signed":
        return _clear_signed(entity)
    if not is_labelled(entity):
        return Protection.NONE
    try:
        found = Protection(content_kind(decode_start(entity), partial(cms_octets, entity)))
    except (CmsError, ValueError):  # ValueError: a CMS type that is no S/MIME layer
        return Protection.MALFORMED
    # A reader that goes by another type shows octets beside the content that nobody signed.
    shown = found in _OPAQUE and _may_show_more(entity)
    return Protection.MALFORMED if shown else found


def is_labelled(entity: Entity) -> bool:
    """Tell whether type or file name promise a CMS object (RFC 8551 3.9)."""
    if not entity.is_leaf:
        return False
    if entity.content_type.full in _CMS_TYPES:
        return True
    # The name costs a field to parse; most leaves of most mail have none of these fields.
    return entity.filename.lower().endswith(_CMS_NAMES)


def cms_octets(entity: Entity) -> bytes:
    """Give the decoded body of a leaf that holds a CMS object."""
    if entity.transfer_encoding == "base64":  # nearly always: large mail is not copied for it
        return decode_base64(memoryview(entity.content)[entity.body_start : entity.end])
    return decode_octets(entity.body, entity.transfer_encoding)


def inner_entity(entity: Entity, protection: Protection) -> Entity | None:
    """Give the entity inside a layer that needs no key, None where none can be read."""
    if protection is Protection.CLEAR_SIGNED:
        return entity.children[0]
    if protection not in _OPAQUE:
        return None
    try:
        if protection is Protection.COMPRESSED_DATA:
            return parse(decompress(cms_octets(entity)))
        content = parse_signed_data(cms_octets(entity)).content_octets()
        return None if content is None else parse(content)
    except (CmsError, MessageError):
        return None


def outline(entity: Entity) -> Outline:
    """Look at a message from outside, through what needs no key to the first ciphertext (E66)."""
    protection = classify(entity)
    if protection is Protection.NONE:
        return _without_layer(entity)
    current = entity
    layer: Protection = protection
    signed, alone, compressed = False, True, 0
    for _ in range(MAX_LAYERS):
        signed = signed or layer in _SIGNED
        compressed += layer is Protection.COMPRESSED_DATA
        if compressed > MAX_COMPRESSED:
            break
        if layer in ENCRYPTED:
            found = _enveloped(current, layer)
            sealed = alone and not _may_show_more(current) and _is_ciphertext(found)
            return Outline(protection, True, signed, True, sealed, enveloped=found)  # noqa: FBT003
        alone = alone and (layer is not Protection.CLEAR_SIGNED or _is_only_signature(current))
        inner = inner_entity(current, layer)
        if inner is None:
            break
        current, layer = inner, classify(inner)
    return Outline(protection, smime=True, signed=signed)


def parts(entity: Entity) -> list[Entity]:
    """List the entities of a message in order, attached messages left closed (E61)."""
    found = []
    waiting = [entity]
    while waiting:
        current = waiting.pop()
        found.append(current)
        if current.is_multipart:
            waiting.extend(reversed(current.children))
    return found


def _clear_signed(entity: Entity) -> Protection:
    protocol = entity.content_type.parameters.get("protocol", "").lower()
    if protocol and protocol not in _SIGNATURE_TYPES:
        return Protection.NONE  # PGP/MIME and what else there is
    if (
        len(entity.children) != SIGNED_PARTS
        or not _FATAL.isdisjoint(entity.defects)
        or _has_text_behind(entity)
        or _has_other_readings(entity)
        or _has_loose_ends_around(entity)
    ):
        return Protection.MALFORMED if protocol else Protection.NONE
    signature = entity.children[1]
    if signature.content_type.full in _SIGNATURE_TYPES or is_labelled(signature):
        return Protection.CLEAR_SIGNED
    return Protection.MALFORMED if protocol else Protection.NONE


def _has_text_behind(entity: Entity) -> bool:
    """Tell whether something unsigned stands after the last delimiter (E62)."""
    behind = entity.content[entity.children[-1].end : entity.end]
    boundary = entity.content_type.parameters.get("boundary", "")
    delimiter = boundary.encode("utf-8", "surrogateescape")  # as `parse` looks for it
    _, found, epilogue = behind.partition(b"--" + delimiter + b"--")
    return bool(found) and bool(epilogue.strip())


def _has_other_readings(entity: Entity) -> bool:
    """Tell whether another reader may find other parts in a multipart than we do (RFC 2045 6.4)."""
    value = entity.header.first("content-type") or ""
    return not is_plain(value) or entity.transfer_encoding not in IDENTITY_ENCODINGS


def _has_loose_ends_around(entity: Entity) -> bool:
    """Tell whether a lone CR stands outside the signed part (RFC 5322 2.3).

    What was decrypted is delivered with CRLF in its place, and many readers take it for a line
    end as it is: text would become a delimiter, and parts appear that nobody signed.
    """
    part = entity.children[0]
    around = (
        entity.content[entity.body_start : part.start],
        entity.content[part.end : entity.end],
    )
    return any(octets.count(b"\r") != octets.count(b"\r\n") for octets in around)


def _may_show_more(entity: Entity) -> bool:
    """Tell whether a reader may show something else of the leaf than what its CMS object holds."""
    kind = entity.content_type
    body = memoryview(entity.content)[entity.body_start : entity.end]
    hidden = entity.transfer_encoding == "base64" and not is_bare_base64(body)
    typed = kind.full not in _UNSHOWN_TYPES
    return hidden or typed or Defect.SEVERAL_CONTENT_TYPES in entity.defects


def _is_ciphertext(enveloped: EnvelopedData | None) -> bool:
    """Tell whether somebody is named who can open it, and it is not text under that label."""
    if enveloped is None or not enveloped.recipients:
        return False
    sample = b"".join(bytes(piece[:_SAMPLE]) for piece in (enveloped.ciphertext or ())[:_SAMPLE])
    return bool(sample) and (
        len(sample) < _LEAST_SAMPLE or bool(sample.translate(None, _PRINTABLE))
    )


def _is_only_signature(entity: Entity) -> bool:
    """Tell whether beside the signed part of a multipart/signed there is only its signature."""
    signature = entity.children[1]
    if _has_preamble(entity) or _may_show_more(signature):
        return False
    try:
        parse_signed_data(cms_octets(signature))
    except CmsError:
        return False
    return True


def _has_preamble(entity: Entity) -> bool:
    before = entity.content[entity.body_start : entity.children[0].start]
    preamble, _, _ = before.rstrip(b"\r\n").rpartition(b"\n")  # less the delimiter
    return _PREAMBLE.fullmatch(preamble.strip()) is None


def _is_pgp_encrypted(entity: Entity) -> bool:
    """Tell whether it is PGP/MIME by more than its label (RFC 3156 4)."""
    types = [part.content_type.full for part in entity.children]
    if types != ["application/pgp-encrypted", "application/octet-stream"]:
        return False
    version, message = entity.children
    return (
        len(version.body) <= _MAX_PGP_VERSION
        and not _has_preamble(entity)
        and not _has_text_behind(entity)
        and _ARMOUR.fullmatch(decode_octets(message.body, message.transfer_encoding)) is not None
    )


def _without_layer(entity: Entity) -> Outline:
    if entity.is_leaf:
        return Outline(Protection.NONE)
    whole = entity.content_type.full
    pgp = whole == "multipart/encrypted" and _is_pgp_encrypted(entity)
    smime = any(
        is_labelled(part) or classify(part) is not Protection.NONE
        for part in parts(entity)
        if part is not entity
    )
    return Outline(
        Protection.NONE,
        smime=smime,
        # What only says that it is PGP/MIME is left alone as well, but counts as readable.
        signed=whole == "multipart/signed" or (whole == "multipart/encrypted" and not pgp),
        pgp_encrypted=pgp,
    )


def _enveloped(entity: Entity, layer: Protection) -> EnvelopedData | None:
    if layer is Protection.ENCRYPTED_DATA:
        return None
    try:
        return parse_enveloped_data(cms_octets(entity))
    except CmsError:
        return None
