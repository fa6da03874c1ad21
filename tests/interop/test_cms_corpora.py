"""CMS files of other projects: all are read or refused in order, what can be opened opens."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey, decrypt
from smime_proxy.cms.errors import CmsError, DecryptionError
from smime_proxy.cms.structures import content_kind, parse_enveloped_data, parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from tests.peers import corpora

pytestmark = pytest.mark.corpora

MAX_FILE = 2_000_000  # octets; larger files are archives
ARMOUR = re.compile(rb"-----BEGIN [^-]+-----\s(.*?)-----END", re.DOTALL)
BASE64 = re.compile(rb"\n\r?\n((?:[A-Za-z0-9+/=]{40,}\r?\n)+[A-Za-z0-9+/=]*)")
# OpenSSL 3.0 could not open this one for the manifest, so its plaintext is from RFC 4134 5.2.
RC2 = "rfc4134/rfc4134/5.2.bin"


def octets(path: Path) -> bytes:
    raw = path.read_bytes()
    armoured = ARMOUR.search(raw)
    return base64.b64decode(armoured[1]) if armoured and not raw.startswith(b"0") else raw


def objects(path: Path) -> Iterator[bytes]:
    """Give what may be CMS in a file: itself, armoured blocks, base64 bodies of mail."""
    raw = path.read_bytes()
    yield raw
    for block in (*ARMOUR.findall(raw), *BASE64.findall(raw)):
        text = b"".join(block.split())
        with suppress(binascii.Error):
            yield base64.b64decode(text[: len(text) // 4 * 4])


def manifest() -> list[tuple[str, dict[str, Any]]]:
    """Give each row with the folder whose keys open it."""
    path = corpora("smime", "RAW-CMS-MANIFEST.json")
    return [(corpus, row) for corpus, rows in json.loads(path.read_text()).items() for row in rows]


@cache
def keys(corpus: str) -> tuple[DecryptionKey, ...]:
    found = []
    for path in sorted(corpora("smime", corpus, "_keys").glob("*.key.pem")):
        key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, PrivateKey):
            pem = path.with_name(path.name.replace(".key.", ".crt.")).read_bytes()
            der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
            found.append(DecryptionKey.build(key, der))
    return tuple(found)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_raw_cms_is_listed_as_the_manifest_says_and_opens_with_its_keys() -> None:
    opened = 0
    for corpus, row in manifest():
        path = corpora("smime") / row["file"]
        if not path.exists():
            continue  # listed, and left out of the collection
        raw = octets(path)
        assert content_kind(raw).replace("-", "_") == row["cms"].replace("authenticated_", "auth_")
        enveloped = parse_enveloped_data(raw)
        assert enveloped.content_encryption == row["enc"], path
        listed = [recipient.type for recipient in enveloped.recipients]
        assert listed == [recipient["type"] for recipient in row["recipients"]], path
        # Passwords are not tried; the manifest's were.
        expected = row["decrypt_ok"] and not row["recipient"].startswith("pwri:")
        try:
            content = decrypt(enveloped, keys(corpus))
        except DecryptionError:
            assert not expected, path
        else:
            opened += 1
            if row["file"] == RC2:
                assert content == b"This is some sample content."
                continue
            assert hashlib.sha256(content).hexdigest() == row["plaintext_sha256"], path
    assert opened == 6


def _mine(path: Path) -> tuple[DecryptionKey, ...]:
    corpus = path.relative_to(corpora("smime")).parts[0]
    return keys(corpus) if (corpora("smime") / corpus / "_keys").exists() else ()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_no_file_of_any_kind_raises_anything_else() -> None:
    """E90: reproducers of OpenSSL crashes among them."""
    kinds: dict[str, int] = {}
    for path in corpora("smime").rglob("*"):
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            continue
        for raw in objects(path):
            try:
                kind = content_kind(raw)
                kinds[kind] = kinds.get(kind, 0) + 1
                if kind in {"signed-data", "certs-only"}:
                    verify(parse_signed_data(raw), [])
                elif kind in {"enveloped-data", "auth-enveloped-data"}:
                    enveloped = parse_enveloped_data(raw)
                    assert all(one.id.isprintable() for one in enveloped.recipients)
                    decrypt(enveloped, _mine(path))
            except CmsError:
                continue
    assert kinds["signed-data"] > 40
    assert kinds["enveloped-data"] > 30


@pytest.mark.parametrize(
    "name",
    ["no_ct_attr.cms", "no_md_attr.cms", "ct_multiple_attr.cms", "bad_signtime_attr.cms"],
)
def test_attributes_that_openssl_refuses_break_the_signature(name: str) -> None:
    """E47."""
    folder = corpora("smime", "openssl-3.0.22", "test", "recipes", "80-test_cms_data")
    reports = verify(parse_signed_data((folder / name).read_bytes()), [])
    assert [report.integrity for report in reports] == [Integrity.BROKEN]
