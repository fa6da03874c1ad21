"""The trace: one Received field a hop, written safely, counted to notice loops.

RFC 5321 4.4 (trace information) and 6.3 (loops), RFC 5322 3.3 (dates), RFC 3848 (with words).
"""

import ipaddress
import re
from datetime import UTC, datetime
from functools import lru_cache

from smime_proxy.address import Mailbox
from smime_proxy.message.header import HeaderBlock

MAX_RECEIVED = 50  # fields before a message counts as looping; RFC 5321 6.3 allows 100
_UNKNOWN = "unknown"  # a client nobody can name
_MAX_HELO = 255  # a domain's length, RFC 5321 4.5.3.1.2
_CACHED_PEERS = 1024  # the few clients nearly all mail comes from; bounds memory
_MAX_TOKEN = 64  # of protocol and identifier, which are ours

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HELO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:\-]*[A-Za-z0-9])?|\[[A-Za-z0-9.:]+\]")
_FOREIGN = re.compile(r"[^A-Za-z0-9._\-]")


def received_field(
    *,
    helo: str,
    peer: str,
    hostname: str,
    protocol: str,
    identifier: str,
    recipient: Mailbox | None,
    at: datetime,
) -> bytes:
    """Write our Received field, folded, ended by CRLF (RFC 5321 4.4).

    `helo` is whatever the client called itself: what is no domain or literal is written
    `unknown`. `peer` is its IP address or `unknown`, anything else for a local socket. `recipient`
    is given only when there is exactly one, so that no Bcc is disclosed. `at` is aware.
    """
    lines = [
        f"Received: from {_helo(helo)} ({_peer(peer)})",
        f"\tby {_host(hostname)} with {_token(protocol)} id {_token(identifier)}",
    ]
    if recipient is not None and recipient.is_ascii:
        lines.append(f"\tfor <{recipient}>")
    return ("\r\n".join(lines) + f";\r\n\t{format_date(at)}\r\n").encode("ascii")


def received_count(header: HeaderBlock) -> int:
    """Count the Received fields (RFC 5321 6.3); more than `MAX_RECEIVED` is a loop."""
    return len(header.find("received"))


def format_date(at: datetime) -> str:
    """Write an aware time as a date-time of RFC 5322 3.3, in UTC, whatever the locale."""
    utc = at.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    clock = f"{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
    return f"{day}, {utc.day} {month} {utc.year:04} {clock} +0000"


def _helo(text: str) -> str:
    return text if len(text) <= _MAX_HELO and _HELO.fullmatch(text) else _UNKNOWN


def _host(text: str) -> str:
    return _FOREIGN.sub("", text)[:_MAX_HELO] or _UNKNOWN


@lru_cache(_CACHED_PEERS)
def _peer(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text if text == _UNKNOWN else "local"
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"  # noqa: PLR2004


def _token(text: str) -> str:
    return _FOREIGN.sub("", text)[:_MAX_TOKEN] or _UNKNOWN
