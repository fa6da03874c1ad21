"""Text of people in ASCII, and the lines that administrators write."""

import pytest

from smime_proxy.gateway.spelling import MAX_CONTACT, in_ascii, read_line


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Schlüssel größer Öl Übel Ähre", "Schluessel groesser Oel Uebel Aehre"),
        ("u\u0308ber", "ueber"),
        ("café naïve", "cafe naive"),
        ("\u201eja\u201c \u2013 nein\u2026", '"ja" - nein...'),
        ("a\r\nb\x00", "a??b?"),
        ("почта", "?????"),
    ],
)
def test_letters_are_written_as_people_write_them(text: str, written: str) -> None:
    assert in_ascii(text) == written


def test_a_line_is_kept_as_it_was_written() -> None:
    assert read_line("  Büro: why? https://x.example/?a=1 ", MAX_CONTACT).startswith("Büro: why?")
    assert read_line("", MAX_CONTACT) == ""
    assert read_line("x" * MAX_CONTACT, MAX_CONTACT)


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00b", "a\u2028b", "\u202eab"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        read_line(text, MAX_CONTACT)


def test_what_has_no_ascii_form_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        read_line("Почта", MAX_CONTACT)


@pytest.mark.parametrize("text", ["x" * (MAX_CONTACT + 1), "ü" * (MAX_CONTACT // 2 + 1)])
def test_the_length_counts_as_replies_have_it(text: str) -> None:
    with pytest.raises(ValueError, match="at most 100"):
        read_line(text, MAX_CONTACT)
