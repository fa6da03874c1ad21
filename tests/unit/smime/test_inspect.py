"""What `inspect` prints: one object for messages and bare CMS, never a traceback."""

import base64
import json
import time
import tracemalloc
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.cms import der, oids
from smime_proxy.cms.ciphers import AES256_CBC, TRIPLE_DES
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.inspect import Inspection, inspect
from tests.fakes import Octets
from tests.unit.cms import made, parties
from tests.unit.cms.holders import holder
from tests.unit.smime.cases import (
    ALICE,
    AT,
    PART,
    alice,
    clear,
    cms,
    compressed,
    enveloped,
    key,
    message,
    opaque,
    signature,
    trust,
)


def deep() -> bytes:
    entity = PART
    for _ in range(9):
        entity = opaque(entity)
    return message(entity)


def looked_at(content: bytes, *names: str) -> Inspection:
    return inspect(content, keys=[key(name) for name in names], trust=trust(), at=AT)


def layers_of(found: Inspection) -> list[Any]:
    return cast("list[Any]", found.as_json()["layers"])


def test_a_decrypted_and_signed_message_is_told_layer_by_layer() -> None:
    found = looked_at(message(enveloped(clear())), "alice")
    told = json.loads(json.dumps(found.as_json()))
    sealed, signed = told.pop("layers")
    assert told == {
        "signature": "pass",
        "badge": "green",
        "lock": "green",
        "content_type": "text/plain",
        "error": "",
    }
    recipients = sealed.pop("recipients")
    assert [item["type"] for item in recipients] == ["ktri"]
    assert recipients[0]["id"]
    assert recipients[0]["algorithm"] == "rsaes_pkcs1v15"
    assert sealed == {
        "kind": "enveloped-data",
        "content_encryption": "aes256_cbc",
        "decrypted": True,
        "authenticated": False,
    }
    certificate = alice().certificate
    assert signed == {
        "kind": "clear-signed",
        "signers": [
            {
                "integrity": "intact",
                "chain": "trusted",
                "identity": "match",
                "validation": "unknown",
                "email": [ALICE],
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "serial": f"{certificate.serial:04X}",
                "digest": "sha256",
                "signature": "rsassa_pkcs1v15",
                "signing_time": "2026-06-01T12:00:00Z",
                "reason": "",
            }
        ],
    }
    assert found.extracted == PART


def test_mail_without_smime_has_no_layers_and_no_error() -> None:
    told = looked_at(message(PART)).as_json()
    assert (told["layers"], told["error"], told["signature"]) == ([], "", "none")
    assert (
        looked_at(b"From x@y Mon Jun  1 12:00:00 2026\r\n" + message(clear())).as_json()[
            "signature"
        ]
        == "pass"
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda der: der,
        lambda der: b"-----BEGIN CMS-----\n" + base64.encodebytes(der) + b"-----END CMS-----\n",
        lambda der: (
            b"-----BEGIN SIGNED MESSAGE-----\n"
            + base64.encodebytes(der)
            + b"-----END SIGNED MESSAGE-----\n"
        ),
        lambda der: (
            b"\n-----BEGIN PKCS7-----\r\n" + base64.b64encode(der) + b"\r\n-----END PKCS7-----"
        ),
    ],
)
def test_bare_cms_in_der_or_pem_has_nobody_to_match(wrap: object) -> None:
    assert callable(wrap)
    found = looked_at(wrap(signature(detached=False)))
    (layer,) = layers_of(found)
    assert layer["kind"] == "signed-data"
    assert layer["signers"][0]["identity"] == "none"
    assert layer["signers"][0]["integrity"] == "intact"
    assert found.extracted == PART
    sealed = looked_at(
        wrap(
            made.enveloped_data(
                made.ktri(bytes(32)), encrypted=made.encrypted_content(PART, bytes(32))
            )
        ),
        "alice",
    )
    assert sealed.extracted == PART


