"""Fields inside the encryption: which come out, which stay, and which never get in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.protected_headers import (
    FROM_DIFFERS,
    REPLY_DIFFERS,
    SUBJECT_DIFFERS,
    Protected,
    Scheme,
    altered,
    disagreement,
    find_protected,
    misleading,
    protect_encrypted,
    protect_signed,
    restored,
)
from tests.unit.smime.cases import PART, clear, enveloped, opaque

OUTER = HeaderBlock(
    b"Received: from x\r\nFrom: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
    b"Subject: [...]\r\nDate: Mon, 01 Jun 2026 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n"
)
CIPHER = b'Content-Type: text/plain; hp="cipher"\r\n'
CLEAR = b'Content-Type: text/plain; hp="clear"\r\n'


def found(root: bytes, outer: HeaderBlock = OUTER) -> Protected:
    protected = find_protected(parse(root), outer)
    assert protected is not None
    return protected


def after(inner: bytes, outer: HeaderBlock = OUTER, mark: bytes = CIPHER) -> bytes:
    return bytes(restored(outer, found(mark + inner + b"\r\nHi\r\n")))


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        ('text/plain; hp="cipher"', Scheme.CIPHER),
        ("text/plain; HP=Clear", Scheme.CLEAR),
        ('multipart/mixed; boundary=x; protected-headers="v1"', Scheme.V1),
        ("message/rfc822; hp=cipher", Scheme.CIPHER),
    ],
)
def test_e40_the_root_says_how_it_protects(kind: str, scheme: Scheme) -> None:
    """E40."""
    root = f"Content-Type: {kind}\r\nSubject: x\r\n\r\nFrom: eve@example.test\r\n\r\nHi".encode()
    assert found(root).scheme is scheme
    assert found(root).header.first("subject") == "x"


@pytest.mark.parametrize(
    "root",
    [
        b"Content-Type: text/plain\r\nSubject: x\r\n\r\nHi",
        b'Content-Type: text/plain; hp="other"\r\nSubject: x\r\n\r\nHi',
        b'Content-Type: text/plain; protected-headers="v2"\r\nSubject: x\r\n\r\nHi',
        b'X-Type: text/plain; hp="cipher"\r\nSubject: x\r\n\r\nHi',
        b'Content-Type: text/plain\r\nContent-Type: text/plain; hp="cipher"\r\n\r\nHi',
        CIPHER + b"no field\r\nSubject: x\r\n\r\nHi",
        b"Content-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\n"
        + CIPHER
        + b"Subject: phony\r\n\r\nHi\r\n--b--\r\n",
    ],
)
def test_e40_a_phony_parameter_below_the_root_or_none_protects_nothing(root: bytes) -> None:
    """E40: nor does a header readers disagree about."""
    assert find_protected(parse(root), OUTER) is None


def test_e40_user_facing_fields_take_the_places_of_the_outer_ones() -> None:
    """E40: RFC 9787 1.1.2; the order of the outer header stays."""
    inner = (
        b"Subject: Dinner\r\nTo: Bob <bob@example.test>\r\nCc: carol@example.test\r\n"
        b"Keywords: food\r\nComments: one\r\nComments: two\r\nFrom: alice@example.test\r\n"
    )
    assert after(inner) == (
        b"Received: from x\r\nFrom: Alice <alice@example.test>\r\nTo: Bob <bob@example.test>\r\n"
        b"Subject: Dinner\r\nDate: Mon, 01 Jun 2026 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n"
        b"Cc: carol@example.test\r\nKeywords: food\r\nComments: one\r\nComments: two\r\n"
    )


def test_e07_nothing_but_user_facing_fields_comes_out() -> None:
    """E07, E40: no result, no trace, no blind copy, and none of ours."""
    inner = (
        b"Subject: Dinner\r\nTo: bob@example.test\r\nX-SMIME-Signature: pass\r\n"
        b"X-SMIME-Badge: green\r\n"
        b"Authentication-Results: proxy.example.test; smime=pass\r\nReceived: from eve\r\n"
        b"Bcc: eve@example.test\r\nSensitivity: Personal\r\nHP-Outer: Subject: [...]\r\n"
        b"Return-Path: <eve@example.test>\r\nMessage-ID: <2@x>\r\nReferences: <0@x>\r\n"
        b"From: eve@example.test\r\nResent-From: eve@example.test\r\nDKIM-Signature: v=1\r\n"
        b"List-Unsubscribe: <https://eve.example>\r\nMIME-Version: 1.0\r\n"
    )
    assert after(inner) == bytes(OUTER).replace(b"[...]", b"Dinner")


def test_whoever_sends_a_ciphertext_on_cannot_have_its_answers() -> None:
    """RFC 9788 6.2: Cc and Reply-To that nobody protected are not the sender's.

    A v1 header, and one without From, hold what their writer thought of: there they stay.
    """
    outer = HeaderBlock(bytes(OUTER) + b"Reply-To: eve@example.test\r\nCc: eve@example.test\r\n")
    inner = b"Subject: Dinner\r\nTo: bob@example.test\r\nFrom: alice@example.test\r\n"
    assert b"eve" not in after(inner, outer)
    old = after(inner, outer, b'Content-Type: text/plain; protected-headers="v1"\r\n')
    assert old.count(b"eve@") == 2
    assert after(b"Subject: Dinner\r\n", outer).count(b"eve@") == 2
    assert b"Subject: Dinner\r\n" in old


def test_date_and_from_never_go_and_several_subjects_come_out_as_one() -> None:
    assert after(b"Subject: a\r\nSubject: b\r\n").count(b"Subject:") == 1
    assert b"Subject: a\r\n" in after(b"Subject: a\r\nSubject: b\r\n")
    left = after(b"From: alice@example.test\r\n")
    assert b"Date:" in left
    assert b"From: Alice" in left
    assert b"Subject" not in left


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (b"Subject: a\rX-SMIME-Badge: green\r\n", b"Subject: a\r\n"),
        (b"Subject: a\r\n \r\n b\r\n", b"Subject: a\r\n b\r\n"),
        (b"Subject: a\n b\n", b"Subject: a\r\n b\r\n"),
        (b"Subject: a\r\n\tb \r\n", b"Subject: a\r\n\tb\r\n"),
        (b"Subject: a\0b\r\n", b"Subject: [...]\r\n"),
        (b"subject : a\r\n", b"Subject: a\r\n"),
        ("Subject: Grüße\r\n".encode(), b"Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n"),
        (b"Subject: \xff\r\n", b"Subject: =?utf-8?B?77+9?=\r\n"),
    ],
)
def test_e07_a_field_from_inside_is_one_field_outside(inner: bytes, expected: bytes) -> None:
    """E07: folding in CRLF, nothing behind a bare CR, seven bits where words can be encoded."""
    assert after(inner) == bytes(OUTER).replace(b"Subject: [...]\r\n", expected)


@given(st.binary(max_size=60))
def test_e07_no_octets_in_a_value_make_a_second_field(value: bytes) -> None:
    """E07."""
    root = parse(CIPHER + b"Subject: " + value + b"\r\n\r\nHi")
    protected = find_protected(root, OUTER)
    if protected is None:
        return
    names = [field.name for field in restored(OUTER, protected).fields]
    allowed = {field.name for field in OUTER.fields} | {
        field.name for field in protected.header.fields
    }
    assert set(names) <= allowed
    assert names.count("subject") <= 1
    assert names.count("from") == 1


def wrapped(
    kind: str = "message/rfc822; forwarded=no", sender: str = "alice@example.test"
) -> bytes:
    inner = f"From: {sender}\r\nSubject: Dinner\r\nContent-Type: text/plain\r\n\r\nHi\r\n"
    return f"Content-Type: {kind}\r\n\r\n{inner}".encode()


def test_e41_a_wrapped_message_is_read_as_the_message() -> None:
    """E41: RFC 8551 3.1; without the parameter only where it is from the same sender."""
    for kind in ("message/rfc822; forwarded=no", "message/rfc822"):
        protected = found(wrapped(kind))
        assert protected.scheme is Scheme.WRAPPED
        assert protected.body.body == b"Hi\r\n"
        assert b"Subject: Dinner\r\n" in bytes(restored(OUTER, protected))
    assert found(wrapped(sender="eve@example.test")).scheme is Scheme.WRAPPED


@pytest.mark.parametrize(
    "root",
    [
        wrapped("message/rfc822; forwarded=yes"),
        wrapped("message/rfc822", sender="carol@example.test"),
        wrapped("message/rfc822\r\nContent-Disposition: attachment"),
        wrapped("message/global"),
        wrapped().replace(b"From: alice@example.test\r\n", b""),
        wrapped().replace(b"Subject", b"no field\r\nSubject"),
        wrapped().replace(b"=no\r\n", b"=no\r\nContent-Transfer-Encoding: base64\r\n"),
    ],
)
def test_e41_a_message_somebody_forwards_stays_an_attachment(root: bytes) -> None:
    """E41, E61."""
    assert find_protected(parse(root), OUTER) is None


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (b"From: ALICE@Example.test\r\n", ""),
        (b"Subject: x\r\n", ""),
        (b"From: eve@example.test\r\n", FROM_DIFFERS),
        (b"From: alice@example.test\r\nFrom: alice@example.test\r\n", FROM_DIFFERS),
        (b"From: alice@example.test <eve@example.test>\r\n", FROM_DIFFERS),
    ],
)
def test_e40_another_from_inside_is_flagged(inner: bytes, expected: str) -> None:
    """E40, E03: RFC 9788 4.4."""
    assert disagreement(OUTER, found(CIPHER + inner + b"\r\nHi")) == expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (b"Subject: Dinner", b"Subject: Dinner", ""),
        (b"Subject: =?utf-8?q?Dinner?=", b"Subject: Dinner", ""),
        (b"Subject: [list] Dinner", b"Subject: Dinner", ""),
        (b"Subject: Pay Eve", b"Subject: Dinner", SUBJECT_DIFFERS),
        (b"Subject: Dinner\r\nSubject: Pay Eve", b"Subject: Dinner", SUBJECT_DIFFERS),
        (b"Subject: Pay Eve", b"Subject:", SUBJECT_DIFFERS),
        (b"Subject:", b"Subject:", ""),
        (b"Subject: Pay Eve", b"To: bob@example.test", ""),
        (b"Reply-To: eve@example.test", b"From: alice@example.test", REPLY_DIFFERS),
        (b"Reply-To: eve@example.test", b"Reply-To: alice@example.test", REPLY_DIFFERS),
        (b"Reply-To: alice@example.test", b"Reply-To: alice@example.test", ""),
        (b"Subject: x\r\nReply-To: eve@example.test", b"Subject: x", ""),
        (b"X: y", b"Reply-To: alice@example.test", ""),
    ],
)
def test_what_only_signed_mail_shows_is_held_against_what_was_signed(
    outer: bytes, inner: bytes, expected: str
) -> None:
    """RFC 9788 4.4: tags of lists and filters are no forgery, another text is."""
    protected = found(CLEAR + inner + b"\r\n\r\nHi")
    assert misleading(HeaderBlock(outer + b"\r\n"), protected) == expected


def test_fields_altered_on_the_way_are_named() -> None:
    inner = b"Subject: Dinner\r\nTo:  bob@example.test\r\nDate: x\r\nX-Other: y\r\n"
    assert altered(OUTER, found(CIPHER + inner + b"\r\nHi")) == (
        "differs from what was signed: Subject, Date"
    )
    assert altered(OUTER, found(CIPHER + b"Subject: [...]\r\n\r\nHi")) == ""


# Outbound.

MESSAGE = (
    b"Received: from client\r\nFrom: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
    b"Subject: Dinner\r\n plans\r\nKeywords: food\r\nComments: one\r\nBcc: carol@example.test\r\n"
    b"X-SMIME-Sign: yes\r\nDKIM-Signature: v=1\r\nUser-Agent: Mail\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nHi\r\n"
)


def parts_of(content: bytes) -> tuple[bytes, HeaderBlock]:
    entity = parse(content)
    return canonical_entity(entity), outer_header(entity.header)


def test_e42_signed_mail_carries_its_fields_and_no_trace_or_blind_copy() -> None:
    """E42, E20: RFC 9788 5.2."""
    assert protect_signed(*parts_of(MESSAGE)) == (
        b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: Dinner\r\n plans\r\n"
        b"Keywords: food\r\nComments: one\r\nUser-Agent: Mail\r\n"
        b'Content-Type: text/plain; hp="clear"; charset=utf-8\r\n\r\nHi\r\n'
    )


@pytest.mark.parametrize(
    "name",
    [
        "Return-Path",
        "Received-SPF",
        "Authentication-Results",
        "ARC-Seal",
        "X-Google-DKIM-Signature",
        "Resent-Bcc",
        "HP-Outer",
        "X-SMIME-Encrypt",
        "Content-Class",
    ],
)
def test_no_trace_of_the_way_and_no_word_to_us_goes_inside(name: str) -> None:
    """E07, E20."""
    field = f"{name}: trace\r\n".encode()
    part, header = parts_of(MESSAGE)
    header = HeaderBlock(field + bytes(header))
    assert b"trace" not in protect_signed(part, header)
    assert b"trace" not in protect_encrypted(part, header)[0]


def test_e42_encrypted_mail_hides_its_subject_and_says_inside_what_was_left() -> None:
    """E42: hcp_baseline, RFC 9788 3.2.1 and 2.2."""
    inner, outside = protect_encrypted(*parts_of(MESSAGE))
    assert bytes(outside) == (
        b"Received: from client\r\nFrom: Alice <alice@example.test>\r\nTo: bob@example.test\r\n"
        b"Subject: [...]\r\nBcc: carol@example.test\r\nX-SMIME-Sign: yes\r\nDKIM-Signature: v=1\r\n"
        b"User-Agent: Mail\r\nMIME-Version: 1.0\r\n"
    )
    assert inner == (
        b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: Dinner\r\n plans\r\n"
        b"Keywords: food\r\nComments: one\r\nUser-Agent: Mail\r\n"
        b"HP-Outer: From: Alice <alice@example.test>\r\nHP-Outer: To: bob@example.test\r\n"
        b"HP-Outer: Subject: [...]\r\nHP-Outer: User-Agent: Mail\r\n"
        b'Content-Type: text/plain; hp="cipher"; charset=utf-8\r\n\r\nHi\r\n'
    )


def test_no_field_that_repeats_the_subject_stays_outside() -> None:
    """Outlook's Thread-Topic is the Subject without its prefixes (MS-OXOMSG 2.2.1.5)."""
    content = MESSAGE.replace(b"Keywords:", b"Thread-Topic: Dinner plans\r\nKeywords:")
    inner, outside = protect_encrypted(*parts_of(content))
    assert b"Dinner" not in bytes(outside)
    assert b"\r\nThread-Topic: Dinner plans\r\n" in inner


