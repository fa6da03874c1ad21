import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.settings.fields import (
    Bind,
    Scheme,
    UpstreamUrl,
    choice,
    read_account_pattern,
    read_bind,
    read_domain,
    read_hostname,
    read_key_uri,
    read_list,
    read_network,
    read_required_bind,
    read_sent_copy,
    read_size,
    read_upstream_url,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("50MB", 50_000_000), ("50 MiB", 52_428_800), (1024, 1024), ("7", 7), ("2kB", 2000)],
)
def test_a_size_is_read_with_its_unit(text: str | int, octets: int) -> None:
    assert read_size(text) == octets


@pytest.mark.parametrize("text", ["", "MB", "50 horses", "-1", "1.5MB", True, None, "1e9"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a size such as 50MB"):
        read_size(text)


@given(st.integers(min_value=0, max_value=10**14))
def test_a_shown_size_is_read_back(octets: int) -> None:
    assert read_size(show_size(octets)) == octets


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:25", Bind("127.0.0.1", 25)),
        ("[::1]:2525", Bind("::1", 2525)),
        ("localhost:8026", Bind("localhost", 8026)),
        ("", None),
    ],
)
def test_a_bind_is_read_and_written_back(text: str, bind: Bind | None) -> None:
    assert read_bind(text) == bind
    assert str(bind or "") == text


@pytest.mark.parametrize(
    "text",
    ["25", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:25", "[::g]:25", "a b:25", ":25"],
)
def test_what_is_no_bind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|brackets"):
        read_bind(text)


def test_a_listener_needs_a_bind() -> None:
    with pytest.raises(ValueError, match="it is empty"):
        read_required_bind("")


def test_a_single_address_is_a_network() -> None:
    assert read_network("::1") == ipaddress.ip_network("::1/128")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "everybody"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an IP address or network"):
        read_network(text)


@pytest.mark.parametrize(
    ("given_value", "entries"),
    [('["a", "b"]', ["a", "b"]), ("a, b", ["a", "b"]), ("", []), (["a"], ["a"])],
)
def test_a_list_is_read_from_json_or_commas(given_value: object, entries: list[str]) -> None:
    assert read_list(given_value) == entries


def test_domains_fold_to_lower_case_a_labels() -> None:
    assert read_domain("Bücher.Example") == "xn--bcher-kva.example"


@pytest.mark.parametrize("text", ["mail_1.example", "-a.example", "a..b", "", "a" * 64])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a host name"):
        read_hostname(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [("*", "*"), ("*@Example.COM", "*@example.com"), ("A@Example.com", "a@example.com")],
)
def test_account_patterns_fold(text: str, folded: str) -> None:
    assert read_account_pattern(text) == folded


@pytest.mark.parametrize("text", ["example.com", "a*@example.com x", "@example.com", "*@"])
def test_what_is_no_account_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        read_account_pattern(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("smtp://relay.example", UpstreamUrl(Scheme.SMTP, "relay.example", 25)),
        ("smtps://[::1]", UpstreamUrl(Scheme.SMTPS, "::1", 465)),
        ("smtp://10.0.0.1:587", UpstreamUrl(Scheme.SMTP, "10.0.0.1", 587)),
        ("lmtp://store.example", UpstreamUrl(Scheme.LMTP, "store.example", 24)),
        ("lmtp:///run/lmtp", UpstreamUrl(Scheme.LMTP, path=Path("/run/lmtp"))),
        ("maildir:///var/mail/x", UpstreamUrl(Scheme.MAILDIR, path=Path("/var/mail/x"))),
    ],
)
def test_upstream_urls_are_read(text: str, url: UpstreamUrl) -> None:
    assert read_upstream_url(text) == url
    assert read_upstream_url(str(url)) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("relay.example:25", "must start with"),
        ("http://relay.example", "must start with"),
        ("lmtp:///", "without a path"),
        ("lmtp://store.example/run/lmtp", "without a path"),
        ("smtp://", "without a path"),
        ("smtp://relay.example/inbox", "without a path"),
        ("smtp://relay.example:99999", "is not a URL"),
        ("smtp://relay.example:0", "port 0"),
        ("smtp://relay.example?tls=no", r"neither \? nor #"),
        ("maildir://var/mail", "three slashes"),
        ("maildir:///", "three slashes"),
    ],
)
def test_upstream_urls_that_cannot_work_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_upstream_url(text)


def test_credentials_in_an_upstream_url_are_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="no credentials") as caught:
        read_upstream_url("smtp://proxy:hunter2@relay.example")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "upstream:archive", "maildir:///srv/{address}/sent"])
def test_places_of_sent_copies_are_accepted(text: str) -> None:
    assert read_sent_copy(text) == text


@pytest.mark.parametrize(
    "text",
    ["upstream:", "archive", "maildir://sent", "maildir:///srv/{user}", "maildir:///srv/../etc"],
)
def test_other_places_of_sent_copies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|knows"):
        read_sent_copy(text)


def test_a_choice_names_its_values() -> None:
    assert choice("a", "b")("b") == "b"
    with pytest.raises(ValueError, match="must be a or b, not 'c'"):
        choice("a", "b")("c")


def test_a_uri_of_a_key_is_read_or_refused_with_the_reason() -> None:
    assert read_key_uri("") == ""
    assert read_key_uri("pkcs11:object=a") == "pkcs11:object=a"
    with pytest.raises(ValueError, match="names no key"):
        read_key_uri("pkcs11:token=a")
