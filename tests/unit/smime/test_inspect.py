"""What `inspect` prints: one object for messages and bare CMS, never a traceback."""

import base64
import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime_proxy.smime.inspect import Inspection, inspect
from tests.unit.cms import made
from tests.unit.smime.cases import (
    ALICE,
    AT,
    PART,
    alice,
    clear,
    cms,
    enveloped,
    key,
    message,
    opaque,
    signature,
    trust,
)


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
        b"-----BEGIN CMS-----\nAAA\n-----END CMS-----",
        b"".join(
            b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(60)
        ),
    ],
)
def test_the_malformed_has_an_error(content: bytes) -> None:
    """M6, V4."""
    assert looked_at(content).error


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
    told = looked_at(message(cms(made.signed_data(), "certs-only"))).as_json()
    assert told["layers"] == [{"kind": "certs-only"}]


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