def test_what_comes_back_is_what_was_sent() -> None:
    """The pair of both directions: hidden fields return to the header, in order or at its end."""
    inner, outside = protect_encrypted(*parts_of(MESSAGE))
    protected = found(inner, outside)
    sent = parts_of(MESSAGE)[1]
    back = restored(outside, protected)
    for name in ("from", "to", "subject", "keywords", "comments", "user-agent"):
        assert back.find(name) == sent.find(name)
    assert disagreement(outside, protected) == ""
    signed = protect_signed(*parts_of(MESSAGE))
    assert altered(sent, found(signed, sent)) == ""


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=80),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_any_subject_comes_back(subject: str, line_end: bytes) -> None:
    content = MESSAGE.replace(b"Dinner\r\n plans", subject.strip().encode())
    inner, outside = protect_encrypted(*parts_of(content.replace(b"\r\n", line_end)))
    assert outside.first("subject") == "[...]"
    back = restored(outside, found(inner, outside))
    assert back.first("subject") == subject.strip()


@pytest.mark.parametrize("part", [clear(), opaque(), enveloped()])
def test_e33_what_the_client_protected_is_not_marked(part: bytes) -> None:
    """E33: and its Subject stays, for nothing inside would bring it back."""
    header = outer_header(parse(MESSAGE).header)
    assert protect_signed(part, header) == part
    assert protect_encrypted(part, header) == (part, header)
    pgp = part.replace(b"pkcs7-signature", b"pgp-signature").replace(b"pkcs7-mime", b"x")
    if pgp.startswith(b"Content-Type: multipart"):
        assert protect_encrypted(pgp, header) == (pgp, header)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/plain", b'text/plain; hp="clear"'),
        (b"text/html;\r\n\tcharset=x", b'text/html; hp="clear";\r\n\tcharset=x'),
        (b"text/plain (comment", b'text/plain; hp="clear" (comment'),
        (b'text/plain; charset="open', b'text/plain; hp="clear"; charset="open'),
        (b"text", b'text/plain; charset=us-ascii; hp="clear"'),
        (b'text/plain; hp="cipher"; hp-legacy-display="1"', b'text/plain; hp="clear"'),
        (b"text/plain; protected-headers=v1; charset=x", b'text/plain; hp="clear"; charset=x'),
    ],
)
def test_the_mark_stands_before_what_may_be_broken(content_type: bytes, expected: bytes) -> None:
    part = b"Content-Type: " + content_type + b"\r\n\r\nHi\r\n"
    marked = protect_signed(part, HeaderBlock(b""))
    assert marked == b"Content-Type: " + expected + b"\r\n\r\nHi\r\n"
    assert found(marked).scheme is Scheme.CLEAR


