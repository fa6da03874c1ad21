"""Mail the program writes by itself to people it knows: plain text, marked as automatic.

RFC 5322 3.6, RFC 3834 5 (Auto-Submitted), RFC 2045 (UTF-8 text in quoted-printable).
"""

from datetime import datetime
from quopri import encodestring

from smime_proxy.address import Mailbox
from smime_proxy.message.trace import format_date

MAX_SUBJECT = 200  # characters; addresses are at most 254


def notice(
    *,
    hostname: str,
    recipient: Mailbox,
    subject: str,
    text: str,
    identifier: str,
    date: datetime,
) -> bytes:
    """Write a mail to be sent from the null reverse-path.

    `text` has lines ended by LF; `identifier` makes the Message-ID unique; `date` is aware. Control
    characters and, in the subject, what is not ASCII become question marks.
    """
    host = _ascii(hostname)
    header = (
        f"From: smime-proxy <MAILER-DAEMON@{host}>\r\n"
        f"To: <{recipient}>\r\n"
        f"Subject: {_ascii(subject)[:MAX_SUBJECT]}\r\n"
        f"Date: {format_date(date)}\r\n"
        f"Message-ID: <{_ascii(identifier)}@{host}>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    lines = (encodestring(_printable(line).encode()) for line in text.splitlines())
    body = b"".join(line.replace(b"\n", b"\r\n") + b"\r\n" for line in lines)
    return header.encode() + body


def _ascii(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
