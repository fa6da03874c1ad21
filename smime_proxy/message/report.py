"""Delivery status notifications: what the sender is told about recipients that got nothing.

RFC 6522, RFC 3464 2 (multipart/report, delivery-status), RFC 3834 2 and 3.1 (when not to answer).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from quopri import encodestring
from textwrap import fill

from smime_proxy.address import Mailbox
from smime_proxy.message.encoded_word import encode_text
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.trace import format_date
from smime_proxy.reply import Reply

MAX_RETURNED_OCTETS = 8_192  # of the original header; a report must not carry content out
_MAX_DIAGNOSTIC = 900  # characters of the reply quoted, so that the line stays below 998
_WIDTH = 72  # columns, as people write mail; RFC 5322 2.1.1 asks for 78 at most
_INDENT = " " * 4
_MAX_RETURNED_FIELD = 998  # longer ones are left out: they hold lists or hidden text

# What helps the sender to recognise the mail; nothing a reader's program would act on.
_RETURNED = ("date", "from", "to", "cc", "subject", "message-id", "in-reply-to")
_LIST_FIELDS = ("list-id", "list-post", "list-unsubscribe", "list-help", "mailing-list")
_BULK = frozenset({"bulk", "list", "junk"})
_MACHINES = frozenset({"mailer-daemon", "postmaster", "noreply", "no-reply"})
_FOREIGN = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """One recipient that got nothing: the reply that says why, and what the sender can do.

    `advice` once for each language of the `ReportText`. `original` is what the
    sender's side called him, type and address, or "" (RFC 3464 2.3.1).
    """

    mailbox: Mailbox
    reply: Reply
    advice: tuple[str, ...]
    original: str = ""


@dataclass(frozen=True, slots=True)
class ReportText:
    """What stands around the recipients; one opening and closing a language, in their order.

    Lines end with LF; a closing may be empty.
    """

    subject: str
    openings: tuple[str, ...]
    closings: tuple[str, ...]


def delivery_report(
    *,
    reporting_mta: str,
    recipient: Mailbox,
    failed: Sequence[FailedRecipient],
    text: ReportText,
    original_header: bytes,
    identifier: str,
    date: datetime,
    envelope_id: str = "",
) -> bytes:
    """Write the notification to `recipient`, to be sent from the null reverse-path (E69).

    Holds a text in each language, message/delivery-status and the harmless fields of the original
    header. Nothing of the original mail stands in the text but addresses. `identifier` makes the
    Message-ID unique; `date` is aware; `envelope_id` is the sender's own name for the mail
    (RFC 3464 2).
    """
    mta = _ascii(reporting_mta)
    boundary = f"=_report_{_ascii(identifier)}"
    delimiter = f"--{boundary}\r\n"
    named = f"Original-Envelope-Id: {_ascii(envelope_id)}\r\n" if envelope_id else ""
    status = named + _status(mta, failed, date)
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@{mta}>\r\n"
        f"To: <{recipient}>\r\n"
        f"Subject: {encode_text(text.subject)}\r\n"
        f"Date: {format_date(date)}\r\n"
        f"Message-ID: <{_ascii(identifier)}@{mta}>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        f'\tboundary="{boundary}"\r\n\r\n'
    )
    body = (
        f"{delimiter}{_notification(_text(text, failed))}\r\n"
        f"{delimiter}Content-Type: message/delivery-status\r\n"
        f"Content-Description: Delivery report\r\n\r\n{status}\r\n"
        f"{delimiter}Content-Type: text/rfc822-headers\r\n"
        "Content-Description: Undelivered message headers\r\n\r\n"
    )
    returned = _returned_fields(original_header)
    return (head + body).encode() + returned + f"\r\n--{boundary}--\r\n".encode("ascii")


def may_be_answered(header: HeaderBlock, reverse_path: Mailbox | None) -> bool:
    """Tell whether a report on this mail may be sent at all (E68, RFC 3834 2).

    Not to the null reverse-path, to machines (ourselves too), to lists, to bulk mail, and never
    about an automatic mail or another report.
    """
    if reverse_path is None or reverse_path.local.lower() in _MACHINES:
        return False
    if reverse_path.local.lower().startswith("owner-") or _is_request_address(reverse_path):
        return False
    if any(_word(field.value) != "no" for field in header.find("auto-submitted")):
        return False
    if any(_word(field.value) in _BULK for field in header.find("precedence")):
        return False
    if any(header.find(name) for name in _LIST_FIELDS):
        return False
    kinds = (_word(field.value) for field in header.find("content-type"))
    return "multipart/report" not in kinds


def _is_request_address(mailbox: Mailbox) -> bool:
    """Tell list servers' own addresses (RFC 3834 2)."""
    return mailbox.local.lower().endswith(("-request", "-bounces", "-owner"))


