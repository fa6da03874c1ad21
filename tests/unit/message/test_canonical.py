import re
from collections import Counter
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.build import multipart_signed, new_boundary
from smime_proxy.message.canonical import canonical_entity, needs_8bit, outer_header
from smime_proxy.message.entity import Defect, Entity, decode_body
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from tests.peers import corpora

NO_LIMIT = 1 << 40
BOUNDARY = new_boundary(bytes(16))


def canonical(content: bytes) -> bytes:
    return canonical_entity(parse(content))


def leaves(entity: Entity) -> list[tuple[str, bytes]]:
    """Give type and decoded body of every leaf."""
    return [
        (leaf.content_type.full, decode_body(leaf, NO_LIMIT))
        for leaf in entity.walk()
        if leaf.is_leaf
    ]


def message(fields: bytes, body: bytes) -> bytes:
    return b"From: a@x.org\r\n" + fields + b"Subject: x\r\n\r\n" + body


def test_only_content_fields_move_in() -> None:
    """E35."""
    content = message(
        b"MIME-Version: 1.0\r\nContent-Type: text/html;\r\n\tcharset=utf-8\r\nX-A: b\r\n"
        b"Content-Language: de\r\n",
        b"<p>\r\n",
    )
    assert canonical(content) == (
        b"Content-Type: text/html;\r\n\tcharset=utf-8\r\nContent-Language: de\r\n\r\n<p>\r\n"
    )
    assert bytes(outer_header(parse(content).header)) == (
        b"From: a@x.org\r\nMIME-Version: 1.0\r\nX-A: b\r\nSubject: x\r\n"
    )


def test_never_two_content_type_fields() -> None:
    """E35: the first counts, as it does for readers."""
    content = message(b"Content-Type: text/html\r\nContent-Type: text/plain\r\n", b"x")
    assert canonical(content) == b"Content-Type: text/html\r\n\r\nx"


def test_mail_without_mime_fields_says_what_it_is_by_default() -> None:
    assert canonical(message(b"", b"x\r\n")) == (
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\nx\r\n"
    )


