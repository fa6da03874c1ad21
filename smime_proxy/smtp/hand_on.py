"""What an upstream is told of where a message came from: XFORWARD, XCLIENT, or a PROXY header.

Postfix XFORWARD_README and XCLIENT_README; HAProxy's "The PROXY protocol" 2.2.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

import structlog

from smime_proxy.envelope import Origin
from smime_proxy.smtp.attributes import MAX_VALUE, write_address, write_attribute
from smime_proxy.smtp.proxy_protocol import Ends

MAX_COMMAND = 510  # octets without CRLF, RFC 5321 4.5.3.1.4
_HELO = re.compile(r"[A-Za-z0-9._:\[\]-]+")

_log = structlog.get_logger(__name__)


def ends_of(origin: Origin | None) -> Ends | None:
    """Give the ends for a PROXY header; None where the client is not known, or there is none."""
    if origin is None or not origin.address:
        return None
    return Ends(origin.address, origin.port, origin.local_address, origin.local_port)


def xforward_lines(origin: Origin | None, offered: Collection[str]) -> tuple[bytes, ...]:
    """Write the XFORWARD commands for a message, with the attributes that are `offered`.

    What is not known is said to be unavailable, so that the upstream fills in nothing of ours.
    Mail of our own, without an origin, has none.
    """
    if origin is None:
        return ()
    values = {
        "NAME": origin.name,
        "ADDR": write_address(origin.address),
        "PORT": str(origin.port or ""),
        "PROTO": origin.protocol,
        "HELO": origin.helo,
        "IDENT": origin.identifier,
        "SOURCE": origin.source,
    }
    pairs = [_pair(keyword, value) for keyword, value in values.items() if keyword in offered]
    return tuple(f"XFORWARD{line}\r\n".encode() for line in _lines(pairs, MAX_COMMAND - 8))


def xclient_line(origin: Origin, offered: Collection[str], *, with_login: bool) -> bytes:
    """Write the one XCLIENT command for a client, without CRLF; b"" when nothing is offered.

    One, for the next would take back HELO, PROTO and LOGIN. What does not fit is left out, the
    least important first: HELO and PROTO are said by EHLO again. `with_login` is false where we
    log in ourselves.
    """
    values = {
        "ADDR": write_address(origin.address),
        "PORT": str(origin.port or ""),
        # Without a name the upstream would keep that of our own host.
        "NAME": origin.name,
        "LOGIN": origin.login if with_login else "",
        "DESTADDR": write_address(origin.local_address),
        "DESTPORT": str(origin.local_port or ""),
        "PROTO": "SMTP" if origin.protocol == "SMTP" else "ESMTP",
        "HELO": origin.helo,
    }
    line = b"XCLIENT"
    for keyword, value in values.items():
        pair = b" " + _pair(keyword, value).encode()
        if keyword in offered and len(line) + len(pair) <= MAX_COMMAND:
            line += pair
    return line if b" " in line else b""


def ehlo_name(origin: Origin, own: str) -> str:
    """Give the name to introduce a client by: its own, where one can be said."""
    return origin.helo if _HELO.fullmatch(origin.helo) else own


@lru_cache
def tell_of_lack(upstream: str, extension: str) -> None:
    """Log once that an upstream does not take what it should be told."""
    _log.warning("client_info_not_offered", upstream=upstream, extension=extension)


@lru_cache
def tell_of_refusal(upstream: str, reply: str) -> None:
    """Log once that an upstream refused XFORWARD; mail goes on without."""
    _log.warning("xforward_refused", upstream=upstream, reply=reply)


def _pair(keyword: str, value: str) -> str:
    pair = write_attribute(keyword, value)
    return pair if len(pair) - len(keyword) - 1 <= MAX_VALUE else write_attribute(keyword, "")


def _lines(pairs: Iterable[str], limit: int) -> Iterator[str]:
    line = ""
    for pair in pairs:
        if line and len(line) + 1 + len(pair) > limit:
            yield line
            line = ""
        line += f" {pair}"
    if line:
        yield line
