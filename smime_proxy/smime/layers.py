"""Walk through the S/MIME layers that hold the whole body: open, verify, and note what each is.

RFC 8551 3.6 (compression) and 3.7 (several layers), RFC 9787 (the cryptographic envelope and the
payload in it); E10, E15, E18, E60.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from smime_proxy.cms.compress import decompress
from smime_proxy.cms.decrypt import DecryptionKey, decrypt, matches
from smime_proxy.cms.der import Octets
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.structures import (
    EnvelopedData,
    SignedData,
    content_kind,
    parse_enveloped_data,
    parse_signed_data,
)
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import (
    ENCRYPTED,
    MAX_COMPRESSED,
    MAX_LAYERS,
    Protection,
    classify,
    cms_octets,
    is_labelled,
    parts,
)
from smime_proxy.smime.verify import Claim, Signer, Trust, judge

NOISE_OCTETS = 4096  # looked at; of random octets one in ten is a control character
TOO_MANY_LAYERS = "more layers than are opened"
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x19\x1c-\x1f]")  # text may hold SUB and ESC


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer from outside in. `enveloped` and `decrypted` for ciphertext, `signers` for others.

    `partial`: a ciphertext that is only a part of the body and is never opened (E10). `problem`
    says why a layer cannot be read.
    """

    protection: Protection
    signers: tuple[Signer, ...] = ()
    enveloped: EnvelopedData | None = None
    decrypted: bool = False
    partial: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """All layers, and the entities they left: `inside[n]` is what layer `n` held, if it was opened.

    `stripped` is how many of the outer layers decryption took away. `complete` tells that there is
    nothing below that could not be opened, so that `innermost` is the cryptographic payload
    (RFC 9787 4.2).
    """

    entity: Entity
    layers: tuple[Layer, ...]
    inside: tuple[Entity, ...]
    stripped: int
    complete: bool

    @property
    def payload(self) -> Entity | None:
        """What is delivered in place of the body; None when nothing was decrypted."""
        return self.inside[self.stripped - 1] if self.stripped else None

    @property
    def innermost(self) -> Entity:
        """The entity inside all layers that were opened."""
        return self.inside[-1] if self.inside else self.entity

    @property
    def content(self) -> bytes | None:
        """Its octets, when it came out of a CMS object or a signed part."""
        return bytes(self.inside[-1]) if self.inside else None


def open_layers(
    entity: Entity,
    keys: Sequence[DecryptionKey],
    trust: Trust,
    claim: Claim,
    at: datetime,
) -> Opened:
    """Open what holds the whole body, layer by layer, at most `MAX_LAYERS` deep.

    Faults of strangers' octets end the walk and are noted in the layer; nothing is raised for
    them. Plaintext that is no MIME entity counts as text (E65). Where the limit ends the walk, a
    last unreadable layer says so: what was not looked at must not pass.
    """
    layers: list[Layer] = []
    inside: list[Entity] = []
    stripped = 0
    current = entity
    while (protection := classify(current)) is not Protection.NONE:
        if _is_beyond(layers, protection):
            layers.append(Layer(Protection.MALFORMED, problem=TOO_MANY_LAYERS))
            break
        layer, inner = _open(current, protection, keys, trust, claim, at)
        layers.append(layer)
        if inner is None:
            break
        inside.append(inner)
        if layer.decrypted:
            stripped = len(inside)
        current = inner
    complete = len(inside) == len(layers)
    told = (*layers, *_partial(current))
    return Opened(entity, told, tuple(inside), stripped, complete)


def _is_beyond(layers: Sequence[Layer], protection: Protection) -> bool:
    """Tell whether one more layer would be too many, of all or of the compressed ones."""
    if len(layers) >= MAX_LAYERS:
        return True
    above = sum(layer.protection is Protection.COMPRESSED_DATA for layer in layers)
    return protection is Protection.COMPRESSED_DATA and above >= MAX_COMPRESSED


