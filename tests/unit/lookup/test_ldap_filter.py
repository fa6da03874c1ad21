"""Search filters: RFC 4515 and what an address can not do to one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import ber
from smime_proxy.lookup.ldap_filter import read_filter

PAT = {"address": "pat@example.org", "local": "pat", "domain": "example.org"}


def encoded(text: str, **values: str) -> str:
    return read_filter(text).encode({**PAT, **values}).hex()


def string(octets: bytes, tag: int = 0x04) -> str:
    return (bytes((tag, len(octets))) + octets).hex()


MAIL, ADDRESS = string(b"mail"), string(b"pat@example.org")


def test_a_comparison_is_what_rfc_4511_says() -> None:
    assert encoded("(mail={address})") == f"a317{MAIL}{ADDRESS}"
    assert encoded("(mail>={address})") == f"a517{MAIL}{ADDRESS}"
    assert encoded("(mail<={address})") == f"a617{MAIL}{ADDRESS}"
    assert encoded("(mail~={address})") == f"a817{MAIL}{ADDRESS}"
    assert encoded("(mail=*)") == string(b"mail", 0x87)


def test_filters_nest() -> None:
    inner = f"a317{MAIL}{ADDRESS}"
    assert encoded("(&(mail={address})(!(mail=*)))") == (f"a021{inner}a206{string(b'mail', 0x87)}")
    assert encoded("(|(mail={address})(mail={address}))") == f"a132{inner}{inner}"


def test_asterisks_of_the_settings_part_substrings() -> None:
    parts = string(b"smtp:", 0x80) + string(b"pat@example.org", 0x81) + string(b"x", 0x82)
    assert encoded("(mail=smtp:*{address}*x)") == f"a423{MAIL}301b{parts}"
    assert encoded("(mail=*{local}*)") == f"a40d{MAIL}3005{string(b'pat', 0x81)}"
    assert encoded("(mail=**)") == string(b"mail", 0x87)


def test_extensible_matches_are_read() -> None:
    assert encoded("(uac:1.2.840.113556.1.4.803:=2)") == (
        "a9" + "20" + string(b"1.2.840.113556.1.4.803", 0x81) + string(b"uac", 0x82)
        + string(b"2", 0x83)
    )  # fmt: skip
    assert encoded("(cn:dn:=x)").endswith("8401ff")
    assert encoded("(:1.2.3:=x)") == "a90a" + string(b"1.2.3", 0x81) + string(b"x", 0x83)


def test_octets_may_be_written_in_hexadecimal() -> None:
    assert encoded(r"(cn=a\2a\28b)") == f"a30a{string(b'cn')}{string(b'a*(b')}"
    assert encoded("(cn=ü)") == f"a308{string(b'cn')}{string('ü'.encode())}"


@pytest.mark.parametrize(
    "address",
    ["*", "*)(uid=*", r"\2a", "a)(|(mail=*", "x\x00y", "{local}", '"a b"@example.org', "ü@b"],
)
def test_no_address_changes_what_a_filter_asks(address: str) -> None:
    """RFC 4515 3: what would have to be escaped in text is octets here."""
    for text in ("(mail={address})", "(&(objectClass=person)(mail=smtp:{address}))"):
        whole = ber.read_only(read_filter(text).encode({**PAT, "address": address}))
        plain = ber.read_only(read_filter(text).encode(PAT))
        assert shape(whole) == shape(plain)
        assert address.encode() in bytes(whole.encoding)


def shape(element: ber.Element) -> list[object]:
    return [element.tag, [shape(one) for one in element.children()] if element.tag & 0x20 else []]


@given(st.text())
def test_any_text_is_one_value(address: str) -> None:
    try:
        octets = address.encode()
    except UnicodeEncodeError:
        return
    item = ber.read_only(read_filter("(mail={address})").encode({**PAT, "address": address}))
    name, value = item.children()
    assert (bytes(name.contents), bytes(value.contents)) == (b"mail", octets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail={address}",
        "(mail={address}",
        "(mail={address}))",
        "(mail)",
        "(=x)",
        "(ma il=x)",
        "(-a=x)",
        "(&)",
        "(!(a=b)(c=d))",
        r"(a=\zz)",
        "(a={password})",
        "(a={address)",
        "(a=b\x00c)",
        "(a:1.2.3>=x)",
        "(" * 17 + ")" * 17,
        "(!" * 17 + "(a=b)" + ")" * 17,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|needs|names|may|is)"):
        read_filter(text)