def _word(value: str) -> str:
    return value.partition(";")[0].partition("(")[0].strip().lower()


def _text(text: ReportText, failed: Sequence[FailedRecipient]) -> str:
    sections = []
    for number, opening in enumerate(text.openings):
        told = "".join(
            f"\n<{each.mailbox}> ({each.reply.enhanced or each.reply.code})\n"
            f"{_filled(each.advice[number], _INDENT)}\n"
            for each in failed
        )
        closing = f"\n{text.closings[number]}\n" if text.closings[number] else ""
        paragraphs = "\n\n".join(_filled(part) for part in opening.split("\n\n"))
        sections.append(f"{paragraphs}\n{told}{closing}")
    return "\n\n".join(sections)


def _filled(text: str, indent: str = "") -> str:
    """Break text at blanks only, so that addresses stay whole."""
    return fill(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _notification(text: str) -> str:
    """Write the part for people: plain where ASCII will do, else UTF-8 in quoted-printable."""
    if text.isascii():
        head, body = "us-ascii\r\n", "\r\n".join(text.split("\n"))
    else:
        head = "utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        body = encodestring(text.encode()).decode("ascii").replace("\n", "\r\n")
    return (
        f"Content-Type: text/plain; charset={head}Content-Description: Notification\r\n\r\n{body}"
    )


def _status(mta: str, failed: Sequence[FailedRecipient], date: datetime) -> str:
    message = f"Reporting-MTA: dns; {mta}\r\nArrival-Date: {format_date(date)}\r\n"
    return message + "".join(
        f"\r\n{_original(each)}Final-Recipient: {_typed(each.mailbox)}\r\n"
        "Action: failed\r\n"
        f"Status: {each.reply.enhanced or '5.0.0'}\r\n"
        f"Diagnostic-Code: smtp; {_line(each.reply)}\r\n"
        for each in failed
    )


def _original(failed: FailedRecipient) -> str:
    return f"Original-Recipient: {_ascii(failed.original)}\r\n" if failed.original else ""


def _typed(mailbox: Mailbox) -> str:
    if mailbox.is_ascii:
        return f"rfc822; {mailbox}"
    # RFC 6533 3: utf-8-addr-unitext would make the whole report need SMTPUTF8.
    escaped = "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in str(mailbox))
    return f"utf-8; {escaped}"


def _line(reply: Reply) -> str:
    return _ascii(str(reply))[:_MAX_DIAGNOSTIC]


def _ascii(text: str) -> str:
    return _FOREIGN.sub("?", text)


def _returned_fields(original_header: bytes) -> bytes:
    kept: list[bytes] = []
    size = 0
    for field in HeaderBlock(original_header).fields:
        lines = field.raw.splitlines()
        if any(not line.startswith((b" ", b"\t")) for line in lines[1:]):
            continue  # a lone CR inside the field
        raw = b"\r\n".join((*lines, b""))
        too_long = len(raw) > _MAX_RETURNED_FIELD or size + len(raw) > MAX_RETURNED_OCTETS
        if field.name in _RETURNED and raw.isascii() and not too_long:
            kept.append(raw)
            size += len(raw)
    return b"".join(kept)
