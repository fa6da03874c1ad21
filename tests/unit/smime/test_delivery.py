"""What is written for the recipient: the body as it came, or an inner entity under one header."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.entity import decode_octets
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.delivery import (
    as_it_came,
    as_it_came_without_claims,
    closed_above,
    in_place_of_body,
)
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.protected_headers import protect_encrypted
from smime_proxy.smime.unwrap import Unwrap
from tests.fakes import Octets
from tests.unit.cms import parties
from tests.unit.smime.cases import (
    PART,
    clear,
    compressed,
    delivered,
    enveloped,
    fields,
    key,
    message,
    opaque,
    person,
    received,
    verdict,
)

OPAQUE, MEETINGS = frozenset({Unwrap.OPAQUE}), frozenset({Unwrap.MEETINGS})
BOTH = OPAQUE | MEETINGS
CALENDAR = (
    b"Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n"
    b"Content-Class: urn:content-classes:calendarmessage\r\n\r\n"
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
)
CLASS = b"Content-Class: urn:content-classes:calendarmessage\r\n"
OURS = (("X-Ours", "1"),)


def test_what_stays_is_octet_for_octet_behind_our_fields() -> None:
    content = b"Subject: x\r\n\r\nbare\nline\rends\r\n"
    entity = parse(content)
    assert as_it_came(entity.header, OURS, entity) == b"X-Ours: 1\r\n" + content


@pytest.mark.parametrize("loose", [b"loose\r\nX-SMIME-Badge: green\r\n", b"--b\r\nB: 1\r\n"])
def test_a_header_no_empty_line_ends_gets_one_below_fields_of_ours(loose: bytes) -> None:
    entity = parse(b"Subject: x\r\n" + loose)
    assert as_it_came(entity.header, OURS, entity) == b"X-Ours: 1\r\nSubject: x\r\n\r\n" + loose


FAR = b"A: " + b"a" * 90_000 + b"\r\n"


@pytest.mark.parametrize(
    "behind",
    [
        b"loose\r\nX-SMIME-Signature: pass\r\n",
        b"loose\r\nx-smime-badge : green\r\nB: 1",
        b"loose\r\nAuthentication-Results: proxy.example.test; smime=pass\r\n",
        b"loose\r\nX-SMIME-Signature: pass\r\n" + FAR * 3 + b"\r\nbody\r\n",
        b" \r\nX-SMIME-Signature: pass\r\n",
    ],
)
def test_e08_fields_behind_what_only_some_readers_end_a_header_at_are_body_to_all(
    behind: bytes,
) -> None:
    """E08: forged below a line that is no field, with no empty line in reach."""
    top = b"" if behind.startswith(b" ") else b"Subject: x\r\n"
    entity = parse(top + behind)
    assert bytes(entity.header) == top
    assert as_it_came_without_claims(entity.header, entity) == top + b"\r\n" + behind


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\nloose\r\nB: 1\r\nsee X-SMIME-Badge:\r\n",
        b"Subject: x\r\n\r\nX-SMIME-Signature: pass\r\n",
        b"\r\nX-SMIME-Signature: pass\r\n",
        b"Subject: x\r\n",
        b"",
    ],
)
def test_all_other_mail_nothing_is_told_of_stays_octet_for_octet(content: bytes) -> None:
    entity = parse(content)
    assert as_it_came_without_claims(entity.header, entity) == content


def test_e28_the_outer_content_fields_go_and_exchanges_class_stays() -> None:
    """E28: unless the inner entity has one of its own."""
    outer = HeaderBlock(b"Content-Type: x/y\r\nContent-ID: <1>\r\n" + CLASS + b"Subject: x\r\n")
    assert in_place_of_body(outer, OURS, parse(PART)) == (
        b"X-Ours: 1\r\n" + CLASS + b"Subject: x\r\nMIME-Version: 1.0\r\n" + PART
    )
    own = b"Content-Class: urn:own\r\n" + PART
    assert in_place_of_body(outer, (), parse(own)) == (b"Subject: x\r\nMIME-Version: 1.0\r\n" + own)


def test_a_line_that_continues_no_field_goes_from_the_top() -> None:
    assert bytes(closed_above(HeaderBlock(b" green\r\nA: 1\r\n"))) == b"A: 1\r\n"
    header = HeaderBlock(b"A: 1\r\n 2\r\n")
    assert closed_above(header) is header


@pytest.mark.parametrize("part", [CALENDAR, CALENDAR.replace(CLASS, b"")])
def test_e28_a_decrypted_invitation_is_the_messages_own_part_again(part: bytes) -> None:
    """E28: with its parameters and Content-Class, wherever that stood."""
    outer = CLASS.decode() if CLASS not in part else ""
    out = delivered(message(enveloped(part), more=outer), key())
    assert out.endswith(part.partition(b"\r\n\r\n")[2])
    entity = parse(out)
    assert entity.content_type.parameters["method"] == "REQUEST"
    assert entity.header.first("content-class") == "urn:content-classes:calendarmessage"
    assert out.count(b"Content-Class") == out.count(b"Content-Type") == 1


def test_e59_verified_opaque_mail_is_delivered_readable_where_wanted() -> None:
    """E59, V2: the setting `unwrap = ["opaque"]`; the result is kept in the fields."""
    content = message(opaque())
    assert verdict(content) == "pass"
    out = delivered(content, unwrap=OPAQUE)
    assert out.endswith(b"MIME-Version: 1.0\r\n" + PART)
    assert b"smime=pass" in out
    assert b"Sensitivity" not in out
    assert out.count(b"Content-Type") == 1
    assert delivered(content, unwrap=MEETINGS).endswith(content)
    assert delivered(content).endswith(content)


@pytest.mark.parametrize(
    "content",
    [
        message(opaque(), sender="eve@example.test"),  # policy
        message(opaque(identity=person("alice@example.test", label="other"))).replace(
            b"Date: Mon, 01 Jun 2026", b"Date: Mon, 01 Jun 2020"
        ),  # policy
        message(opaque()[:-40] + b"AAAA\r\n"),  # neutral
        message(clear(CALENDAR).replace(b"END:", b"XND:")),  # fail
        message(clear(CALENDAR), sender="eve@example.test"),  # policy
    ],
)
def test_what_is_not_verified_stays_in_its_signature(content: bytes) -> None:
    assert verdict(content) != "pass"
    assert delivered(content, unwrap=BOTH).endswith(b"\r\n" + content)


def test_v27_the_clear_signature_of_a_verified_invitation_goes_where_wanted() -> None:
    """V27: the calendar part is the message's own again, the result is in the fields."""
    mixed = (
        b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + CALENDAR + b"\r\n--m--\r\n"
    )
    bare = CALENDAR.replace(CLASS, b"")
    for part, more in ((CALENDAR, ""), (mixed, ""), (bare, CLASS.decode())):
        content = message(clear(part), more=more)
        out = delivered(content, unwrap=MEETINGS)
        assert out.endswith(b"MIME-Version: 1.0\r\n" + part)
        assert b"smime=pass" in out
        assert b"pkcs7" not in out
        assert CLASS in out
        assert delivered(content, unwrap=OPAQUE).endswith(content)
    assert delivered(message(clear()), unwrap=MEETINGS).endswith(clear())


