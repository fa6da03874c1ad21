"""The mail that goes through every layout: letters, invitations, reports, what others sealed.

RFC 5322, 5546, 3464, 3834, 8551.
"""

import itertools
import subprocess
from pathlib import Path

from tests.e2e.conftest import ALICE, OUTSIDE
from tests.peers import require

SECRET = "what nobody else may read"
INVITATION = (
    "MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n",
    "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n.dot\r\n\ttab \r\nEND:VCALENDAR",
)
_REPORTED = """--b

Nobody there.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; x@example.net
Action: failed
Status: 5.1.1

--b--"""
_REPORT_FIELDS = (
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
)
REPORT = (_REPORT_FIELDS, _REPORTED.replace("\n", "\r\n"))
EIGHT_BIT = ("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n", "Grüße aus Köln")
_numbers = itertools.count(1)


def fresh() -> str:
    """Give an identifier no other message has."""
    return f"{next(_numbers)}@client.example"


def letter(
    identifier: str, sender: str = ALICE, to: str = OUTSIDE, more: str = "", text: str = SECRET
) -> bytes:
    """Write a message; `more` are further fields."""
    return (
        f"Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nFrom: {sender}\r\nTo: {to}\r\n"
        f"Subject: Hello\r\nMessage-ID: <{identifier}>\r\n{more}\r\n{text}\r\n"
    ).encode()


def sealed(files: Path, identifier: str, sender: str, to: str, *names: str) -> bytes:
    """Let openssl encrypt a letter with the certificates of some names."""
    inner = f"Content-Type: text/plain\r\n\r\n{SECRET}\r\n".encode()
    certificates = [str(files / f"{name}.pem") for name in names]
    entity = _openssl("-encrypt", "-aes256", *certificates, raw=inner)
    head = letter(identifier, sender, to).partition(b"\r\n\r\n")[0] + b"\r\n"
    return head + entity.replace(b"\n", b"\r\n")


def signed(files: Path, identifier: str, sender: str, to: str, name: str, text: str) -> bytes:
    """Let openssl sign a text."""
    inner = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n".encode()
    pair = ("-signer", str(files / f"{name}.pem"), "-inkey", str(files / f"{name}.key"))
    entity = _openssl("-sign", *pair, raw=inner)
    head = letter(identifier, sender, to).partition(b"\r\n\r\n")[0] + b"\r\n"
    return head + entity.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def verified(files: Path, raw: bytes) -> bytes:
    """Verify a clear signature against the authority; gives what was signed."""
    return _openssl("-verify", "-CAfile", str(files / "root.pem"), raw=raw)


def intact(raw: bytes) -> bytes:
    """Verify a clear signature and not whose it is; gives what was signed."""
    return _openssl("-verify", "-noverify", raw=raw)


def readable(files: Path, raw: bytes, name: str) -> bytes:
    """Open mail with somebody's key."""
    key = ("-inkey", str(files / f"{name}.key"))
    return _openssl("-decrypt", "-recip", str(files / f"{name}.pem"), *key, raw=raw)


def _openssl(*arguments: str, raw: bytes) -> bytes:
    line = [str(require("openssl")), "cms", *arguments]
    return subprocess.run(line, input=raw, capture_output=True, check=True).stdout