@pytest.mark.parametrize(
    "content",
    [
        message(cms(b"rubbish")),
        message(clear(der=b"rubbish")),
        b"\x30\x82",
        b"\x30\x0b\x06\x09" + bytes(9),
        b"",
        b"Just a text, and no header.\n",
        bytes(range(200, 256)) * 3,
        message(b"Content-Type: multipart/mixed\r\n\r\nx"),
        message(b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx"),
        message(enveloped(cms(b"rubbish"))),
        message(compressed(PART + bytes(2_000_000))),
        message(cms(made.compressed_data(PART, deflated=b"rubbish"), "compressed-data")),
        message(cms(made.wrap(oids.DATA))),
        made.wrap(oids.DATA),
        made.wrap(oids.AUTHENTICATED_DATA),
        made.wrap("1.2.3"),
        b"\r\n".join((b"-----BEGIN CMS-----", b"MIIB", b"no end")),
        deep(),
        b"-----BEGIN CMS-----\nAAA\n-----END CMS-----",
        b"".join(
            b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(60)
        ),
    ],
)
def test_the_malformed_has_an_error(content: bytes) -> None:
    """M6, V4."""
    found = looked_at(content, "alice")
    assert found.error
    assert found.as_json()["signature"] in {"none", "neutral"}


def test_a_signature_alone_is_told_and_says_what_is_missing() -> None:
    """A bare .p7s: nobody can say whether it holds."""
    found = looked_at(signature())
    (layer,) = layers_of(found)
    (signer,) = layer["signers"]
    assert (layer["kind"], signer["integrity"], signer["email"]) == (
        "signed-data",
        "unknown",
        [ALICE],
    )
    assert signer["reason"].startswith("no content")
    told = found.as_json()
    assert (told["signature"], told["badge"], told["error"]) == ("neutral", "yellow", "")
    assert found.extracted is None


@pytest.mark.parametrize("attached", [clear(), opaque(), enveloped()])
def test_e61_an_attached_message_has_no_verdict_and_stays_closed(attached: bytes) -> None:
    """E61, V29."""
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + message(attached)
    found = looked_at(message(forwarded), "alice")
    told = found.as_json()
    assert (told["layers"], told["signature"], told["lock"]) == ([], "none", "none")
    assert found.extracted is None


def test_an_undecryptable_message_is_no_error_and_names_its_recipients() -> None:
    told = looked_at(message(enveloped(PART, "bob"))).as_json()
    (layer,) = cast("list[Any]", told["layers"])
    assert (layer["decrypted"], len(layer["recipients"])) == (False, 1)
    assert (told["error"], told["lock"]) == ("", "red")
    assert looked_at(message(enveloped(PART, "bob"))).extracted is None


def test_a_partial_ciphertext_is_listed_and_stays_closed() -> None:
    """E10, V23."""
    part = (
        b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + enveloped() + b"\r\n--m--\r\n"
    )
    (layer,) = layers_of(looked_at(message(part), "alice"))
    assert (layer["kind"], layer["decrypted"], layer["partial"]) == ("enveloped-data", False, True)


def test_certificates_alone_are_named() -> None:
    """V30."""
    for content in (message(cms(made.signed_data(), "certs-only")), made.signed_data()):
        told = looked_at(content).as_json()
        assert told["layers"] == [{"kind": "certs-only"}]
        assert (told["signature"], told["error"]) == ("none", "")


def test_every_kind_of_layer_and_recipient_is_named() -> None:
    """E60, E94: what cannot be opened too, with what protects the key."""
    nobody = der.element(der.OCTET_STRING, b"k")
    wrap, kdf = made.algorithm("2.16.840.1.101.3.4.1.45"), made.algorithm("1.2.3.4")
    kekri = der.element(0xA2, der.integer(4), der.element(der.SEQUENCE, nobody), wrap, nobody)
    pwri = der.element(0xA3, der.integer(0), kdf, nobody)
    ori = der.element(0xA4, der.object_identifier("1.2.3.5"), der.NULL)
    cek = bytes(32)
    sealed = made.enveloped_data(
        made.ktri(cek), kekri, pwri, ori, encrypted=made.encrypted_content(PART, cek)
    )
    (layer,) = layers_of(looked_at(message(cms(sealed)), "alice"))
    assert [(item["type"], item["algorithm"]) for item in layer["recipients"]] == [
        ("ktri", "rsaes_pkcs1v15"),
        ("kekri", "2.16.840.1.101.3.4.1.45"),
        ("pwri", "1.2.3.4"),
        ("ori", "1.2.3.5"),
    ]
    assert layer["decrypted"]
    told = layers_of(looked_at(message(compressed(enveloped(clear()))), "alice"))
    assert [item["kind"] for item in told] == ["compressed-data", "enveloped-data", "clear-signed"]
    shared = looked_at(message(cms(made.wrap(oids.ENCRYPTED_DATA)))).as_json()
    assert [item["kind"] for item in cast("list[Any]", shared["layers"])] == ["encrypted-data"]
    assert (shared["error"], shared["lock"]) == ("", "red")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rsa", "rsaes_pkcs1v15"),
        ("p384", "dhsinglepass_stddh_sha384kdf"),
        ("x25519", "dhsinglepass_stddh_hkdf_sha256"),
        ("mlkem768", "mlkem768"),
    ],
)
def test_how_the_key_is_protected_has_a_name(kind: str, name: str) -> None:
    """E53, E94: an administrator reads no object identifiers where there is a word."""
    sealed = encrypt_entity(PART, [holder(kind).recipient()], random=Octets())
    (layer,) = layers_of(looked_at(message(sealed)))
    assert [item["algorithm"] for item in layer["recipients"]] == [name]


