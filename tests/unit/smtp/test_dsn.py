"""Parameters that ask for notifications: what their grammar allows, octet for octet."""

import pytest

from smime_proxy.smtp.dsn import is_envid, is_notify, is_orcpt, is_ret


@pytest.mark.parametrize("value", ["FULL", "hdrs"])
def test_ret_says_how_much_comes_back(value: str) -> None:
    assert is_ret(value)


@pytest.mark.parametrize("value", ["", "BODY", "FULL,HDRS"])
def test_ret_says_nothing_else(value: str) -> None:
    assert not is_ret(value)


@pytest.mark.parametrize("value", ["QQ314159", "a+2Bb+20c", "x" * 100, "<1@x.example>", "+09"])
def test_an_envelope_has_a_name_in_xtext(value: str) -> None:
    assert is_envid(value)


@pytest.mark.parametrize(
    "value", ["", "x" * 101, "a+b", "a+2b", "a+0D+0A", "a+E9", "a=b", "a b", "+7F", "a+"]
)
def test_a_name_that_is_no_xtext_or_not_printable_is_refused(value: str) -> None:
    assert not is_envid(value)


@pytest.mark.parametrize("value", ["NEVER", "never", "SUCCESS", "Success,FAILURE,delay"])
def test_notify_is_never_or_some_occasions(value: str) -> None:
    assert is_notify(value)


@pytest.mark.parametrize("value", ["", "NEVER,SUCCESS", "SUCCESS,", "ALWAYS", "SUCCESS, DELAY"])
def test_notify_is_nothing_else(value: str) -> None:
    assert not is_notify(value)


@pytest.mark.parametrize(
    "value",
    [
        "rfc822;Bob@example.org",
        "RFC822;a+2Bb@example.org",
        "x400;/S=Bob/".replace("=", "+3D"),
        r"utf-8;\x{E4}bc@example.org",
        r"UTF-8;\x{1F600}@\x{10FFFF}.example",
        r"utf-8;\x{2B}\x{3D}\x{5C}\x{20}@example.org",
        "rfc822;" + "x" * 493,
    ],
)
def test_the_original_recipient_has_a_type_and_an_address(value: str) -> None:
    assert is_orcpt(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bob@example.org",
        "rfc822;",
        ";Bob@example.org",
        "rfc 822;a",
        "rfc822;a+0A@example.org",
        "rfc822;a+C3+A4@example.org",
        "rfc822;" + "x" * 494,
        r"utf-8;\x{D800}@example.org",
        r"utf-8;\x{110000}@example.org",
        r"utf-8;\x{0E4}@example.org",
        r"utf-8;\x{e4}@example.org",
        r"utf-8;\x{0D}@example.org",
        r"utf-8;\x{85}@example.org",
        r"utf-8;\x{E4@example.org",
        r"utf-8;\n@example.org",
        "utf-8;a+2B@example.org",
        "utf-8;ä@example.org",
    ],
)
def test_an_original_recipient_that_is_none_is_refused(value: str) -> None:
    assert not is_orcpt(value)
