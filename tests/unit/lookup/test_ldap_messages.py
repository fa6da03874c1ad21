"""LDAP messages: RFC 4511."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.ldap_messages import (
    BIND_RESPONSE,
    SEARCH_ENTRY,
    Limits,
    bind_request,
    read_entry,
    read_response,
    read_result,
    search_request,
    start_tls_request,
    unbind_request,
)


def octets(value: bytes) -> bytes:
    return der.element(der.OCTET_STRING, value)


def test_requests_are_the_octets_of_the_rfc() -> None:
    assert (
        bind_request(1, "cn=x", "pw").hex() == "3012020101600d020103" + "0404636e3d78" + "80027077"
    )
    assert bind_request(1, "", "ignored").hex() == "300c0201016007020103" + "0400" + "8000"
    assert unbind_request(2).hex() == "30050201024200"
    assert start_tls_request(3).hex() == (
        "301d020103" + "7718" + "8016" + b"1.3.6.1.4.1.1466.20037".hex()
    )
    search = search_request(4, "o=x", b"\x87\x01a", ["b"], Limits(8, 3))
    assert search.hex() == (
        "3021020104631c" + "04036f3d78" + "0a0102" + "0a0100" + "020108" + "020103" + "010100"
        "870161" + "3003040162"
    )


def test_an_entry_is_read_by_the_names_of_its_attributes() -> None:
    values = der.element(der.SET, octets(b"one"), octets(b"two"))
    attribute = der.element(der.SEQUENCE, octets(b"userCertificate;binary"), values)
    entry = der.element(SEARCH_ENTRY, octets(b"cn=x"), der.element(der.SEQUENCE, attribute))
    response = read_response(der.element(der.SEQUENCE, der.integer(7), entry))
    assert (response.identifier, response.kind) == (7, SEARCH_ENTRY)
    assert read_entry(response) == {"usercertificate;binary": [b"one", b"two"]}


def test_a_result_says_how_it_ended_on_one_line() -> None:
    ended = der.element(BIND_RESPONSE, b"\x0a\x01\x31", octets(b""), octets(b"in\r\nvalid"))
    result = read_result(read_response(der.element(der.SEQUENCE, der.integer(1), ended)))
    assert (result.code, result.diagnostic) == (49, "in valid")


@given(st.binary(max_size=200))
def test_nothing_a_server_says_raises_anything_else(raw: bytes) -> None:
    for octets_ in (raw, der.element(der.SEQUENCE, der.integer(1), der.element(0x64, raw))):
        for read in (read_entry, read_result):
            try:
                read(read_response(octets_))
            except LookupFailed:
                continue


def test_what_is_no_message_is_refused() -> None:
    for raw in (b"", b"\x30\x00", b"\x04\x01x", b"\x30\x03\x02\x01\x01"):
        with pytest.raises(LookupFailed):
            read_response(raw)