def test_only_a_tag_that_was_checked_authenticates() -> None:
    """V22: what could not be opened may say of itself what it likes."""
    recipients = [holder("rsa").recipient(), parties.recipient("alice")]
    sealed = message(
        encrypt_entity(PART, recipients, content_encryption="aes256_gcm", random=Octets())
    )
    for names, opened in (((), False), (("alice",), True)):
        (layer,) = layers_of(looked_at(sealed, *names))
        assert (layer["kind"], layer["decrypted"], layer["authenticated"]) == (
            "auth-enveloped-data",
            opened,
            opened,
        )


def test_v24_a_weak_cipher_is_said_to_be_one() -> None:
    """V24."""
    encrypted = made.encrypted_content(PART, bytes(24), TRIPLE_DES)
    content = message(cms(made.enveloped_data(made.ktri(bytes(24)), encrypted=encrypted)))
    found = looked_at(content, "alice")
    (layer,) = layers_of(found)
    assert (layer["content_encryption"], layer["weak"]) == ("tripledes_3key", True)
    assert found.as_json()["lock"] == "yellow"
    assert "weak" not in layers_of(looked_at(message(enveloped()), "alice"))[0]


def test_header_protection_is_told_where_there_is_some() -> None:
    """E40."""
    part = PART.replace(b"text/plain", b'text/plain; hp="clear"')
    assert looked_at(message(clear(part))).as_json()["header_protection"] == "clear"
    assert "header_protection" not in looked_at(message(clear())).as_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content,
        lambda content: content.replace(b"\r\n", b"\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: b"From alice@example.test Mon Jun  1 12:00:00 2026\n" + content,
    ],
)
def test_a_message_is_read_in_any_form_it_is_stored_in(change: object) -> None:
    """E49: mbox, LF, a byte order mark."""
    assert callable(change)
    for entity in (clear(), opaque(), enveloped(clear())):
        told = looked_at(change(message(entity)), "alice").as_json()
        assert (told["signature"], told["error"]) == ("pass", "")
    told = looked_at(change(message(b""))).as_json()
    assert (told["layers"], told["error"], told["content_type"]) == ([], "", "text/plain")


def chunked(content: bytes, size: int) -> bytes:
    """Give EnvelopedData of indefinite length whose ciphertext comes in chunks."""
    cek = bytes(32)
    whole = made.encrypted_content(content, cek)
    ciphertext = whole[-(len(content) // 16 + 1) * 16 :]
    parameters = der.element(der.OCTET_STRING, bytes(16))
    chunks = b"".join(
        der.element(der.OCTET_STRING, ciphertext[at : at + size])
        for at in range(0, len(ciphertext), size)
    )
    encrypted = (
        b"\x30\x80"
        + der.object_identifier(oids.DATA)
        + made.algorithm(AES256_CBC.oid, parameters)
        + b"\xa0\x80"
        + chunks
        + bytes(4)
    )
    infos = der.integer(0) + der.element(der.SET, made.ktri(cek))
    head = b"\x30\x80" + der.object_identifier(oids.ENVELOPED_DATA) + b"\xa0\x80\x30\x80"
    return head + infos + encrypted + bytes(6)


def cost(megabytes: int) -> tuple[float, float]:
    """Give seconds of CPU, and octets of memory at the highest for each octet of a message."""
    part = b"Content-Type: text/plain\r\n\r\n" + b"x" * 74 * 13_500 * megabytes
    content = message(cms(chunked(part, 1_000)))
    started = time.process_time()
    tracemalloc.start()
    try:
        found = looked_at(content, "alice")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert layers_of(found)[0]["decrypted"]
    return time.process_time() - started, peak / len(content)


def test_m5_chunked_ber_of_25_mb_costs_linear_time_and_memory() -> None:
    """M5: chunks of 1,000 octets as BouncyCastle writes them."""
    small, large = cost(5), cost(25)
    assert large[0] < 5 * 3 * max(small[0], 0.02)
    assert max(small[1], large[1]) < 6


def test_the_reason_gathers_all_that_is_wrong() -> None:
    told = looked_at(
        message(clear(), sender="eve@example.test").replace(b"Hello Bob", b"x")
    ).as_json()
    (layer,) = cast("list[Any]", told["layers"])
    assert "differs" in layer["signers"][0]["reason"]
    assert "; From eve@example.test" in layer["signers"][0]["reason"]
    assert looked_at(message(opaque())).as_json()["content_type"] == "text/plain"


@given(st.data())
@settings(max_examples=60)
def test_no_octets_make_it_raise(data: st.DataObject) -> None:
    """M6: one octet altered anywhere, a cut anywhere, or anything at all."""
    whole = data.draw(
        st.sampled_from([message(enveloped(clear())), message(opaque()), signature()])
    )
    place = data.draw(st.integers(0, len(whole) - 1))
    octet = data.draw(st.binary(min_size=1, max_size=1))
    for content in (whole[:place], whole[:place] + octet + whole[place + 1 :], octet + whole):
        assert isinstance(json.dumps(looked_at(content, "alice").as_json()), str)
