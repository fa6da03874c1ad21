"""A mark made here is known again, wherever it went; a forged one is not."""

import base64

import pytest

from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import TooComplex
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.decrypted_mark import (
    DIGEST_OCTETS,
    FIELD,
    LEAST_HIDDEN_OCTETS,
    MAX_HIDDEN_RATIO,
    MAX_MARKS,
    MarkKeys,
    headers_inside,
)
from tests.unit.smime.cases import compressed, opaque

KEYS = MarkKeys.derive(b"\1" * 32)
OTHER = MarkKeys.derive(b"\2" * 32)
OWN = b"Message-ID: <1@x.org>\r\n"


def carries_marked(entity: Entity, keys: MarkKeys) -> bool:
    return any(map(keys.is_marked, headers_inside(entity)))


def marked(raw: bytes = OWN, keys: MarkKeys = KEYS, *, of: bytes | None = None) -> HeaderBlock:
    """Give a header with a mark made for it, or for another header."""
    header = HeaderBlock(raw)
    return header.prepend(*keys.mark_of(header if of is None else HeaderBlock(of)))


def test_a_mark_is_known_again_by_the_same_keys_for_the_same_message_id() -> None:
    assert KEYS.is_marked(marked())
    assert MarkKeys.derive(b"\1" * 32).is_marked(marked())
    assert FIELD.lower().startswith("x-smime-")
    folded = HeaderBlock(bytes(marked()).replace(b"<1@x.org>", b"\r\n <1@x.org> (relayed)"))
    assert KEYS.is_marked(folded)


@pytest.mark.parametrize(
    "forged",
    [
        HeaderBlock(OWN),
        marked(keys=OTHER),
        marked(of=b"Message-ID: <2@x.org>\r\n"),
        marked(b"From: a@x.org\r\n", of=OWN),
        HeaderBlock(OWN).prepend(FIELD, "yes"),
        HeaderBlock(OWN).prepend(FIELD, ""),
        HeaderBlock(OWN).prepend(FIELD, f"v=1; h={'A' * 22}"),
        HeaderBlock(OWN).prepend(FIELD, KEYS.mark_of(HeaderBlock(OWN))[1].replace("v=1", "v=2")),
        HeaderBlock(OWN).prepend(FIELD, KEYS.mark_of(HeaderBlock(OWN))[1][:-1]),
        HeaderBlock(OWN).prepend(FIELD, KEYS.mark_of(HeaderBlock(OWN))[1] + "A"),
    ],
)
def test_a_forged_mark_is_none(forged: HeaderBlock) -> None:
    assert not KEYS.is_marked(forged)


def test_a_mark_is_no_digest_that_is_kept() -> None:
    """What lies in the store shows nobody how to make a mark."""
    digest = KEYS.digests([b"1@x.org"])[0]
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert not KEYS.is_marked(HeaderBlock(OWN).prepend(FIELD, f"v=1; h={text}"))


def test_the_mark_of_a_mail_without_a_message_id_outlives_getting_one() -> None:
    bare = marked(b"From: a@x.org\r\n")
    assert KEYS.is_marked(bare)
    assert KEYS.is_marked(HeaderBlock(bytes(bare) + OWN))
    assert not OTHER.is_marked(bare)


def test_of_several_message_ids_any_will_do() -> None:
    several = marked(OWN + b"Message-ID: <2@x.org>\r\n")
    assert KEYS.is_marked(several)
    turned = HeaderBlock(bytes(marked())[: -len(OWN)] + b"Message-ID: <2@x.org>\r\n" + OWN)
    assert KEYS.is_marked(turned)


def test_only_so_many_marks_are_compared() -> None:
    header = marked()
    for _ in range(MAX_MARKS - 1):
        header = header.prepend(FIELD, "junk")
    assert KEYS.is_marked(header)
    assert not KEYS.is_marked(header.prepend(FIELD, "junk"))


def test_digests_are_short_keyed_and_in_order() -> None:
    found = KEYS.digests([b"1@x", b"2@x", b"1@x"])
    assert [len(one) for one in found] == [DIGEST_OCTETS] * 3
    assert found[0] == found[2] != found[1]
    assert OTHER.digests([b"1@x"])[0] != found[0]


def test_the_keys_do_not_show() -> None:
    assert "\\x" not in repr(KEYS)


def test_mail_without_a_message_id_gets_the_same_one_each_time_it_comes() -> None:
    bare = HeaderBlock(b" continues nothing\r\nFrom: a@x.org\r\n")
    named = KEYS.named(bare, b"content", "mail.example")
    assert KEYS.named(bare, b"content", "mail.example") == named
    for other in (
        KEYS.named(bare, b"contents", "mail.example"),
        OTHER.named(bare, b"content", "mail.example"),
    ):
        assert other.find("message-id") != named.find("message-id")
    assert bytes(named).startswith(b"Message-ID: <")
    assert bytes(named).endswith(b"@mail.example>\r\nFrom: a@x.org\r\n")
    assert KEYS.named(named, b"another", "mail.example") is named


