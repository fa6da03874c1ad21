"""Invitations and answers of the collections leave untouched; all other calendar mail is signed.

RFC 6047 2.4 (iMIP), RFC 5546 1.4 (methods); what is expected is read by Python's mail reader.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Role
from smime_proxy.smtp.intake import normalise
from tests.corpus import BOUNDARY, SENDER, Everybody, is_passed, mails, send, sender_of
from tests.fakes import DATE, World
from tests.peers import corpora

pytestmark = pytest.mark.corpora

MEETING = ("REQUEST", "REPLY", "COUNTER", "DECLINECOUNTER", "CANCEL", "ADD", "REFRESH")
NO_INVITATIONS = {"message-non-invite.eml", "message-containing-event.eml"}  # both say PUBLISH

METHOD = re.compile(
    rb"^METHOD(?:;[^:\r\n]*)?:[ \t]*([A-Z-]+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE
)
HEAD = (
    f"From: {SENDER}\r\nTo: someone@example.net\r\nSubject: Calendar\r\nDate: {DATE}\r\n"
    "Message-ID: <1@example.test>\r\nMIME-Version: 1.0\r\n"
).encode()


def method_in(ics: bytes) -> str:
    """Give the METHOD of a calendar, or an empty text."""
    found = METHOD.search(re.sub(rb"\r?\n[ \t]", b"", ics))
    return found[1].decode().upper() if found else ""


def is_invitation(message: "Message[str, str]") -> bool:
    """Read a mail whose calendar parts name their method as a parameter, as all here do."""
    if message.is_multipart():
        parts = message.get_payload()
        assert isinstance(parts, list)
        return message.get_content_maintype() == "multipart" and any(
            is_invitation(part) for part in parts if isinstance(part, Message)
        )
    method = str(message.get_param("method", "")).upper()
    return message.get_content_type() == "text/calendar" and method in MEETING


async def treatment(world: World, raw: bytes) -> str:
    """Send a mail and tell what became of it."""
    sender = sender_of(raw)
    reply = await send(world, raw, Role.OUTBOUND, sender or parse_mailbox(SENDER))
    assert reply.code == 250
    content = world.outside.sent.pop().content
    if is_passed(raw, content):
        return "passed"
    return "signed" if BOUNDARY.search(content) else "changed"


async def test_invitations_of_other_clients_pass_and_other_calendar_mail_is_signed() -> None:
    """E23, E24, E26."""
    counts: Counter[str] = Counter()
    world = World(directory=Everybody())
    with capture_logs():
        for mail in mails("calendar", "thunderbird-imip"):
            name = mail.name.rpartition("/")[2]
            invitation = is_invitation(message_from_bytes(mail.raw))
            assert invitation == (name not in NO_INVITATIONS), name
            became = await treatment(world, mail.raw)
            assert became == ("passed" if invitation else "signed"), name
            counts[became] += 1
    print(dict(counts))
    assert counts == {"passed": 14, "signed": 2}


def calendars() -> Iterator[tuple[str, bytes]]:
    """Give each `.ics` file with CRLF line ends, and again with every method it could have."""
    files = sorted(corpora("calendar").rglob("*.ics"))
    for path in files:
        yield path.name, normalise(path.read_bytes())
    for number, path in enumerate(files):
        ics = normalise(path.read_bytes())
        if ics.startswith(b"BEGIN:VCALENDAR\r\n") and not re.search(rb"METHOD", ics, re.IGNORECASE):
            method = (*MEETING, "PUBLISH", "X-OTHER")[number % (len(MEETING) + 2)]
            line = f"METHOD:{method}\r\n".encode()
            yield f"{path.name} with {method}", ics.replace(b"\r\n", b"\r\n" + line, 1)


def root_with_parameter(ics: bytes) -> bytes:
    method = method_in(ics)
    parameter = f"; method={method}" if method else ""
    return HEAD + f"Content-Type: text/calendar{parameter}\r\n{BASE64}".encode() + encoded(ics)


def root_without_parameter(ics: bytes) -> bytes:
    fields = (
        b"Content-Type: text/calendar; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return HEAD + fields + ics


def alternative_without_parameter(ics: bytes) -> bytes:
    part = f"Content-Type: text/calendar\r\n{BASE64}".encode() + encoded(ics)
    return multipart(b"alternative", b"\r\nSee calendar.", part)


def attached_without_parameter(ics: bytes) -> bytes:
    fields = f'Content-Type: text/calendar; name="a.ics"\r\n{ATTACHMENT}{BASE64}'
    return multipart(b"mixed", b"\r\nSee attachment.", fields.encode() + encoded(ics))


BASE64 = "Content-Transfer-Encoding: base64\r\n\r\n"
ATTACHMENT = 'Content-Disposition: attachment; filename="a.ics"\r\n'


def multipart(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return HEAD + b"Content-Type: multipart/" + kind + b"; boundary=b\r\n\r\n" + body + b"--b--\r\n"


def encoded(ics: bytes) -> bytes:
    return base64.encodebytes(ics).replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("wrap", "counts_by_method"),
    [
        (root_with_parameter, True),
        (root_without_parameter, True),
        (alternative_without_parameter, True),
        (attached_without_parameter, False),
    ],
)
async def test_calendar_files_in_mail_go_by_their_method(
    wrap: Callable[[bytes], bytes], counts_by_method: bool
) -> None:
    """E24, E26: METHOD counts in the body too, but not in an attachment."""
    counts: Counter[str] = Counter()
    world = World(directory=Everybody())
    with capture_logs():
        for name, ics in calendars():
            method = method_in(ics)
            invitation = method in MEETING and counts_by_method
            became = await treatment(world, wrap(ics))
            assert became == ("passed" if invitation else "signed"), (name, method)
            counts[f"{became}: {method or 'no method'}"] += 1
    print(wrap.__name__, sum(counts.values()), dict(sorted(counts.items())))
    assert sum(counts.values()) > 240
    assert {f"signed: {method}" for method in ("PUBLISH", "X-OTHER", "no method")} <= set(counts)
    became = "passed" if counts_by_method else "signed"
    assert {f"{became}: {method}" for method in MEETING} <= set(counts)
