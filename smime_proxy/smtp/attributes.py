"""The attributes of XCLIENT and XFORWARD: NAME=value pairs, xtext, and what each may hold.

Postfix XCLIENT_README and XFORWARD_README ("Command syntax"), RFC 3461 4 (xtext).
"""

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address

from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.admission import UNKNOWN_PEER, plain_address
from smime_proxy.smtp.errors import SmtpError

MAX_VALUE = 255  # octets of a value as sent; XFORWARD_README, note 1
UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY = "[TEMPUNAVAIL]"
NOT_LISTED = Reply(550, EnhancedStatus(7, 1), "You may not speak for other clients")
WITHIN_TRANSACTION = Reply(503, EnhancedStatus(5, 1), "Not within a transaction")

_IPV6 = "IPV6:"
_MAX_PORT = 65535  # 16 bits, RFC 9293 3.1
_ODD = re.compile(r"[^!-~]|[<>()\\\";@]")  # what would forge fields of a header or of the log
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+")
_UNSAFE = re.compile(rb"[^!-~]|[+=]")
_HEXCHAR = re.compile(rb"\+([0-9A-Fa-f]{2})")


class AttributesError(SmtpError):
    """A command is malformed; `reply` says which part of it (501)."""

    def __init__(self, text: str) -> None:
        """Keep the reply."""
        super().__init__(text)
        self.reply = Reply(501, EnhancedStatus(5, 4), text)


def read_attributes(argument: bytes, known: Collection[str]) -> Mapping[str, str]:
    """Read NAME=value pairs, names in upper case, values decoded; raises `AttributesError`.

    A value that is no xtext is taken as it is: Postfix before 2.3 and nginx send some so.
    """
    found: dict[str, str] = {}
    for pair in argument.split():
        name, equals, raw = pair.partition(b"=")
        keyword = name.decode("ascii", "replace").upper()
        if not equals or not raw:
            raise AttributesError("Syntax: attribute=value ...")
        if keyword not in known:
            raise AttributesError("An attribute is not recognised")
        if len(raw) > MAX_VALUE:
            raise AttributesError(f"The value of {keyword} is too long")
        found[keyword] = _decoded(raw)
    if not found:
        raise AttributesError("Syntax: attribute=value ...")
    return found


def is_unavailable(value: str) -> bool:
    """Tell whether a value says that there is none, in whatever letter case."""
    return value.upper() in {UNAVAILABLE, TEMPORARILY}


def read_host(value: str) -> str:
    """Read the NAME of a client, "" where there is none; raises `AttributesError`."""
    if is_unavailable(value):
        return ""
    if not _NAME.fullmatch(value):
        raise AttributesError("The value of NAME is no host name")
    return value


def read_address(value: str) -> str:
    """Read ADDR or DESTADDR, `UNKNOWN_PEER` where there is none; raises `AttributesError`."""
    if is_unavailable(value):
        return UNKNOWN_PEER
    try:
        if value.upper().startswith(_IPV6) and "%" not in value:
            return plain_address(str(IPv6Address(value[len(_IPV6) :])))
        return str(IPv4Address(value))
    except ValueError:
        raise AttributesError("An address is IPv4, or IPv6 behind IPV6:") from None


def read_port(value: str) -> int:
    """Read PORT or DESTPORT, 0 where there is none; raises `AttributesError`."""
    if is_unavailable(value):
        return 0
    digits = value.isascii() and value.isdigit() and len(value) <= len(str(_MAX_PORT))
    if not digits or int(value) > _MAX_PORT:
        raise AttributesError("A port is a number up to 65535")
    return int(value)


def harmless(value: str) -> str:
    """Give a value for the log and for others, "" where there is none; odd characters are `?`."""
    return "" if is_unavailable(value) else _ODD.sub("?", value)


def write_attribute(keyword: str, value: str) -> str:
    """Write one pair with its value in xtext, [UNAVAILABLE] for "" (RFC 3461 4)."""
    octets = (value or UNAVAILABLE).encode()
    return f"{keyword}=" + _UNSAFE.sub(lambda match: b"+%02X" % match[0][0], octets).decode()


def write_address(address: str) -> str:
    """Write an IP address as these commands do, "" as it is."""
    return f"{_IPV6}{address}" if ":" in address else address


def _decoded(raw: bytes) -> str:
    if _XTEXT.fullmatch(raw):
        raw = _HEXCHAR.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return raw.decode("utf-8", "replace")
