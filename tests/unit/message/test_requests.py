import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.encoded_word import encode_text
from smime_proxy.message.errors import BadRequest
from smime_proxy.message.header import HeaderBlock, decode_text
from smime_proxy.message.requests import (
    DEFAULT_WORDS,
    NO_WORDS,
    Request,
    Requests,
    asks_by_sensitivity,
    read_requests,
    strip_own_fields,
    strip_requests,
)


def subject(value: str) -> HeaderBlock:
    return HeaderBlock(b"A: b\r\nSubject: " + value.encode() + b"\r\nC: d\r\n")


def asked(value: str) -> set[str]:
    requests = read_requests(subject(value), DEFAULT_WORDS)
    return {name for name in ("sign", "encrypt", "plain") if getattr(requests, name)}


@pytest.mark.parametrize(
    ("value", "words", "left"),
    [
        ("[encrypt] Hello", {"encrypt"}, "Hello"),
        ("[Encrypt]Hello", {"encrypt"}, "Hello"),
        ("[sign] [ENCRYPT]  Hello", {"sign", "encrypt"}, "Hello"),
        ("Re: [encrypt] Hello", {"encrypt"}, "Re: Hello"),
        ("RE: AW:Fwd: [sign] Hello", {"sign"}, "RE: AW:Fwd: Hello"),
        ("[encrypt] Re: [sign] Hello", {"encrypt", "sign"}, "Re: Hello"),
        ("Re[2]: Antw: WG: [encrypt] x", {"encrypt"}, "Re[2]: Antw: WG: x"),
        ("Re:\r\n [encrypt]\r\n Hello", {"encrypt"}, "Re:\r\n Hello"),
        ("Re:\r\n [encrypt]", {"encrypt"}, "Re:"),
        ("R: I: [encrypt] Hello", {"encrypt"}, "R: I: Hello"),
        ("\u0130LT: YML: TRS: FS: [encrypt] x", {"encrypt"}, "\u0130LT: YML: TRS: FS: x"),
        (
            "\u0391\u03a0: \u03a3\u03c7\u03b5\u03c4: [encrypt] x",
            {"encrypt"},
            "\u0391\u03a0: \u03a3\u03c7\u03b5\u03c4: x",
        ),
        ("\u8fd4\u4fe1: \u8ee2\u9001: [encrypt] x", {"encrypt"}, "\u8fd4\u4fe1: \u8ee2\u9001: x"),
        (
            "\u05ea\u05d2\u05d5\u05d1\u05d4: [encrypt] x",
            {"encrypt"},
            "\u05ea\u05d2\u05d5\u05d1\u05d4: x",
        ),
        ("\u0631\u062f: [encrypt] x", {"encrypt"}, "\u0631\u062f: x"),
        ("Antw.: [encrypt] x", {"encrypt"}, "Antw.: x"),
        ("TR\u00a0:\u00a0[encrypt] x", {"encrypt"}, "TR\u00a0:\u00a0x"),
        ("\u56de\u590d\uff1a\u3000[encrypt]\u3000x", {"encrypt"}, "\u56de\u590d\uff1a\u3000x"),
        ("\ufeff[encrypt] x", {"encrypt"}, "\ufeffx"),
        ("\u200b[encrypt] x", {"encrypt"}, "\u200bx"),
        ("[encrypt]  a  [sign]", {"encrypt"}, "a  [sign]"),
        ("[encrypt] =?iso-8859-1?q?gr=FC?=", {"encrypt"}, "=?iso-8859-1?q?gr=FC?="),
        ("[encrypt] gr\u00fc\u00dfe", {"encrypt"}, "gr\u00fc\u00dfe"),
    ],
)
def test_words_at_the_start_are_requests_and_only_they_go(
    value: str, words: set[str], left: str
) -> None:
    assert asked(value) == words
    stripped = bytes(strip_requests(subject(value), DEFAULT_WORDS))
    assert stripped == bytes(subject(left))


def test_a_subject_of_nothing_but_words_is_left_empty() -> None:
    assert asked("[plain]") == {"plain"}
    for value in ("[plain]", "[plain] ", "[plain]\r\n  [sign]"):
        stripped = strip_requests(subject(value), DEFAULT_WORDS)
        assert bytes(stripped) == b"A: b\r\nSubject:\r\nC: d\r\n"


@pytest.mark.parametrize(
    "value",
    [
        "Hello [encrypt]",
        "Hello",
        "",
        "encrypt Hello",
        "[encrypted] Hello",
        "[other] [encrypt] Hello",
        "About: [encrypt]",
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?= [encrypt]",
        "Reg: [encrypt]",
    ],
)
def test_words_elsewhere_are_text(value: str) -> None:
    assert asked(value) == set()
    assert strip_requests(subject(value), DEFAULT_WORDS) == subject(value)


@pytest.mark.parametrize(
    ("value", "words", "left"),
    [
        ("=?utf-8?q?=5Bencrypt=5D_Gr=C3=BC=C3=9Fe?=", {"encrypt"}, "Gr\u00fc\u00dfe"),
        ("=?utf-8?b?W2VuY3J5cHRdIEdyw7zDn2U=?=", {"encrypt"}, "Gr\u00fc\u00dfe"),
        ("Re: =?utf-8?q?=5Bsign=5D_x?= y", {"sign"}, "Re: x y"),
        ("[sign] =?utf-8?q?=5Bencrypt=5D_=C3=BC?=", {"sign", "encrypt"}, "\u00fc"),
        ("=?utf-8?q?[encrypt]?=\r\n =?utf-8?q?_x?=", {"encrypt"}, "x"),
    ],
)
def test_words_inside_encoded_words_count_and_go(value: str, words: set[str], left: str) -> None:
    assert asked(value) == words
    stripped = strip_requests(subject(value), DEFAULT_WORDS)
    assert decode_text(stripped.first("subject") or "") == left
    assert [field.name for field in stripped.fields] == ["a", "subject", "c"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120))
