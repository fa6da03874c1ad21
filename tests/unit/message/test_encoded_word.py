import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.message.encoded_word import (
    MAX_DECODED_TEXT,
    decode_base64,
    decode_charset,
    decode_text,
    encode_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?gr=C3=BC=C3=9Fe?=", "grüße"),
        ("=?UTF-8?b?Z3LDvMOfZQ==?=", "grüße"),
        ("=?iso-8859-1?q?gr=FC=DFe_x?= y", "grüße x y"),
        ("a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d"),
        ("a =?utf-8?q?b?= x =?utf-8?q?c?=", "a b x c"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8?b?w7w?=", "ü"),
        ("=?utf-8*de?q?=C3=BC?=", "ü"),
        ("=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "aü"),
        ("=?windows-1252?q?=80?=", "€"),
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("=?utf-8?q?=5B=65ncrypt=5D?=", "[encrypt]"),
        ("=?x-unknown?q?a?= b", "=?x-unknown?q?a?= b"),
        ("=?punycode?q?a?=", "=?punycode?q?a?="),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?=?=?", "=?=?=?"),
        ("", ""),
    ],
)
def test_encoded_words_are_decoded(value: str, text: str) -> None:
    assert decode_text(value) == text


def test_decoding_stops_at_the_cap() -> None:
    assert len(decode_text("=?utf-8?q?a?= x" * 100_000)) <= MAX_DECODED_TEXT


@given(st.text(max_size=200))
def test_text_that_is_encoded_decodes_to_itself(text: str) -> None:
    encoded = encode_text(text)
    assert encoded.isascii()
    assert all(len(line) <= 76 for line in encoded.split("\r\n ")) or encoded == text
    assert decode_text(encoded.replace("\r\n", "")) == text.encode(
        "utf-8", "surrogateescape" if text.isascii() else "replace"
    ).decode("utf-8", "replace")


@given(st.text(alphabet="=?utf-8QqBb_ aZ\udcff", max_size=80))
def test_decoding_never_raises(value: str) -> None:
    decode_text(value)


@pytest.mark.parametrize("name", ["idna", "unicode_escape", "hex", "zlib", "../x", "", "undefined"])
def test_only_charsets_of_mail_are_looked_up(name: str) -> None:
    assert decode_charset(b"abc", name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("us-ascii", "UTF-8", "utf8", "utf-7", "utf-16", "iso-8859-15", "windows-1252"),
        *("windows-874", "cp1251", "gb2312", "gbk", "gb18030", "hz-gb-2312", "big5"),
        *("big5-hkscs", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "ks_c_5601-1987"),
        *("koi8-r", "koi8-u", "macintosh", "tis-620", "ansi_x3.4-1968", "latin1", "iso-8859-16"),
    ],
)
def test_charsets_in_use_are_known(name: str) -> None:
    assert decode_charset(b"", name) is not None


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        (b"YWJj", b"abc"),
        (b"YW\r\nJj\r\n", b"abc"),
        (b"YWI", b"ab"),
        (b"YWJjZ", b"abc"),
        (b"Y!W*J-j", b"abc"),
        (b"", b""),
        (b"Y", b""),
        (b"=", b""),
    ],
)
def test_base64_is_read_as_mail_has_it(raw: bytes, decoded: bytes) -> None:
    assert decode_base64(raw) == decoded


@given(st.binary())
def test_base64_reading_never_raises_and_undoes_encoding(raw: bytes) -> None:
    decode_base64(raw)
    assert decode_base64(binascii.b2a_base64(raw)) == raw
