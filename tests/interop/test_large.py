"""Large mail, streamed by OpenSSL and in small chunks: opened right, or refused at the limit."""

import hashlib
import tracemalloc
from functools import cache
from pathlib import Path

import pytest

from smime_proxy.cms.ber import MAX_ELEMENTS, octets, read_only
from smime_proxy.cms.envelop import envelop
from smime_proxy.cms.errors import MalformedCms
from smime_proxy.cms.sign import sign
from smime_proxy.cms.structures import parse_enveloped_data, parse_signed_data
from smime_proxy.message.build import pkcs7_mime_entity
from smime_proxy.smime.encrypt import recipient_of
from smime_proxy.smime.inspect import inspect
from tests import pki
from tests.interop import exchange, large
from tests.peers import require

pytestmark = pytest.mark.interop
OPENSSL = require("openssl")
MAIL_OCTETS = 25_000_000
CHUNK = 1_000  # octets; BouncyCastle's
SLACK = 1_000  # elements; what is not content takes far fewer

KINDS = {
    "aes256_cbc": "enveloped-data",
    "aes256_gcm": "authEnveloped-data",
    "signed": "signed-data",
}


@cache
def content() -> bytes:
    return large.entity(MAIL_OCTETS)


def cms(kind: str, inner: bytes, chunk: int) -> bytes:
    """Give a CMS object over `inner`, made here, in chunks of so many octets."""
    if kind == "signed":
        whole = sign(inner, exchange.signer(large.SIGNER), signing_time=None, detached=False)
    else:
        bob = recipient_of(exchange.reader(large.READER).der)
        whole = envelop(inner, [bob], content_encryption=kind, random=bytes)
    return large.chunked(whole, chunk)


def mail(kind: str, der: bytes) -> bytes:
    return exchange.mail(large.SIGNER, pkcs7_mime_entity([der], KINDS[kind]))


def chunk_lengths(kind: str, der: bytes) -> set[int]:
    """Give the lengths of all chunks but the last, which is shorter."""
    pieces = (
        parse_signed_data(der).content if kind == "signed" else parse_enveloped_data(der).ciphertext
    )
    assert pieces is not None
    return {len(piece) for piece in pieces[:-1]}


def same(found: bytes | None, wanted: bytes) -> bool:
    """Compare by digest: a difference of megabytes is nothing to print."""
    return hashlib.sha256(found or b"").digest() == hashlib.sha256(wanted).digest()


@pytest.mark.parametrize("form", large.FORMS)
def test_25_mb_streamed_by_openssl_are_opened_and_verified(tmp_path: Path, form: str) -> None:
    message = large.streamed(OPENSSL, tmp_path, form, content())
    found = exchange.received(message, large.READER)
    signed = "signed" in form
    assert found.report.signature == ("pass" if signed else "none")
    assert (found.report.lock == "none") is signed
    assert same(found.opened.content, content())


@pytest.mark.parametrize("form", ["signed, opaque", "signed, clear"])
def test_one_octet_altered_in_25_mb_streamed_by_openssl_fails(tmp_path: Path, form: str) -> None:
    message = large.streamed(OPENSSL, tmp_path, form, content())
    # In the middle of the content, or of the base64 around it: another octet of the alphabet.
    middle = len(message) // 2
    while not message[middle : middle + 1].isalpha():
        middle += 1
    other = message[middle : middle + 1].swapcase()
    changed = message[:middle] + other + message[middle + 1 :]
    assert exchange.received(changed).report.signature == "fail"


@pytest.mark.parametrize("kind", KINDS)
def test_25_mb_in_chunks_of_1_000_octets_are_opened(kind: str) -> None:
    der = cms(kind, content(), CHUNK)
    assert chunk_lengths(kind, der) == {CHUNK}
    found = exchange.received(mail(kind, der), large.READER, at=pki.NOW)
    assert found.report.signature == ("pass" if kind == "signed" else "none")
    assert same(found.opened.content, content())


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_one_octet_are_opened_below_the_limit(kind: str) -> None:
    inner = large.entity(MAX_ELEMENTS - SLACK)
    der = cms(kind, inner, 1)
    assert len(der) > 3 * len(inner)  # each octet with a header of two
    found = exchange.received(mail(kind, der), large.READER, at=pki.NOW)
    assert found.report.signature == ("pass" if kind == "signed" else "none")
    assert same(found.opened.content, inner)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_one_octet_are_refused_beyond_the_limit(kind: str) -> None:
    """The gateway carries such mail on unopened; a signature in it is never shown as good."""
    der = cms(kind, large.entity(MAX_ELEMENTS + SLACK), 1)
    with pytest.raises(MalformedCms, match="too many elements"):
        octets(read_only(der))
    message = mail(kind, der)
    found = exchange.received(message, large.READER, at=pki.NOW)
    assert found.opened.content is None
    assert found.report.signature == ("neutral" if kind == "signed" else "none")
    assert found.report.badge != "green"
    seen = inspect(
        message, keys=exchange.keys(large.READER), trust=exchange.trust(), at=pki.NOW
    ).as_json()
    assert seen["error"] == "too many elements"
    header = found.entity.header
    assert found.message(header, []) == message


def test_what_is_refused_costs_no_more_the_longer_it_is() -> None:
    """Reading ends at the limit, however much follows."""
    small, large_ = (_reading_octets(MAX_ELEMENTS * times) for times in (2, 4))
    assert large_ < small * 1.1


def _reading_octets(inner: int) -> int:
    der = cms("aes256_cbc", large.entity(inner), 1)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedCms, match="too many elements"):
            parse_enveloped_data(der)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
