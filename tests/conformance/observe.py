"""What the program says of a layer, through `inspect` and its JSON, as people ask it.

RFC 8551 3, RFC 9787 (a ciphertext that is only a part of a message is not opened, E10).
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pem import looks_like_pem, pem_blocks
from smime_proxy.cms.decrypt import decrypt
from smime_proxy.cms.structures import parse_enveloped_data
from smime_proxy.message.parse import parse
from smime_proxy.message.transfer_encoding import encode_base64
from smime_proxy.smime.classify import cms_octets
from smime_proxy.smime.inspect import Inspection, inspect
from smime_proxy.smime.verify import Trust
from tests.conformance.facts import INTACT, NOT_OPENED, TRUSTED, Fact, anchors_of
from tests.conformance.keyring import Keyring, read_keyring

NOW = datetime(2026, 6, 1, tzinfo=UTC)  # for `chain_now`: about when the manifests were made
LEFT_CLOSED = "left closed in its message"
NOT_FOUND = "no such layer"

_MBOX_LINE = re.compile(rb"\AFrom [^\n]*\n")
_ENCRYPTED = frozenset({"enveloped-data", "auth-enveloped-data", "encrypted-data"})
_WORST_FIRST = ("broken", "unknown", INTACT)


@dataclass(frozen=True, slots=True)
class World:
    """Where the collections are, the keys offered, and whom each collection trusts."""

    root: Path
    ring: Keyring
    anchors: dict[str, list[Anchor]]

    def trust(self, corpus: str) -> Trust:
        """Give what chains of a collection are judged by."""
        return Trust(self.anchors.get(corpus, ()), (), self.ring.known)


def read_world(root: Path) -> World:
    """Read the keys and the trust anchors of all collections."""
    anchors = {
        corpus: [_anchor(path) for path in paths] for corpus, paths in anchors_of(root).items()
    }
    return World(root, read_keyring(root), anchors)


def observe(world: World, fact: Fact) -> dict[str, str]:
    """Say for each thing a fact speaks of, under its name, what the program finds."""
    content, depth = _located(world, fact)
    layers = _inspected(world, fact, content, NOW).as_json()["layers"]
    assert isinstance(layers, list)
    if depth >= len(layers):
        return {"kind": "malformed" if fact.kind == "malformed" else NOT_FOUND}
    layer = layers[depth]
    found = {
        "kind": str(layer["kind"]),
        "recipients": " ".join(_types(layer)),
        "cipher": str(layer.get("content_encryption", "")),
    }
    if layer["kind"] in _ENCRYPTED:
        found["content"] = _content(world, fact, content, layers, depth)
    if "signers" in layer:
        found["integrity"] = _worst(layer, "integrity", _WORST_FIRST)
        found["chain now"] = _chain(layer)
    if fact.signed_at is not None and "signers" in layer:
        then = _inspected(world, fact, content, fact.signed_at).as_json()["layers"]
        assert isinstance(then, list)
        found["chain at signing"] = _chain(then[depth])
    if "." in fact.path and layer["kind"] in _ENCRYPTED:
        found["in its place"] = _in_its_place(world, fact)
    return found


def _located(world: World, fact: Fact) -> tuple[bytes, int]:
    """Give the octets to inspect, and which layer of them the fact is of."""
    raw = _message(world, fact)
    outer, *inner = fact.path.split(">")
    part = parse(raw)
    for number in outer.split(".")[1:]:
        part = part.children[int(number) - 1]
    return bytes(part) if "." in outer else raw, len(inner)


def _message(world: World, fact: Fact) -> bytes:
    raw = _MBOX_LINE.sub(b"", (world.root / fact.file).read_bytes())
    if not fact.covered:
        return raw
    return clear_signed((world.root / fact.covered).read_bytes(), raw)


def clear_signed(content: bytes, signature: bytes) -> bytes:
    """Put a detached signature, DER or PEM, and what it covers into a multipart/signed."""
    der = next(pem_blocks(signature)).decode() if looks_like_pem(signature) else signature
    return b"".join(
        (
            b"Content-Type: multipart/signed; boundary=cut-here;\r\n",
            b' protocol="application/pkcs7-signature"\r\n\r\n--cut-here\r\n',
            content,
            b"\r\n--cut-here\r\nContent-Type: application/pkcs7-signature\r\n",
            b"Content-Transfer-Encoding: base64\r\n\r\n",
            encode_base64(der),
            b"\r\n--cut-here--\r\n",
        )
    )


def _inspected(world: World, fact: Fact, content: bytes, at: datetime) -> Inspection:
    return inspect(content, keys=world.ring.keys, trust=world.trust(fact.corpus), at=at)


def _types(layer: dict[str, Any]) -> list[str]:
    return [str(recipient["type"]) for recipient in layer.get("recipients", ())]


def _content(world: World, fact: Fact, content: bytes, layers: list[Any], depth: int) -> str:
    if not layers[depth]["decrypted"]:
        return NOT_OPENED
    if len(layers) == 1:
        opened = _inspected(world, fact, content, NOW).extracted
    else:  # what `inspect` extracts is inside all layers, and this one is the outermost
        assert depth == 0, f"{fact.file}: nothing extracts a layer between layers"
        opened = decrypt(parse_enveloped_data(cms_octets(parse(content))), world.ring.keys)
    return hashlib.sha256(opened or b"").hexdigest()


def _in_its_place(world: World, fact: Fact) -> str:
    whole = _inspected(world, fact, _message(world, fact), NOW)
    partial = [layer for layer in whole.report.layers if layer.partial]
    decrypted = any(layer.decrypted for layer in whole.report.layers)
    return LEFT_CLOSED if partial and not decrypted else "opened"


def _worst(layer: dict[str, Any], name: str, worst_first: tuple[str, ...]) -> str:
    words = {str(signer[name]) for signer in layer["signers"]}
    return min(words, key=worst_first.index) if words else "nobody signed"


def _chain(layer: dict[str, Any]) -> str:
    words = sorted({str(signer["chain"]) for signer in layer["signers"]} - {TRUSTED})
    return " ".join(words) or TRUSTED


def _anchor(path: Path) -> Anchor:
    raw = path.read_bytes()
    der = next(pem_blocks(raw)).decode() if looks_like_pem(raw) else raw
    certificate = Certificate.from_der(der)
    return Anchor(certificate, pinned=not (certificate.is_ca or certificate.is_self_signed))