def test_the_rest_of_the_subject_reads_the_same(text: str) -> None:
    rest = "x" + text.strip()
    stripped = strip_requests(subject(encode_text("[encrypt] " + rest)), DEFAULT_WORDS)
    assert decode_text(stripped.first("subject") or "") == rest


def test_a_subject_of_blanks_costs_no_more_than_its_length() -> None:
    assert asked(f"Re{' ' * 100_000}x") == set()
    assert asked(f"Re{' ' * 50_000}[2]{' ' * 50_000}") == set()


def test_words_can_be_others_or_off() -> None:
    words = {"Vertraulich:": Request.ENCRYPT}
    assert read_requests(subject("vertraulich: x"), words).encrypt
    assert not read_requests(subject("[encrypt] x"), words)
    assert not read_requests(subject("[encrypt] x"), NO_WORDS)
    assert strip_requests(subject("[encrypt] x"), NO_WORDS) == subject("[encrypt] x")


def test_request_fields_say_yes_or_are_refused() -> None:
    block = HeaderBlock(b"X-SMIME-Sign: Yes\r\nx-smime-encrypt : yes \r\n")
    assert read_requests(block, DEFAULT_WORDS) == Requests(sign=True, encrypt=True)
    for value in (b"no", b"", b"yes please", b"=?utf-8?q?yes?="):
        with pytest.raises(BadRequest):
            read_requests(HeaderBlock(b"X-SMIME-Encrypt: " + value + b"\r\n"), DEFAULT_WORDS)
    with pytest.raises(BadRequest):
        read_requests(HeaderBlock(b"X-SMIME-Sign: yes\r\nX-SMIME-Sign: no\r\n"), DEFAULT_WORDS)


def test_a_request_folded_before_its_colon_is_not_dropped_but_read() -> None:
    """What is removed as a request and not read as one would leave in clear."""
    block = HeaderBlock(b"X-SMIME-Encrypt\r\n : yes\r\nA: b\r\n")
    assert read_requests(block, DEFAULT_WORDS).encrypt
    assert bytes(strip_requests(block, DEFAULT_WORDS)) == b"A: b\r\n"


def test_own_fields_go_and_nothing_else() -> None:
    """E07."""
    block = HeaderBlock(
        b"X-SMIME-Badge: green\r\nSubject: [sign] x\r\nx-smime-any :\r\n folded\r\nX-SMIMEX: y\r\n"
    )
    assert bytes(strip_own_fields(block)) == b"Subject: [sign] x\r\nX-SMIMEX: y\r\n"
    assert bytes(strip_requests(block, DEFAULT_WORDS)) == b"Subject: x\r\nX-SMIMEX: y\r\n"
    assert strip_own_fields(subject("x")) == subject("x")


@pytest.mark.parametrize(
    "name",
    [
        b"X-SMI\0ME-Badge",
        b"\0X-SMIME-Badge",
        b"X-SMIME-Badge\x0b",
        b"X-SMIME-Badge\xa0",
        b"\xef\xbb\xbfX-SMIME-Badge",
        b"X-S\xc2\xadMIME-Badge",
        b"X-SMIME-\r\n Badge",
    ],
)
def test_an_own_field_with_what_some_readers_drop_from_its_name_goes_too(name: bytes) -> None:
    """E08: servers strip NUL, and programs what they cannot show."""
    block = HeaderBlock(b"From: a@b.c\r\n" + name + b": green\r\nTo: d@e.f\r\n")
    assert bytes(strip_own_fields(block)) == b"From: a@b.c\r\nTo: d@e.f\r\n"


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_an_own_field_folded_before_its_colon_goes_too(line_end: str) -> None:
    """E08: readers that unfold before they look for the colon would take it for one of ours."""
    forged = (
        f"X-SMIME-Badge{line_end} : green{line_end}X-SMIME-Lock \t{line_end}\t {line_end} : green"
    )
    block = HeaderBlock(f"{forged}{line_end}X-Kept{line_end} : y{line_end}".encode())
    assert bytes(strip_own_fields(block)) == f"X-Kept{line_end} : y{line_end}".encode()


def test_every_subject_field_is_read_and_stripped() -> None:
    block = HeaderBlock(b"Subject: a\r\nSubject: [encrypt] b")
    assert read_requests(block, DEFAULT_WORDS).encrypt
    assert bytes(strip_requests(block, DEFAULT_WORDS)) == b"Subject: a\r\nSubject: b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"Company-Confidential", True), (b"company-CONFIDENTIAL ", True), (b"Private", False)],
)
def test_company_confidential_can_ask_for_encryption(value: bytes, expected: bool) -> None:
    assert asks_by_sensitivity(HeaderBlock(b"Sensitivity: " + value + b"\r\n")) is expected
    assert not asks_by_sensitivity(HeaderBlock(b"A: b\r\n"))
