"""NAME=value pairs of XCLIENT and XFORWARD."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.smtp.attributes import (
    AttributesError,
    harmless,
    read_address,
    read_attributes,
    read_host,
    read_port,
    write_address,
    write_attribute,
)

KNOWN = ("NAME", "ADDR", "HELO")


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        (b"NAME=a.example ADDR=192.0.2.1", {"NAME": "a.example", "ADDR": "192.0.2.1"}),
        (b"name=A  aDdR=[unavailable]", {"NAME": "A", "ADDR": "[unavailable]"}),
        (b"NAME=a+20b+3Dc+2b", {"NAME": "a b=c+"}),
        (b"NAME=J+C3+BCrgen", {"NAME": "Jürgen"}),
        (b"NAME=a+b", {"NAME": "a+b"}),
        (b"NAME=a=b", {"NAME": "a=b"}),
        (b"NAME=+FF", {"NAME": "\ufffd"}),
        (b"NAME=a NAME=b", {"NAME": "b"}),
        (b"NAME=" + b"x" * 255, {"NAME": "x" * 255}),
    ],
)
def test_pairs_are_read(argument: bytes, read: dict[str, str]) -> None:
    assert read_attributes(argument, KNOWN) == read


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        (b"", "Syntax"),
        (b"NAME", "Syntax"),
        (b"NAME=", "Syntax"),
        (b"NAME= a", "Syntax"),
        (b"=a", "not recognised"),
        (b"PORT=1", "not recognised"),
        (b"N\xc3\xa4ME=1", "not recognised"),
        (b"NAME=" + b"x" * 256, "too long"),
    ],
)
def test_what_is_no_pair_is_refused(argument: bytes, says: str) -> None:
    with pytest.raises(AttributesError, match=says) as caught:
        read_attributes(argument, KNOWN)
    assert str(caught.value.reply).startswith("501 5.5.4 ")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("IPV6:2001:DB8::1", "2001:db8::1"),
        ("ipv6:::ffff:192.0.2.1", "192.0.2.1"),
        ("[Unavailable]", "unknown"),
    ],
)
def test_addresses_are_read(value: str, address: str) -> None:
    assert read_address(value) == address


@pytest.mark.parametrize(
    "value",
    ["2001:db8::1", "IPV6:192.0.2.1", "IPV6:fe80::1%eth0", "[192.0.2.1]", "x", "192.0.2.01"],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(AttributesError):
        read_address(value)


def test_ports_are_read_and_numbers_beyond_them_refused() -> None:
    assert [read_port(text) for text in ("0", "65535", "[UNAVAILABLE]")] == [0, 65535, 0]
    for text in ("65536", "-1", "1x", "٣", "000001"):
        with pytest.raises(AttributesError):
            read_port(text)


def test_host_names_are_read() -> None:
    assert [read_host(text) for text in ("a_b.example", "[TEMPUNAVAIL]")] == ["a_b.example", ""]
    for text in ("a b", "-a", "a>", "ü"):
        with pytest.raises(AttributesError):
            read_host(text)


def test_what_could_forge_a_field_becomes_harmless() -> None:
    assert harmless("a\r\nb <c>(d);ü") == "a??b??c??d???"
    assert harmless("[unavailable]") == ""


@given(st.text(min_size=1, max_size=60))
def test_what_is_written_is_read_so(value: str) -> None:
    written = write_attribute("NAME", value)
    assert written.isascii()
    assert len(written.split()) == 1
    if len(written) <= 260:
        assert read_attributes(written.encode(), KNOWN) == {"NAME": value}


def test_nothing_is_written_as_unavailable() -> None:
    assert write_attribute("ADDR", write_address("")) == "ADDR=[UNAVAILABLE]"
    assert write_attribute("ADDR", write_address("2001:db8::1")) == "ADDR=IPV6:2001:db8::1"
    assert write_attribute("ADDR", write_address("192.0.2.1")) == "ADDR=192.0.2.1"