INNER = bytes(marked()) + b"From: a@x.org\r\n\r\nsecret\r\n"


def attached(part_header: bytes, body: bytes, depth: int = 1) -> bytes:
    part = part_header + b"\r\n" + body
    for number in range(depth):
        boundary = b"b%d" % number
        part = (
            b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n\r\nSee below.\r\n"
            b"--%b\r\n%b\r\n--%b--\r\n" % (boundary, boundary, boundary, part, boundary)
        )
    return b"From: b@y.org\r\n" + part


RFC822 = b"Content-Type: message/rfc822\r\n"
BASE64 = b"Content-Transfer-Encoding: base64\r\n"
FILE = b'Content-Type: application/octet-stream; name="offer.EML"\r\n'
CODED = base64.encodebytes(INNER).replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    "message",
    [
        attached(RFC822, INNER),
        attached(RFC822, INNER, depth=5),
        attached(b"Content-Type: message/global\r\n", INNER),
        attached(RFC822 + BASE64, CODED),
        attached(b"Content-Type: message/global\r\n" + BASE64, CODED),
        attached(FILE + BASE64, CODED),
        attached(RFC822, attached(RFC822, INNER)),
        attached(RFC822 + BASE64, base64.encodebytes(attached(RFC822 + BASE64, CODED))),
        RFC822 + b"\r\n" + INNER,
        attached(b"Content-Type: application/octet-stream\r\n" + BASE64, CODED),
        attached(b'Content-Type: application/eml; name="offer"\r\n' + BASE64, CODED),
        attached(b"Content-Type: application/octet-stream\r\n", INNER),
        attached(FILE.replace(b".EML", b".eml ") + BASE64, CODED),
        attached(RFC822 + BASE64, base64.encodebytes(b"\xef\xbb\xbf\r\n\n" + INNER)),
        attached(
            b"Content-Type: application/mbox\r\n" + BASE64,
            base64.encodebytes(b"From alice Mon\n" + INNER.replace(b"\r\n", b"\n")),
        ),
    ],
)
def test_an_attached_message_is_found_at_any_depth_and_in_any_encoding(message: bytes) -> None:
    assert carries_marked(parse(message), KEYS)
    assert not carries_marked(parse(message), OTHER)


def test_it_is_found_inside_what_is_signed_or_compressed() -> None:
    content = attached(RFC822, INNER)
    for closed in (opaque(content), compressed(content), opaque(compressed(content))):
        assert carries_marked(parse(closed), KEYS)
        assert not carries_marked(parse(closed), OTHER)


@pytest.mark.parametrize(
    "message",
    [
        attached(b"Content-Type: text/rfc822-headers\r\n", bytes(marked())),
        attached(b"Content-Type: text/plain\r\n", INNER),
        attached(RFC822, bytes(marked(keys=OTHER)) + b"\r\nx"),
        attached(FILE + BASE64, b"====not base64===="),
        bytes(marked()) + b"\r\nIts own mark is asked for apart.\r\n",
    ],
)
def test_headers_alone_text_and_forged_marks_carry_nothing(message: bytes) -> None:
    assert not carries_marked(parse(message), KEYS)


def several(number: int, last: bytes, part: bytes = RFC822 + BASE64 + b"\r\n\r\n") -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    return head + (b"--b\r\n" + part) * number + b"--b\r\n" + last + b"--b--\r\n"


def test_it_is_found_behind_many_others() -> None:
    """Who forwards twenty mails as files."""
    last = RFC822 + BASE64 + b"\r\n" + CODED
    assert carries_marked(parse(several(200, last)), KEYS)
    assert not carries_marked(parse(several(200, last)), OTHER)


def test_what_hides_more_than_can_be_looked_into_is_refused_and_not_let_through() -> None:
    parts = several(1_001, b"\r\n", b"\r\nx\r\n")
    marked_parts = base64.encodebytes(bytes(marked()) + parts)
    with pytest.raises(TooComplex):
        carries_marked(parse(RFC822 + BASE64 + b"\r\n" + marked_parts), KEYS)
    nested = b"x" * (LEAST_HIDDEN_OCTETS // MAX_HIDDEN_RATIO)
    for _ in range(MAX_HIDDEN_RATIO + 1):
        nested = RFC822 + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + nested
    with pytest.raises(TooComplex):
        carries_marked(parse(nested), KEYS)


def test_a_long_file_of_names_and_values_is_no_message() -> None:
    lines = base64.encodebytes(b"name: value\n" * 30_000)
    part = b"Content-Type: application/yaml\r\n" + BASE64
    assert not carries_marked(parse(attached(part, lines)), KEYS)
