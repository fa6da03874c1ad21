"""Tell what protection a message already has, by the CMS content type and not by the label.

RFC 8551 3 and 3.9 (identifying an S/MIME message), RFC 1847 (multipart/signed), RFC 3156 (PGP).
"""

from dataclasses import dataclass
from enum import Enum

from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.structures import (
    EnvelopedData,
    content_kind,
    parse_enveloped_data,
    parse_signed_data,
)
from smime_proxy.message.entity import Defect, Entity, decode_octets
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse

MAX_LAYERS = 8  # nested S/MIME layers that are looked into; triple wrapping needs three
SIGNED_PARTS = 2  # RFC 1847 2.1: what is signed, and the signature

_CMS_TYPES = frozenset(
    f"application/{prefix}pkcs7-{kind}" for prefix in ("", "x-") for kind in ("mime", "signature")
)
_CMS_NAMES = (".p7m", ".p7s", ".p7c", ".p7z")
_SIGNATURE_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})

_SHOWN = frozenset({"text", "image", "message"})  # what readers show whatever the file name is

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


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be told of a message's protection without any key.

    `smime`: an S/MIME layer or part anywhere outside attached messages. `signed`: a signature of
    any kind is or holds the whole body. `encrypted`: so does a ciphertext, be it inside a
    signature; `enveloped` is that CMS object, where recipients can be read from it.
    """

    protection: Protection
    smime: bool = False
    signed: bool = False
    encrypted: bool = False
    pgp_encrypted: bool = False
    enveloped: EnvelopedData | None = None


def classify(entity: Entity) -> Protection:
    """Tell the outer layer; something labelled S/MIME that cannot be read is MALFORMED (E48)."""
    if entity.content_type.full == "multipart/signed":
        return _clear_signed(entity)
    if not is_labelled(entity):
        return Protection.NONE
    try:
        found = Protection(content_kind(cms_octets(entity)))
    except (CmsError, ValueError):  # ValueError: a CMS type that is no S/MIME layer
        return Protection.MALFORMED
    # A reader that goes by another type shows octets beside the content that nobody signed.
    shown = entity.content_type.type in _SHOWN or Defect.SEVERAL_CONTENT_TYPES in entity.defects
    return Protection.MALFORMED if found is Protection.SIGNED_DATA and shown else found


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
    return decode_octets(entity.body, entity.transfer_encoding)


def inner_entity(entity: Entity, protection: Protection) -> Entity | None:
    """Give the entity inside a signature layer, None where there is none that can be read."""
    if protection is Protection.CLEAR_SIGNED:
        return entity.children[0]
    if protection is not Protection.SIGNED_DATA:
        return None
    try:
        content = parse_signed_data(cms_octets(entity)).content_octets()
        return None if content is None else parse(content)
    except (CmsError, MessageError):
        return None


def outline(entity: Entity) -> Outline:
    """Look at a message from outside, through signatures and down to the first ciphertext (E66)."""
    protection = classify(entity)
    if protection is Protection.NONE:
        return _without_layer(entity)
    signed = protection in {
        Protection.CLEAR_SIGNED,
        Protection.SIGNED_DATA,
        Protection.MALFORMED,  # a client's own S/MIME all the same: nobody touches it
    }
    current: Entity | None = entity
    for _ in range(MAX_LAYERS):
        if current is None:
            break
        layer = classify(current)
        if layer in ENCRYPTED:
            found = _enveloped(current, layer)
            return Outline(protection, smime=True, signed=signed, encrypted=True, enveloped=found)
        current = inner_entity(current, layer)
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


def _without_layer(entity: Entity) -> Outline:
    if entity.is_leaf:
        return Outline(Protection.NONE)
    whole = entity.content_type.full
    smime = any(
        is_labelled(part) or classify(part) is not Protection.NONE
        for part in parts(entity)
        if part is not entity
    )
    return Outline(
        Protection.NONE,
        smime=smime,
        signed=whole == "multipart/signed",
        pgp_encrypted=whole == "multipart/encrypted",
    )


def _enveloped(entity: Entity, layer: Protection) -> EnvelopedData | None:
    if layer is Protection.ENCRYPTED_DATA:
        return None
    try:
        return parse_enveloped_data(cms_octets(entity))
    except CmsError:
        return None