def test_a_part_without_a_type_or_a_body_is_marked_too() -> None:
    text = b'Content-Type: text/plain; charset=us-ascii; hp="clear"\r\n\r\n'
    assert protect_signed(b"\r\nHi", HeaderBlock(b"")) == text + b"Hi"
    assert protect_signed(b"", HeaderBlock(b"")) == text
    assert found(protect_signed(PART, OUTER)).header.first("subject") == "[...]"


def test_e32_no_copied_line_ends_in_blanks() -> None:
    """E32: a relay that cuts them would break the signature."""
    header = HeaderBlock(b"Subject: x \t\r\n \r\n y \r\nEmpty: \r\n")
    assert protect_signed(PART, header).startswith(b"Subject: x\r\n y\r\nEmpty:\r\nContent-Type")


def test_no_line_grows_too_long_and_none_is_blank() -> None:
    long = b"Subject: x\r\nX-Long: " + b"y" * 985 + b"\r\n \r\n z\r\n"
    inner, _ = protect_encrypted(PART, HeaderBlock(long))
    assert max(map(len, inner.split(b"\r\n"))) <= 998
    assert inner.partition(b"\r\n\r\n")[2] == b"Hello Bob\r\n"
    values = [field.value for field in parse(inner).header.find("hp-outer")]
    assert values[1].startswith("X-Long: yyy")
