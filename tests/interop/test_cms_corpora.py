"""CMS files of other projects: all are read or refused in order."""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey, decrypt
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.structures import content_kind, parse_enveloped_data, parse_signed_data
from smime_proxy.cms.verify import Integrity, verify
from tests.peers import corpora

pytestmark = pytest.mark.corpora

MAX_FILE = 2_000_000  # octets; larger files are archives
ARMOUR = re.compile(rb"-----BEGIN [^-]+-----\s(.*?)-----END", re.DOTALL)
BASE64 = re.compile(rb"\n\r?\n((?:[A-Za-z0-9+/=]{40,}\r?\n)+[A-Za-z0-9+/=]*)")


def objects(path: Path) -> Iterator[bytes]:
    """Give what may be CMS in a file: itself, armoured blocks, base64 bodies of mail."""
    raw = path.read_bytes()
    yield raw
    for block in (*ARMOUR.findall(raw), *BASE64.findall(raw)):
        text = b"".join(block.split())
        with suppress(binascii.Error):
            yield base64.b64decode(text[: len(text) // 4 * 4])


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