def test_unwrapping_applies_to_what_was_inside_the_encryption() -> None:
    """E60, V17, E28."""
    assert delivered(message(enveloped(opaque())), key(), unwrap=OPAQUE).endswith(PART)
    assert delivered(message(enveloped(opaque())), key()).endswith(opaque())
    meeting = message(enveloped(clear(CALENDAR)))
    out = delivered(meeting, key(), unwrap=MEETINGS)
    assert out.endswith(CALENDAR)
    assert b"Sensitivity: Private" in out
    both = message(clear(enveloped(opaque(clear(CALENDAR)))))
    assert delivered(both, key(), unwrap=BOTH).endswith(CALENDAR)
    assert delivered(both, key(), unwrap=OPAQUE).endswith(clear(CALENDAR))
    assert delivered(both, key(), unwrap=MEETINGS).endswith(opaque(clear(CALENDAR)))
    closed = message(opaque(enveloped(PART, "bob")))
    assert delivered(closed, key(), unwrap=BOTH).endswith(b"\r\n" + closed)


def test_compressed_content_is_inflated_only_where_decryption_uncovered_it() -> None:
    """RFC 8551 3.6: alone or inside a signature it stays as its sender wrote it."""
    assert delivered(message(compressed(PART))).endswith(message(compressed(PART)))
    assert fields(message(compressed(PART)))["X-SMIME-Signature"] == "none"
    assert delivered(message(enveloped(compressed(PART))), key()).endswith(PART)
    assert delivered(message(enveloped(compressed(clear()))), key()).endswith(clear())
    signed = opaque(compressed(PART))
    assert delivered(message(enveloped(signed)), key()).endswith(signed)
    assert delivered(message(signed), unwrap=OPAQUE).endswith(PART)
    assert delivered(message(compressed(enveloped())), key()).endswith(PART)
    assert verdict(message(compressed(clear()))) == "pass"
    bomb = compressed(PART + bytes(2_000_000))
    out = delivered(message(enveloped(bomb)), key())
    assert out.endswith(bomb)


