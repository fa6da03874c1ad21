"""Where the authority's lists are reached is a plain URL or nothing."""

import pytest

from smime_proxy.settings.authority import Authority, read_base_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", ""),
        ("http://pki.example.com", "http://pki.example.com"),
        ("http://pki.example.com/", "http://pki.example.com"),
        ("http://pki.example.com:8026/smime/", "http://pki.example.com:8026/smime"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]:80"),
    ],
)
def test_a_url_comes_without_the_slash_at_its_end(text: str, url: str) -> None:
    assert Authority(url=text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "pki.example.com",
        "http://",
        "http:///crl",
        "https://pki.example.com",
        "ldap://pki.example.com",
        "http://user@pki.example.com",
        "http://pki.example.com:x",
        "http://pki.example.com:0",
        "http://pki.example.com?x=1",
        "http://pki.example.com#x",
        "http://pki.exämple.com",
        "http://pki.example.com/a b",
        "http://pki.example.com/a\nb",
        "http://[2001:db8::1",
    ],
)
def test_what_readers_could_not_follow_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no URL|must"):
        read_base_url(text)