def _open(
    entity: Entity,
    protection: Protection,
    keys: Sequence[DecryptionKey],
    trust: Trust,
    claim: Claim,
    at: datetime,
) -> tuple[Layer, Entity | None]:
    try:
        if protection is Protection.CLEAR_SIGNED:
            part, signature = entity.children
            signed = parse_signed_data(cms_octets(signature))
            signers = judge(signed, _candidates(part), trust, claim, at)
            return Layer(protection, signers), part
        if protection is Protection.SIGNED_DATA:
            signed = parse_signed_data(cms_octets(entity))
            return Layer(protection, judge(signed, (), trust, claim, at)), _inside(signed)
        if protection in ENCRYPTED - {Protection.ENCRYPTED_DATA}:
            return _decrypted(protection, parse_enveloped_data(cms_octets(entity)), keys)
        if protection is Protection.COMPRESSED_DATA:
            return Layer(protection), parse(decompress(cms_octets(entity)))
    except (CmsError, MessageError) as error:
        return Layer(protection, problem=str(error) or "unreadable"), None
    problem = _fault(entity) if protection is Protection.MALFORMED else ""
    return Layer(protection, problem=problem), None


def _fault(entity: Entity) -> str:
    """Say why an entity is MALFORMED, for administrators."""
    if is_labelled(entity):
        try:
            kind = content_kind(cms_octets(entity))
        except CmsError as error:
            return str(error)
        if kind in {"data", "authenticated-data"}:
            return f"CMS of type {kind} is no S/MIME layer"
    return "malformed CMS or S/MIME structure"


def _decrypted(
    protection: Protection, enveloped: EnvelopedData, keys: Sequence[DecryptionKey]
) -> tuple[Layer, Entity | None]:
    try:
        if not matches(enveloped, keys):
            return Layer(protection, enveloped=enveloped), None
        inner = parse(decrypt(enveloped, keys))
    except (DecryptionError, MessageError):
        # One result for every cause: whoever sent it learns nothing from it (E12, I16).
        return Layer(protection, enveloped=enveloped), None
    if not enveloped.authenticated and _is_noise(inner):
        return Layer(protection, enveloped=enveloped), None
    return Layer(protection, enveloped=_without_ciphertext(enveloped), decrypted=True), inner


def _without_ciphertext(enveloped: EnvelopedData) -> EnvelopedData:
    """Let go of the ciphertext, which the views of the recipients hold as well."""
    recipients = [replace(item, encoding=memoryview(b"")) for item in enveloped.recipients]
    return replace(enveloped, ciphertext=None, recipients=tuple(recipients))


def _is_noise(entity: Entity) -> bool:
    """Tell what a wrong key leaves where its padding fits by chance, as one in 256 does (E14).

    No wrong key gets past a tag: content with one is what its sender wrote, whatever it is.
    """
    raw = entity.content[:NOISE_OCTETS]
    return (
        not any(field.name for field in entity.header.fields) and _CONTROLS.search(raw) is not None
    )


def _inside(signed: SignedData) -> Entity | None:
    content = signed.content_octets()
    return None if content is None else parse(content)


def _candidates(part: Entity) -> tuple[Octets, ...]:
    """Give what a detached signature may cover: with CRLF line ends, then as it came (E49)."""
    content, start, end = part.content, part.start, part.end
    came = memoryview(content)[start:end]
    if content.count(b"\n", start, end) == content.count(b"\r\n", start, end):
        return (came,)
    return (bytes(came).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), came)


def _partial(entity: Entity) -> tuple[Layer, ...]:
    """Note ciphertext that is not the whole body: never opened, only reported (E10, V23)."""
    if entity.is_leaf:
        return ()
    return tuple(
        Layer(protection, partial=True)
        for part in parts(entity)
        if part is not entity
        for protection in (classify(part),)
        if protection in ENCRYPTED
    )
