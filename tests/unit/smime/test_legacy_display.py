"""What repeats the Subject for old readers goes, and nothing that only looks like it."""

import base64

import pytest

from smime_proxy.message.entity import decode_octets
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.legacy_display import MAX_DISPLAY, without_legacy_display
from smime_proxy.smime.protected_headers import find_protected

SHOWN = b"Subject: Dinner plans\r\n\r\n"
TEXT = b"Let's meet at eight.\r\n\r\nBob: bring wine.\r\n"
DIVISION = (
    b'<div class="header-protection-legacy-display">\r\n'
    b"<pre>Subject: Dinner plans</pre>\r\n</div>\r\n"
)
HTML = b"<html><head><title></title></head><body>\r\n%s<p>Let's meet.</p></body></html>\r\n"


def left(root: bytes) -> bytes:
    found = find_protected(parse(root), HeaderBlock(b""))
    assert found is not None
    return bytes(without_legacy_display(found))


def leaf(body: bytes, kind: str = "text/plain", more: str = '; hp="cipher"') -> bytes:
    head = f'Content-Type: {kind}; charset=utf-8; hp-legacy-display="1"{more}\r\n'
    return head.encode() + b"Subject: Dinner plans\r\n\r\n" + body


def multipart(kind: str, *parts: bytes, more: str = '; hp="cipher"') -> bytes:
    head = f"Content-Type: multipart/{kind}; boundary={kind}{more}\r\n\r\n".encode()
    mark = b"--" + kind.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def test_e40_the_pseudo_header_leaves_marked_text_and_nothing_else_does() -> None:
    """E40: RFC 9788 4.5.3.2."""
    assert left(leaf(SHOWN + TEXT)) == leaf(TEXT)
    folded = b"Subject: Dinner\r\n plans\r\nCc: carol@example.test\r\n\r\n"
    assert left(leaf(folded + TEXT)) == leaf(TEXT)
    assert left(leaf((SHOWN + TEXT).replace(b"\r\n", b"\n"))).endswith(TEXT.replace(b"\r\n", b"\n"))


def test_e40_the_division_leaves_marked_html() -> None:
    """E40: RFC 9788 4.5.3.3."""
    assert left(leaf(HTML % DIVISION, "text/html")) == leaf(HTML % b"", "text/html")
    nested = DIVISION.replace(b"</pre>", b"</pre><div>more</div>")
    unclosed = DIVISION.replace(b"</div>", b"")
    later = b"<p>x</p>" + DIVISION
    for kept in (nested, unclosed, later, b"<div>Subject: x</div>"):
        assert left(leaf(HTML % kept, "text/html")) == leaf(HTML % kept, "text/html")


@pytest.mark.parametrize(
    "root",
    [
        leaf(SHOWN + TEXT).replace(b'; hp-legacy-display="1"', b""),
        leaf(SHOWN + TEXT, more='; hp="clear"'),
        leaf(SHOWN + TEXT, more='; hp="cipher"').replace(b'display="1"', b'display="0"'),
        leaf(TEXT),
        leaf(b"Dear Bob:\r\nSubject: x\r\n\r\n" + TEXT),
        leaf(b"\r\n" + SHOWN + TEXT),
        leaf(b"Subject: " + b"x" * MAX_DISPLAY + b"\r\n\r\n" + TEXT),
        leaf(SHOWN + TEXT, "text/calendar"),
        leaf(b"Subject: no end\r\n"),
    ],
)
def test_what_is_not_exactly_a_legacy_display_stays(root: bytes) -> None:
    assert left(root) == root


def test_encoded_text_stays_encoded() -> None:
    encoding = b"Content-Transfer-Encoding: base64\r\n"
    found = left(encoding + leaf(base64.encodebytes(SHOWN + TEXT)))
    assert found.startswith(encoding)
    assert decode_octets(parse(found).body, "base64") == TEXT
    quoted = b"Content-Transfer-Encoding: quoted-printable\r\n"
    found = left(quoted + leaf(SHOWN + b"Gr=C3=BC=C3=9Fe,=\r\n Bob\r\n"))
    assert decode_octets(parse(found).body, "quoted-printable") == "Grüße, Bob\r\n".encode()
    unclear = quoted + leaf(SHOWN + b"100 =% \r\n")
    assert left(unclear) == unclear


def test_e40_only_the_main_parts_lose_it_and_a_phony_mark_elsewhere_is_ignored() -> None:
    """E40: RFC 9787 7.1; an attachment may quote such a mail."""
    plain, markup = leaf(SHOWN + TEXT, more=""), leaf(HTML % DIVISION, "text/html", more="")
    attached = b"Content-Disposition: attachment\r\n" + plain
    both = multipart("alternative", plain, markup, more="")
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + plain
    root = multipart("mixed", both, plain, attached, forwarded)
    shown = multipart(
        "alternative", leaf(TEXT, more=""), leaf(HTML % b"", "text/html", more=""), more=""
    )
    assert left(root) == multipart("mixed", shown, plain, attached, forwarded)
    assert left(multipart("mixed", attached, plain)) == multipart("mixed", attached, plain)
    assert left(multipart("related", plain, markup)) == multipart(
        "related", leaf(TEXT, more=""), markup
    )


DISPLAY = b'Content-Type: text/plain; protected-headers="v1"\r\nContent-Disposition: inline\r\n\r\n'
V1 = '; protected-headers="v1"'


def test_e40_the_older_display_part_goes_with_its_delimiter() -> None:
    """E40: as Enigmail and others wrote it."""
    shown = b"Content-Type: text/plain\r\n\r\n" + TEXT
    for display in (DISPLAY, DISPLAY.replace(b"text/plain", b"text/rfc822-headers")):
        root = multipart("mixed", display + b"Subject: Dinner plans\r\n", shown, more=V1)
        assert left(root) == multipart("mixed", shown, more=V1)


@pytest.mark.parametrize(
    "parts",
    [
        (DISPLAY + b"Subject: x\r\nPay Eve.\r\n", b"\r\nx"),
        (DISPLAY + b"", b"\r\nx"),
        (DISPLAY + b"Subject: x", b"\r\nx", b"\r\ny"),
        (DISPLAY.replace(b"inline", b"attachment") + b"Subject: x", b"\r\nx"),
        (DISPLAY.replace(b'"v1"', b'"v2"') + b"Subject: x", b"\r\nx"),
        (DISPLAY.replace(b"text/plain", b"text/html") + b"Subject: x", b"\r\nx"),
        (DISPLAY + b"Subject: " + b"x" * MAX_DISPLAY, b"\r\nx"),
    ],
)
def test_another_first_part_stays(parts: tuple[bytes, ...]) -> None:
    root = multipart("mixed", *parts, more=V1)
    assert left(root) == root
    alternative = multipart("alternative", DISPLAY + b"Subject: x", b"\r\nx", more=V1)
    assert left(alternative) == alternative
