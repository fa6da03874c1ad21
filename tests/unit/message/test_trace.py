from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.address import parse_mailbox
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.trace import format_date, received_count, received_field

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
BOB = parse_mailbox("bob@example.test")


def received(
    helo: str = "client.example", peer: str = "192.0.2.1", recipient: str | None = None
) -> bytes:
    return received_field(
        helo=helo,
        peer=peer,
        hostname="mail.example.com",
        protocol="ESMTPS",
        identifier="4abc",
        recipient=parse_mailbox(recipient) if recipient else None,
        at=AT,
    )


def test_the_field_says_from_by_with_for_and_when() -> None:
    assert received(recipient="bob@example.test") == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\tby mail.example.com with ESMTPS id 4abc\r\n"
        b"\tfor <bob@example.test>;\r\n"
        b"\tTue, 3 Feb 2026 04:05:06 +0000\r\n"
    )


def test_without_a_sole_recipient_nobody_is_named() -> None:
    """E20."""
    assert b"for" not in received()
    assert b"for" not in received(recipient="b\u00fcb@example.test")


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("2001:db8::1", b"([IPv6:2001:db8::1])"),
        ("fe80::1%eth0", b"([IPv6:fe80::1])"),
        ("/run/socket", b"(local)"),
        ("", b"(local)"),
        ("unknown", b"(unknown)"),
        ("1.2.3.4)\r\nX: y", b"(local)"),
    ],
)
def test_the_peer_is_an_address_literal_or_local(peer: str, shown: bytes) -> None:
    assert shown in received(peer=peer)


@pytest.mark.parametrize("helo", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "host", "a_b.c-d.example"])
def test_a_proper_greeting_is_kept(helo: str) -> None:
    assert received(helo=helo).startswith(b"Received: from " + helo.encode() + b" (")


@pytest.mark.parametrize(
    "helo", ["", "a b", "a\r\nBcc: x", "x" * 256, "(comment", "h\u00f6st", ".x", "a;b", "\0", "[x"]
)
def test_a_hostile_greeting_becomes_unknown(helo: str) -> None:
    assert received(helo=helo).startswith(b"Received: from unknown (")


@given(st.text(), st.text(), st.text())
def test_whatever_a_client_says_the_trace_is_one_field(helo: str, peer: str, name: str) -> None:
    raw = received_field(
        helo=helo, peer=peer, hostname=name, protocol=name, identifier=name, recipient=BOB, at=AT
    )
    assert len(HeaderBlock(raw).fields) == 1
    assert all(len(line) < 998 for line in raw.split(b"\r\n"))
    assert raw.count(b"\n") == raw.count(b"\r\n") == 4


def test_received_fields_are_counted() -> None:
    """E89."""
    assert received_count(HeaderBlock(b"Received: a\r\nX: y\r\nreceived : b\r\n" + received())) == 3


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_dates_are_read_back_by_the_standard_library(naive: datetime) -> None:
    at = naive.replace(microsecond=0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert parsedate_to_datetime(format_date(at)) == at
