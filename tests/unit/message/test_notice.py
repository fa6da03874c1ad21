"""Mail of our own: marked as automatic, nothing of it can be smuggled in."""

from email import message_from_bytes, policy

from smime_proxy.address import parse_mailbox
from smime_proxy.message.notice import MAX_SUBJECT, notice
from tests.pki import NOW


def written(subject: str = "Hello", text: str = "One.\nTwo.\n", to: str = "a@example.com") -> bytes:
    return notice(
        hostname="mail.example.com",
        recipient=parse_mailbox(to),
        subject=subject,
        text=text,
        identifier="1234",
        date=NOW,
    )


def test_it_is_a_complete_mail_that_says_it_is_automatic() -> None:
    raw = written(text="Grüße.\n\nA line.\n")
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["From"] == "smime-proxy <MAILER-DAEMON@mail.example.com>"
    assert parsed["To"] == "a@example.com"
    assert parsed["Subject"] == "Hello"
    assert parsed["Message-ID"] == "<1234@mail.example.com>"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["Date"].datetime == NOW
    assert parsed.get_content().splitlines() == ["Grüße.", "", "A line."]
    assert raw.isascii()


def test_its_lines_end_with_crlf_and_are_short() -> None:
    raw = written(text="word " * 500)
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_nothing_smuggles_fields_in() -> None:
    raw = written("One\r\nBcc: eve@example.org", "a\x00b\x1b[1m")
    assert b"Subject: One??Bcc: eve@example.org\r\n" in raw
    assert b"\x00" not in raw
    assert b"\x1b" not in raw


def test_a_subject_is_bounded() -> None:
    assert b"Subject: " + b"x" * MAX_SUBJECT + b"\r\n" in written("x" * 1000)


def test_an_international_recipient_is_written_as_he_is() -> None:
    assert "To: <jürgen@example.com>\r\n".encode() in written(to="jürgen@example.com")