# Header protection, end to end.

CIPHER = (
    b'Content-Type: text/plain; hp="cipher"; hp-legacy-display="1"\r\n'
    b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: Dinner\r\n"
    b"HP-Outer: Subject: [...]\r\n\r\nSubject: Dinner\r\n\r\nHi\r\n"
)


# A ciphertext that says itself that it protects a header.
MARKED = b"Subject: x\r\n" + enveloped(CIPHER, "bob").replace(
    b"smime-type", b'hp="cipher"; smime-type'
)


WRAPPED = b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + (
    b"From: alice@example.test\r\nSubject: Dinner\r\n" + PART
)
V1 = b'Content-Type: text/plain; protected-headers="v1"\r\nSubject: Dinner\r\n\r\nHi\r\n'


def header_of(content: bytes, name: str) -> list[str]:
    return [field.value for field in parse(content).header.find(name)]


def test_e40_a_decrypted_message_has_its_subject_again() -> None:
    """E40."""
    out = delivered(message(enveloped(CIPHER)), key())
    assert header_of(out, "subject") == ["Dinner"]
    assert header_of(out, "from") == ["Alice <alice@example.test>"]
    assert not header_of(out, "hp-outer")
    assert out.endswith(b"\r\n\r\nHi\r\n")
    assert b"Sensitivity: Private" in out


def test_e40_inside_a_signature_the_header_counts_and_the_body_stays() -> None:
    """E40, V17: its verdict is for clients to check again."""
    out = delivered(message(enveloped(clear(CIPHER))), key())
    assert header_of(out, "subject") == ["Dinner"]
    assert out.endswith(clear(CIPHER))
    assert delivered(message(enveloped(opaque(CIPHER))), key(), unwrap=OPAQUE).endswith(
        b"\r\n\r\nHi\r\n"
    )


@pytest.mark.parametrize("entity", [clear(CIPHER), opaque(CIPHER)])
def test_e40_mail_that_is_only_signed_is_delivered_as_it_came_and_says_what_differs(
    entity: bytes,
) -> None:
    """E40: its readers see both headers, and a difference arose on the way, so it is told."""
    content = message(entity).replace(b"Subject: Hello", b"Subject: [list] Dinner")
    out = delivered(content)
    assert out.endswith(b"\r\n" + content)
    assert verdict(content) == "pass: differs from what was signed: Subject"
    assert b"smime=pass\r\n\t(differs from what was signed: Subject)" in out
    if b"multipart" not in entity:
        assert header_of(delivered(content, unwrap=OPAQUE), "subject") == ["Dinner"]


@pytest.mark.parametrize("wrap", [clear, opaque, lambda part: enveloped(clear(part))])
def test_e40_another_from_inside_never_passes_and_is_never_shown(wrap: object) -> None:
    """E40, E03, E07: neither by the outer one nor by the inner one."""
    assert callable(wrap)
    inner = CIPHER.replace(b"alice@", b"eve@")
    content = message(wrap(inner))
    assert verdict(content, key()) == "policy: the From inside differs from the outer one"
    assert fields(content, key())["X-SMIME-Badge"] == "yellow"
    assert header_of(delivered(content, key(), unwrap=BOTH), "from") == [
        "Alice <alice@example.test>"
    ]
    eve = message(wrap(CIPHER), sender="eve@example.test")
    assert verdict(eve, key()).startswith("policy: From eve@example.test")
    assert verdict(message(enveloped(inner)), key()).startswith("none: the From inside")


@pytest.mark.parametrize(
    "entity",
    [
        enveloped(CIPHER, "bob"),
        enveloped(enveloped(CIPHER, "bob")),
        b'Content-Type: multipart/mixed; boundary=m; hp="cipher"\r\nSubject: y\r\n\r\n--m\r\n'
        + enveloped(CIPHER)
        + b"\r\n--m--\r\n",
        CIPHER,
        MARKED,
        enveloped(MARKED),
        clear(MARKED),
    ],
)
def test_e40_without_a_payload_that_was_opened_nothing_is_restored(entity: bytes) -> None:
    """E40, E10: outside a cryptographic envelope the parameter is phony."""
    content = message(entity)
    assert received(content, key()).protected is None
    assert header_of(delivered(content, key()), "subject")[0] == "Hello"