def test_octets_without_a_charset_are_kept_without_naming_one() -> None:
    """E31: an 8-bit body without MIME fields decodes to the same octets."""
    signed = canonical(message(b"", b"gr\xfc\xdfe\r\n"))
    assert signed == (
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"gr=FC=DFe\r\n"
    ) or signed.startswith(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64")
    assert leaves(parse(signed)) == [("text/plain", b"gr\xfc\xdfe\r\n")]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Type: text/plain\r\n", b"a\r\n\r\n b\tc.\r\n>From\r\n"),
        (
            b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            b"a=3Db=\r\nc",
        ),
        (b"Content-Type: a/b\r\nContent-Transfer-Encoding: BASE64\r\n", b"YWJj\r\nYWJj\r\n\r\n"),
        (b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n", b"YW!Jj"),
        (b"Content-Type: a/b\r\nContent-Transfer-Encoding: x-uue\r\n", b"begin 644 \xff \r\n."),
        (b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n", b"Y!WJj \r\nfooter\xe4"),
        (
            b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            b"a=Zb .\r\n.",
        ),
        (
            b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            b"-- \r\nblanks some decoders keep\r\n",
        ),
        (b"Content-Type: multipart/mixed\r\n", b"--b\r\n\r\ngr\xfc\xdfe \r\n--b--"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"none \r\n"),
        (b"Content-Type: message/partial; id=x; number=1\r\n", b"From x \r\n\r\n."),
        (b"Content-Type: message/delivery-status\r\n", b"Status: 5.1.1 \r\nX: \r\n"),
        (b"Content-Type: message/disposition-notification\r\n", b"Disposition: a/b \r\n"),
    ],
)
def test_what_is_safe_or_unknown_or_broken_stays_octet_for_octet(
    fields: bytes, body: bytes
) -> None:
    """E31, E32."""
    assert canonical(message(fields, body)) == fields + b"\r\n" + body


@pytest.mark.parametrize("body", [b"Status: \xe4 \r\n", b"a" * 999, b"a\0 \r\n"])
def test_a_status_report_is_encoded_only_when_it_is_not_7bit(body: bytes) -> None:
    """E31; RFC 3464 2.1: programs read it without decoding."""
    signed = canonical(message(b"Content-Type: message/delivery-status\r\n", body))
    assert b"\r\nContent-Transfer-Encoding: " in signed
    assert leaves(parse(signed)) == [("message/delivery-status", body)]


@pytest.mark.parametrize("kind", [b"delivery-status", b"disposition-notification"])
def test_a_7bit_report_for_programs_stays_as_it_is(kind: bytes) -> None:
    """RFC 3464 2.1: never encoded, only real octets above 127 leave no choice."""
    fields = b"Content-Type: message/" + kind + b"\r\n"
    body = b"Reporting-MTA: dns; x \r\n\r\n. \r\n"
    assert canonical(message(fields, body)) == fields + b"\r\n" + body


@pytest.mark.parametrize("kind", [b"signed", b"encrypted"])
def test_nothing_inside_multipart_signed_or_encrypted_is_touched(kind: bytes) -> None:
    """E31, E33."""
    fields = (
        b"Content-Type: multipart/" + kind + b"; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    body = (
        b"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe \r\n.\r\n--b\r\n"
        b"Content-Type: application/x\r\n\r\nx \r\n--b--\r\n"
    )
    assert canonical(message(fields, body)) == fields + b"\r\n" + body
    outer = b"Content-Type: multipart/mixed; boundary=o\r\n"
    inside = b"--o\r\n" + fields + b"\r\n" + body + b"\r\n--o--\r\n"
    assert canonical(message(outer, inside)) == outer + b"\r\n" + inside


@pytest.mark.parametrize(
    "body",
    [
        b"gr\xc3\xbc\xc3\x9fe und noch mehr text\r\n",
        b"trailing \r\nblanks\t",
        b".dot\r\n..\r\nFrom here\r\n",
        b"x" * 3000,
        b"nul\0 and more text",
        b"lone\rCR and\nLF and \r\r\n more text here",
        "日本語\r\n".encode(),
        b"\xff\xfea\0b\0",
    ],
)
@pytest.mark.parametrize("encoding", [b"", b"7bit", b"8bit", b"BINARY"])
@pytest.mark.parametrize("kind", [b"text/plain; charset=utf-8", b"application/octet-stream"])
def test_an_unsafe_leaf_is_encoded_without_changing_what_it_decodes_to(
    body: bytes, encoding: bytes, kind: bytes
) -> None:
    """E31, E32."""
    fields = b"Content-Type: " + kind + b"\r\n"
    if encoding:
        fields += b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    content = message(fields, b"\r\n" + body)  # an empty line first, so that CRLF occurs
    signed = canonical(content)
    assert leaves(parse(signed)) == leaves(parse(content))
    assert signed.isascii()
    assert signed.count(b"Content-Transfer-Encoding") == 1
    assert canonical(signed) == signed
    assert trip(signed) == signed
    assert all(
        len(line) <= 998 and not line.endswith((b" ", b"\t")) for line in signed.split(b"\r\n")
    )


def trip(content: bytes) -> bytes:
    """Store with LF, send with CRLF again."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("encoding", [b"8bit", b"binary"])
def test_a_safe_leaf_labelled_8bit_becomes_7bit(encoding: bytes) -> None:
    """E31: relays without 8BITMIME convert what is labelled so."""
    fields = b"Content-Transfer-Encoding: " + encoding + b"\r\nContent-Type: text/plain\r\n"
    assert canonical(message(fields, b"x")) == (
        b"Content-Transfer-Encoding: 7bit\r\nContent-Type: text/plain\r\n\r\nx"
    )


@pytest.mark.parametrize("body", [b".a=20b", b"From =\r\nx", b"gr\xfc=DFe", b"y" * 999])
def test_unsafe_quoted_printable_is_encoded_anew(body: bytes) -> None:
    """E32."""
    fields = b"Content-Type: text/x\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    signed = canonical(message(fields, body))
    assert signed.startswith(fields)
    assert leaves(parse(signed)) == leaves(parse(message(fields, body)))
    assert canonical(signed) == signed
    assert signed.isascii()
    assert not re.search(rb"[ \t]\r\n|\r\n\.|\r\nFrom |[^\n]{999}", signed)


def test_base64_in_one_long_line_is_wrapped() -> None:
    fields = b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n"
    signed = canonical(message(fields, b"YWJj" * 300))
    assert leaves(parse(signed)) == [("a/b", b"abc" * 300)]
    assert max(map(len, signed.split(b"\r\n"))) <= 76


MIXED = message(
    b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n",
    b"preamble \r\n--b \r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\nX-Kept: yes\r\n\r\ngr\xc3\xbc\xc3\x9fe und mehr Worte\r\n"
    b"--b\r\n\r\nsafe\r\n--b--\r\nepilogue",
)


def test_a_multipart_loses_its_encoding_and_keeps_everything_around_its_leaves() -> None:
    """E31, E34."""
    assert canonical(MIXED) == (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"preamble \r\n--b \r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\nX-Kept: yes\r\n\r\n"
        b"gr=C3=BC=C3=9Fe und mehr Worte\r\n--b\r\n\r\nsafe\r\n--b--\r\nepilogue"
    )


def test_a_multipart_that_cannot_become_7bit_keeps_its_encoding() -> None:
    content = MIXED.replace(b"--b--", b"--b\r\nContent-Transfer-Encoding: x\r\n\r\n\xff\r\n--b--")
    assert b"boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n" in canonical(content)
    assert needs_8bit(canonical(content))


def test_a_part_whose_header_is_broken_stays_as_it_is() -> None:
    for part in (b"A: b\r\nno field\r\n\r\n\xff ", b"no header \xff"):
        content = MIXED.replace(b"\r\nsafe", part)
        assert part in canonical(content)


def test_a_leaf_without_fields_gets_an_encoding_field() -> None:
    signed = canonical(MIXED.replace(b"\r\nsafe", b"\r\n.dot"))
    assert b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nLmRvdA==\r\n" in signed or (
        b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=2Edot" in signed
    )


def test_an_embedded_message_is_descended_into() -> None:
    """E31."""
    content = message(
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"Subject: in\r\n\r\ngr\xc3\xbc\xc3\x9fe und mehr Worte\r\n",
    )
    assert canonical(content) == (
        b"Content-Type: message/rfc822\r\n\r\n"
        b"MIME-Version: 1.0\r\nSubject: in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"gr=C3=BC=C3=9Fe und mehr Worte\r\n"
    )
    safe = message(b"Content-Type: message/rfc822\r\n", b"Subject: in\r\n\r\nx")
    assert canonical(safe) == b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx"


def test_a_message_that_ends_inside_its_header_gets_its_line_ends() -> None:
    assert canonical(b"Content-Type: text/html") == b"Content-Type: text/html\r\n\r\n"


def test_bare_lf_becomes_crlf_everywhere() -> None:
    """E49."""
    assert canonical(MIXED.replace(b"\r\n", b"\n")) == canonical(MIXED)
    assert bytes(outer_header(HeaderBlock(b"A: b\n c\nD: e\n"))) == b"A: b\r\n c\r\nD: e\r\n"


def test_only_octets_above_127_need_8bit() -> None:
    assert needs_8bit(b"a\x80")
    assert not needs_8bit(b"a\x7f\0")


PIECES = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b"--b\r\n", b"--b--", b" ", b"\t", b"a: b\r\n", b"x", b"\0",
        b"\xff", b".", b"From ", b"=", b"=41", b"x" * 500,
        b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain\r\n", b"Content-Transfer-Encoding: 8bit\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_whatever_arrives_is_signed_and_decodes_to_the_same(raw: bytes) -> None:
    """E31: signing never refuses for broken MIME. Line ends as the listeners leave them."""
    content = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    entity = parse(content)
    part = canonical_entity(entity)
    assert trip(part) == part
    assert leaves(parse(part)) == leaves(entity)
    signed = parse(
        trip(multipart_signed(outer_header(entity.header), part, b"", "sha-256", BOUNDARY))
    )
    assert bytes(signed.children[0]) == part


NO_CLEAR_HEADER = {Defect.NOT_A_FIELD, Defect.NO_BLANK_LINE}

# Why a mail of the collections is not 7bit after signing; the names say where they lie.
KEPT_8BIT = {
    "a file that is no mail": re.compile(r"\.(tnef|gif|jpg|pdf|png|tiff|zip|html|txt)$"),
    "raw octets in the header of a part": re.compile(
        r"attachment_nonascii_filename|lhost-kddi-01|lhost-sendmail-01|lhost-x5-01|rfc3464-01"
        r"|shift-jis-image|mbox-0|content-utf8-rel-alt"
    ),
    "an unknown transfer encoding": re.compile(r"content_transfer_encoding_(7-bit|plain)"),
}


def kept_8bit(name: str) -> str:
    """Give the reason why the mail keeps octets above 127, or an empty text."""
    return next((why for why, names in KEPT_8BIT.items() if names.search(name)), "")


@pytest.mark.corpora
def test_every_mail_of_the_collections_is_signed_without_changing_a_leaf() -> None:
    """E31, E32: each decoded leaf is the original's, and survives CRLF to LF and back."""
    counts: Counter[str] = Counter()
    for path in sorted(path for path in corpora("mail").rglob("*") if path.is_file()):
        content = re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes())
        entity = parse(content)
        part = canonical_entity(entity)
        assert trip(part) == part, path
        assert leaves(parse(part)) == leaves(entity), path
        signed = trip(multipart_signed(outer_header(entity.header), part, b"", "sha-256", BOUNDARY))
        first = parse(signed)
        assert first.content_type.full == "multipart/signed", path
        assert bytes(first.children[0]) == part, path
        counts["signed"] += 1
        if library_leaves(part) != library_leaves(content):
            # The library ends a header at the first line that is no field.
            assert not NO_CLEAR_HEADER.isdisjoint(entity.defects), path
            counts["read differently by the standard library: no clear header"] += 1
        if needs_8bit(part):
            why = kept_8bit(path.name)
            assert why, path
            counts[why] += 1
    print(dict(counts))
    assert counts["signed"] > 1_200


def library_leaves(content: bytes) -> list[object]:
    """Give the decoded leaves an independent reader finds."""
    return [
        each.get_payload(decode=True)
        for each in message_from_bytes(content).walk()
        if not each.is_multipart()
    ]
