import base64

import pytest

from smime_proxy.message.build import (
    multipart_signed,
    multipart_signed_entity,
    new_boundary,
    pkcs7_mime,
    pkcs7_mime_entity,
    with_entity,
)
from smime_proxy.message.errors import FieldError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse

HEADER = HeaderBlock(b"Received: x\r\nFrom: a@x.org\r\nSubject: y\r\n")
PART = b"Content-Type: text/plain\r\n\r\nhello\r\n"
DER = bytes(range(256)) * 3


def test_a_clear_signed_message_holds_the_part_octet_for_octet() -> None:
    """E34, E36."""
    content = multipart_signed(HEADER, PART, DER, "sha-256", "=_b")
    entity = parse(content)
    assert content.startswith(
        bytes(HEADER) + b"MIME-Version: 1.0\r\nContent-Type: multipart/signed"
    )
    assert entity.content_type.full == "multipart/signed"
    assert dict(entity.content_type.parameters) == {
        "protocol": "application/pkcs7-signature",
        "micalg": "sha-256",
        "boundary": "=_b",
    }
    assert entity.defects == ()
    part, signature = entity.children
    assert bytes(part) == PART
    assert signature.content_type.full == "application/pkcs7-signature"
    assert signature.filename == "smime.p7s"
    assert base64.b64decode(signature.body) == DER
    assert content.endswith(b"--=_b--\r\n")
    assert content.replace(b"\r\n", b"").count(b"\n") == 0


def test_a_message_keeps_the_mime_version_it_has() -> None:
    header = HeaderBlock(b"Mime-Version: 1.0 (x)\r\nA: b")
    assert multipart_signed(header, PART, DER, "sha-1", "b").startswith(
        b"Mime-Version: 1.0 (x)\r\nA: b\r\nContent-Type: "
    )


def test_the_signed_entity_alone_has_no_message_fields() -> None:
    inner = multipart_signed_entity(PART, DER, "sha-256", "b")
    assert {field.name for field in parse(inner).header.fields} == {"content-type"}
    assert multipart_signed(HEADER, PART, DER, "sha-256", "b").endswith(inner)


@pytest.mark.parametrize(
    ("smime_type", "name"),
    [("enveloped-data", "smime.p7m"), ("signed-data", "smime.p7m"), ("certs-only", "smime.p7c")],
)
def test_a_cms_object_is_the_whole_body(smime_type: str, name: str) -> None:
    """E36."""
    content = pkcs7_mime(HEADER, DER, smime_type)
    entity = parse(content)
    assert bytes(entity.header).startswith(bytes(HEADER) + b"MIME-Version: 1.0\r\n")
    assert entity.content_type.full == "application/pkcs7-mime"
    assert entity.content_type.parameters["smime-type"] == smime_type
    assert (entity.filename, entity.disposition) == (name, "attachment")
    assert base64.b64decode(entity.body) == DER
    assert content.endswith(pkcs7_mime_entity(DER, smime_type))


def test_a_cms_object_may_come_in_pieces() -> None:
    whole = pkcs7_mime_entity(DER, "authEnveloped-data")
    pieces = iter((DER[:100], memoryview(DER)[100:101], DER[101:]))
    assert pkcs7_mime_entity(pieces, "authEnveloped-data") == whole
    assert pkcs7_mime(HEADER, iter((DER,)), "authEnveloped-data").endswith(whole)


def test_labels_cannot_inject_lines() -> None:
    for micalg, boundary in (("sha\r\n", "b"), ("sha-256", 'b"'), ("sha-256", ""), ("x", "b" * 71)):
        with pytest.raises(FieldError):
            multipart_signed_entity(PART, DER, micalg, boundary)
    for smime_type in ("", "a;b", "a\r\n"):
        with pytest.raises(FieldError):
            pkcs7_mime_entity(DER, smime_type)


def test_a_boundary_needs_its_randomness() -> None:
    assert new_boundary(bytes(16)) == "=_smime_" + "00" * 16
    assert new_boundary(b"a" * 16) != new_boundary(b"b" * 16)
    with pytest.raises(ValueError, match="random"):
        new_boundary(bytes(15))


def test_an_entity_gets_the_outer_header_it_is_given() -> None:
    assert with_entity(HeaderBlock(b"A: b"), PART) == b"A: b\r\nMIME-Version: 1.0\r\n" + PART
    assert with_entity(HeaderBlock(b""), PART) == b"MIME-Version: 1.0\r\n" + PART