@pytest.mark.parametrize("wrap", [lambda part: part, clear, opaque])
def test_e42_what_we_protect_comes_back_as_it_was_sent(wrap: object) -> None:
    """E42, E40: the pair; nothing of the Subject is readable on the way."""
    assert callable(wrap)
    sent = parse(message(PART, more="Keywords: food\r\nReply-To: carol@example.test\r\n"))
    part, header = canonical_entity(sent), outer_header(sent.header)
    inner, outside = protect_encrypted(part, header)
    content = with_entity(outside, enveloped(wrap(inner)))
    assert b"Hello" not in content
    assert b"food" not in content
    out = parse(delivered(content, key(), unwrap=BOTH))
    for name in ("from", "to", "subject", "date", "keywords", "reply-to"):
        assert out.header.find(name) == header.find(name)
    if wrap is not clear:
        assert out.body == sent.body
    assert received(content, key()).report.reason == ""


def test_e41_a_wrapped_message_is_delivered_as_the_message() -> None:
    """E41."""
    inner = b"From: alice@example.test\r\nSubject: Dinner\r\n" + PART
    for kind in (b"; forwarded=no", b""):
        root = b"Content-Type: message/rfc822" + kind + b"\r\n\r\n" + inner
        out = delivered(message(enveloped(root)), key())
        assert header_of(out, "subject") == ["Dinner"]
        assert out.endswith(b"MIME-Version: 1.0\r\n" + PART)
        signed = delivered(message(enveloped(clear(root))), key())
        assert header_of(signed, "subject") == ["Dinner"]
        assert signed.endswith(clear(root))
    root = b"Content-Type: message/rfc822\r\n\r\n" + inner.replace(b"alice", b"carol")
    out = delivered(message(enveloped(root)), key())
    assert header_of(out, "subject") == ["Hello"]
    assert out.endswith(root)


def test_e12_header_protection_changes_nothing_of_what_could_not_be_decrypted() -> None:
    """E12."""
    content = message(enveloped(CIPHER, "bob"))
    assert delivered(content, key()).endswith(b"\r\n" + content)


@given(st.data())
@settings(max_examples=100)
def test_e07_whatever_is_inside_the_outer_header_stays_ours(data: st.DataObject) -> None:
    """E07, M6: one octet altered anywhere, a cut, or a line of the attacker's, anywhere."""
    whole = data.draw(st.sampled_from([CIPHER, WRAPPED, V1, PART, CALENDAR]))
    place = data.draw(st.integers(0, len(whole)))
    put = data.draw(
        st.one_of(
            st.binary(max_size=3),
            st.sampled_from(
                [b"\r\nX-SMIME-Badge: green\r\n", b"\nBcc: x\n", b"\rFrom: eve@x.org\r"]
            ),
        )
    )
    inner = whole[:place] + put + whole[place + data.draw(st.integers(0, 2)) :]
    wrap = data.draw(st.sampled_from([enveloped, lambda part: enveloped(compressed(part))]))
    content = message(wrap(inner))
    assume(received(content, key()).report.encryption == "decrypted")
    out = delivered(content, key(), unwrap=BOTH)
    assert out.count(b"\r") == out.count(b"\n") == out.count(b"\r\n")
    header = parse(out).header
    assert [item.value for item in header.find("from")] == ["Alice <alice@example.test>"]
    assert [item.value for item in header.find("x-smime-badge")] == ["none"]
    assert [item.value for item in header.find("sensitivity")] == ["Private"]
    assert max(len(header.find("content-type")), len(header.find("subject"))) == 1
    assert not header.find("bcc")
    assert not header.find("")


def test_decrypted_octets_that_are_no_text_are_delivered_as_a_file() -> None:
    """E65: no octet of them is lost, though nothing says what they are."""
    content = b"PK\x03\x04" + bytes(range(256)) + b"\n\r"
    alice = [parties.recipient("alice")]
    sealed = encrypt_entity(content, alice, content_encryption="aes256_gcm", random=Octets())
    out = parse(delivered(message(sealed), key()))
    assert out.content_type.full == "application/octet-stream"
    assert decode_octets(out.body, out.transfer_encoding) == content
    assert b"\0" not in out.content
