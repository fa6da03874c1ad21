from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.message.report import (
    MAX_RETURNED_OCTETS,
    FailedRecipient,
    ReportText,
    delivery_report,
    may_be_answered,
)
from smime_proxy.reply import EnhancedStatus, Reply

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
PARTNER = parse_mailbox("partner@example.org")
TEAM = parse_mailbox("team@example.test")
REFUSED = Reply(550, EnhancedStatus(7, 4), "<team@example.test> reads no encrypted mail")
ORIGINAL = (
    b"Received: from secret\r\nFrom: partner@example.org\r\nTo: team@example.test\r\n"
    b"Subject: hello\r\n there\r\nMessage-ID: <1@example.org>\r\nX-Canary: hidden\r\n"
)


def report(*failed: FailedRecipient, header: bytes = ORIGINAL, to: str = str(PARTNER)) -> bytes:
    return delivery_report(
        reporting_mta="mail.example.com",
        recipient=parse_mailbox(to),
        failed=failed or (FailedRecipient(TEAM, REFUSED, ("Send it again without encryption.",)),),
        text=ReportText("Undelivered", ("This is the mail system.",), ("",)),
        original_header=header,
        identifier="4abc",
        date=AT,
    )


def test_a_report_is_a_complete_multipart_report() -> None:
    """E69."""
    entity = parse(report())
    assert entity.content_type.full == "multipart/report"
    assert entity.content_type.parameters["report-type"] == "delivery-status"
    assert [child.content_type.full for child in entity.children] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert entity.defects == ()
    header = entity.header
    assert header.first("to") == "<partner@example.org>"
    assert header.first("from") == "Mail Delivery System <MAILER-DAEMON@mail.example.com>"
    assert header.first("auto-submitted") == "auto-replied"
    assert header.first("date") == "Tue, 3 Feb 2026 04:05:06 +0000"
    assert header.first("message-id") == "<4abc@mail.example.com>"
    assert report().isascii()
    assert report().count(b"\n") == report().count(b"\r\n")


def test_the_text_names_the_address_and_what_to_do() -> None:
    """E69."""
    text = parse(report()).children[0].body.decode("ascii")
    assert "<team@example.test> (5.7.4)\r\n    Send it again without encryption.\r\n" in text


def test_the_status_is_read_by_the_standard_library() -> None:
    """E69."""
    second = FailedRecipient(
        parse_mailbox("other@example.test"), Reply(550, None, "no\nno"), ("x",)
    )
    first = FailedRecipient(TEAM, REFUSED, ("x",))
    status: Any = message_from_bytes(report(first, second)).get_payload(1)
    per_message, one, two = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mail.example.com"
    assert one["Final-Recipient"] == "rfc822; team@example.test"
    assert one["Action"] == "failed"
    assert one["Status"] == "5.7.4"
    assert one["Diagnostic-Code"] == f"smtp; {REFUSED}"
    assert two["Status"] == "5.0.0"
    assert two["Diagnostic-Code"] == "smtp; 550 no no"


def test_only_harmless_fields_of_the_original_return() -> None:
    """E69: nothing of the mail that could carry content or hidden recipients."""
    returned = parse(report()).children[2].body
    assert returned == (
        b"From: partner@example.org\r\nTo: team@example.test\r\nSubject: hello\r\n there\r\n"
        b"Message-ID: <1@example.org>\r\n"
    )


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: a\rBcc: b\r\n",
        b"Subject: " + b"x" * 1000 + b"\r\n",
        b"Subject: gr\xc3\xbc\r\n",
        b"no field\r\n",
        b"",
    ],
)
def test_fields_that_are_long_or_raw_do_not_return(header: bytes) -> None:
    assert parse(report(header=header)).children[2].body == b""


def test_what_returns_is_bounded() -> None:
    returned = parse(report(header=b"To: a@example.org\r\n" * 10_000)).children[2].body
    assert 0 < len(returned) <= MAX_RETURNED_OCTETS


def test_a_hostile_reply_stays_on_one_line_of_ascii() -> None:
    """E69: the text of another server is not in the part people read."""
    reply = Reply(550, EnhancedStatus(1, 1), "x\r\nBcc: eve\u00e9@x.org" + "y" * 2000)
    entity = parse(report(FailedRecipient(TEAM, reply, ("advice",))))
    assert b"Bcc" not in entity.children[0].body
    lines = entity.children[1].body.split(b"\r\n")
    assert not any(line.startswith(b"Bcc") for line in lines)
    assert all(len(line) < 998 for line in lines)


def test_international_addresses_are_written_as_rfc_6533_says() -> None:
    failed = FailedRecipient(parse_mailbox("b\u00fcro@example.test"), REFUSED, ("x",))
    raw = report(failed)
    assert b"Final-Recipient: utf-8; b\\x{FC}ro@example.test\r\n" in raw
    assert raw.isascii()
    assert "To: <b\u00fcro@example.org>".encode() in report(to="b\u00fcro@example.org")


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Auto-Submitted: no\r\n",
        b"Precedence: first-class\r\n",
        b"Content-Type: multipart/mixed\r\n",
    ],
)
def test_ordinary_mail_may_be_answered(fields: bytes) -> None:
    """E68."""
    assert may_be_answered(HeaderBlock(fields), PARTNER)


@pytest.mark.parametrize(
    "fields",
    [
        b"Auto-Submitted: auto-replied\r\n",
        b"Auto-Submitted: Auto-Generated (x)\r\n",
        b"Auto-Submitted: no\r\nAuto-Submitted: auto-notified\r\n",
        b"Precedence: Bulk\r\n",
        b"Precedence: list\r\n",
        b"Precedence: junk\r\n",
        b"List-Id: <x.example>\r\n",
        b"List-Unsubscribe: <mailto:x@example.org>\r\n",
        b"Content-Type: Multipart/Report; report-type=delivery-status\r\n",
    ],
)
def test_automatic_and_bulk_mail_is_never_answered(fields: bytes) -> None:
    """E68."""
    assert not may_be_answered(HeaderBlock(fields), PARTNER)


@pytest.mark.parametrize(
    "reverse_path",
    [
        None,
        "MAILER-DAEMON@example.org",
        "postmaster@example.org",
        "owner-list@example.org",
        "list-bounces@example.org",
        "list-request@example.org",
        "MAILER-DAEMON@mail.example.com",
    ],
)
def test_machines_lists_and_we_ourselves_are_never_answered(reverse_path: str | None) -> None:
    """E68."""
    sender = parse_mailbox(reverse_path) if reverse_path else None
    assert not may_be_answered(HeaderBlock(b""), sender)


def test_each_language_has_its_opening_advice_and_closing_in_order() -> None:
    text = ReportText("Größe", ("Eins.\n\nZwei.", "One."), ("Ende.", ""))
    raw = delivery_report(
        reporting_mta="mail.example.com",
        recipient=PARTNER,
        failed=[FailedRecipient(TEAM, REFUSED, ("Für Sie.", "For you."))],
        text=text,
        original_header=ORIGINAL,
        identifier="4abc",
        date=AT,
    )
    assert raw.isascii()
    message: Any = message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "Größe"
    assert message.get_payload(0).get_content().replace("\r\n", "\n").rstrip("\n") == (
        "Eins.\n\nZwei.\n\n<team@example.test> (5.7.4)\n    Für Sie.\n\nEnde.\n"
        "\n\nOne.\n\n<team@example.test> (5.7.4)\n    For you."
    )
