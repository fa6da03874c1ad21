"""What libraries say is put into one line."""

from smime_proxy.certs.errors import one_line


def test_what_a_library_says_is_one_short_line() -> None:
    assert one_line(ValueError("bad\n  octets\tat 7 ")) == "bad octets at 7"
    assert one_line(ValueError("x" * 300)) == "x" * 200
    assert one_line(KeyError()) == "KeyError"
