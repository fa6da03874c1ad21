"""The facts: what others found in each file, layer by layer, from the manifests and `facts.toml`.

RFC 5652, RFC 8551 3; made with OpenSSL 3.0 by whoever collected the messages.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RAW_MANIFEST = "RAW-CMS-MANIFEST.json"

# How the manifests name the layers that `inspect` names after RFC 8551.
KINDS = {
    "enveloped": "enveloped-data",
    "enveloped_data": "enveloped-data",
    "authenticated_enveloped_data": "auth-enveloped-data",
    "detached": "clear-signed",
    "opaque": "signed-data",
}
NOT_OPENED = "not opened"
INTACT, BROKEN = "intact", "broken"
TRUSTED, UNTRUSTED = "trusted", "untrusted"


@dataclass(frozen=True, slots=True)
class Fact:
    """One layer of one file. `file` is relative to all collections; None: nothing is known of it.

    `path` leads to the layer: `1.2>1` is what is inside the second part of the message. `content`
    is the SHA-256 of what was decrypted, or NOT_OPENED. `covered` names the file a bare detached
    signature covers. `signed_at` is the time for `chain_at_signing`.
    """

    file: str
    path: str
    kind: str
    recipients: tuple[str, ...] = ()
    cipher: str = ""
    content: str | None = None
    integrity: str | None = None
    covered: str = ""
    signed_at: datetime | None = None
    chain_now: str | None = None
    chain_at_signing: str | None = None

    @property
    def corpus(self) -> str:
        """Give the collection the file is from."""
        return self.file.partition("/")[0]


def read_facts(root: Path) -> Iterator[Fact]:
    """Give the facts of all manifests, then our own; files left out of a collection have none."""
    for fact in (*_messages(root), *_bare_ciphertexts(root), *_own()):
        if (root / fact.file).exists():
            yield fact


def anchors_of(root: Path) -> dict[str, list[Path]]:
    """Give the certificates to be trusted in each collection."""
    return {
        path.parent.name: [path.parent / name for name in _manifest(path)["trust_anchors"]]
        for path in sorted(root.glob("*/MANIFEST.json"))
    }


def _manifest(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def _messages(root: Path) -> Iterator[Fact]:
    for path in sorted(root.glob("*/MANIFEST.json")):
        for message in _manifest(path)["messages"]:
            file = f"{path.parent.name}/{message['file']}"
            yield from (_layer(file, layer) for layer in message["layers"])


def _layer(file: str, layer: Mapping[str, Any]) -> Fact:
    times = [signer["signing_time"] for signer in layer.get("signers", ())]
    return Fact(
        file,
        layer["path"],
        KINDS.get(layer["kind"], "malformed"),
        tuple(recipient["type"] for recipient in layer.get("recipients", ())),
        layer.get("enc", ""),
        _content(layer),
        _word(layer.get("crypto_ok"), INTACT, BROKEN),
        signed_at=datetime.fromisoformat(times[0]) if times and times[0] else None,
        chain_now=_word(layer.get("chain_now"), TRUSTED, UNTRUSTED),
        chain_at_signing=_word(layer.get("chain_at_signing"), TRUSTED, UNTRUSTED),
    )


def _content(layer: Mapping[str, Any]) -> str | None:
    if "decrypt_ok" not in layer:
        return None
    return str(layer["plaintext_sha256"]) if layer["decrypt_ok"] else NOT_OPENED


def _word(holds: bool | None, yes: str, no: str) -> str | None:
    return None if holds is None else yes if holds else no


def _bare_ciphertexts(root: Path) -> Iterator[Fact]:
    for rows in _manifest(root / RAW_MANIFEST).values():
        for row in rows:
            yield Fact(
                row["file"],
                "1",
                KINDS[row["cms"]],
                tuple(recipient["type"] for recipient in row["recipients"]),
                row["enc"],
                _content(row),
            )


def _own() -> Iterator[Fact]:
    """Give the facts of CMS files that no manifest lists."""
    for row in tomllib.loads((HERE / "facts.toml").read_text(encoding="utf-8"))["fact"]:
        yield Fact(
            row["file"],
            "1",
            row["kind"],
            tuple(row.get("recipients", ())),
            row.get("cipher", ""),
            row.get("content"),
            row.get("integrity"),
            row.get("covered", ""),
        )
