"""The arguments of MAIL and RCPT: one strict grammar on octets, nothing decoded, nothing guessed.

RFC 5321 4.1.1.2, 4.1.1.3, 4.1.2 (paths, parameters), RFC 1870, 6152, 6531 (SIZE, BODY, SMTPUTF8),
RFC 3461 (RET, ENVID, NOTIFY, ORCPT), RFC 8689 (REQUIRETLS), draft-hall-prdr-00 (PRDR).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from smime_proxy.address import AddressError, Mailbox, parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.dsn import is_envid, is_notify, is_orcpt, is_ret

MAX_PATH_OCTETS = 256  # with the angle brackets, RFC 5321 4.5.3.1.3
MAX_SIZE_DIGITS = 20  # RFC 1870 3

_PATH = rb'<((?:"(?:[^"\\]|\\.)*"|[^<>" ])*)>'
# Blanks after the colon are no RFC syntax, but many clients send them and they change nothing.
_MAIL = re.compile(rb"FROM: *" + _PATH + rb"(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_RCPT = re.compile(rb"TO: *" + _PATH + rb"(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r"([A-Z0-9][A-Z0-9-]*)(?:=([!-<>-~]+))?", re.IGNORECASE | re.ASCII)
_ROUTING = frozenset("%!@")
_Judge: TypeAlias = Callable[[str, str | None, Extensions], Reply | None]

_MAIL_SYNTAX = Reply(501, EnhancedStatus(5, 4), "Syntax: MAIL FROM:<address>")
_RCPT_SYNTAX = Reply(501, EnhancedStatus(5, 4), "Syntax: RCPT TO:<address>")
_BAD_SENDER = Reply(501, EnhancedStatus(1, 7), "The sender is not a valid address")
_BAD_RECIPIENT = Reply(501, EnhancedStatus(1, 3), "The recipient is not a valid address")
_ROUTED = Reply(550, EnhancedStatus(7, 1), "Addresses with a route are refused")
_NEEDS_UTF8 = Reply(553, EnhancedStatus(6, 7), "An address beyond ASCII needs MAIL with SMTPUTF8")
_BAD_PARAMETER = Reply(501, EnhancedStatus(5, 4), "A parameter is malformed or repeated")
_UNKNOWN_PARAMETER = Reply(555, EnhancedStatus(5, 4), "A parameter is not recognised")


@dataclass(frozen=True, slots=True)
class MailArgument:
    """What MAIL said; `size` is the declared size in octets, 0 when none was declared.

    `prdr` is between the client and us: it is not among the parameters, which concern all hops.
    """

    reverse_path: Mailbox | None
    parameters: tuple[str, ...] = ()
    size: int = 0
    smtputf8: bool = False
    requiretls: bool = False
    prdr: bool = False


def read_mail(argument: bytes, offered: Extensions) -> MailArgument | Reply:
    """Read the argument of MAIL; a Reply is its refusal (RFC 5321 4.1.1.2).

    Parameters are kept as written. Those of extensions count only when `offered`.
    """
    match = _MAIL.fullmatch(argument)
    if match is None:
        return _MAIL_SYNTAX
    parameters = _split(match[2])
    known = _known(parameters, offered, _judge_mail)
    if isinstance(known, Reply):
        return known
    utf8 = "SMTPUTF8" in known
    path = match[1]
    sender = None if not path else _read_mailbox(path, _BAD_SENDER, _BAD_SENDER, utf8=utf8)
    if isinstance(sender, Reply):
        return sender
    size, requiretls, prdr = int(known.get("SIZE", "0")), "REQUIRETLS" in known, "PRDR" in known
    if prdr:
        parameters = tuple(one for one in parameters if one.upper() != "PRDR")
    return MailArgument(sender, parameters, size, utf8, requiretls, prdr)


def read_rcpt(
    argument: bytes, hostname: str, offered: Extensions, *, smtputf8: bool
) -> ForwardPath | Reply:
    """Read the argument of RCPT; a Reply is its refusal (RFC 5321 4.1.1.3).

    `<postmaster>` alone means the one at `hostname` (RFC 5321 4.5.1). Source routes and further
    `@` are refused as attempts to relay, though RFC 5321 would have routes stripped.
    """
    match = _RCPT.fullmatch(argument)
    if match is None:
        return _RCPT_SYNTAX
    parameters = _split(match[2])
    known = _known(parameters, offered, _judge_rcpt)
    if isinstance(known, Reply):
        return known
    path = match[1]
    if path.lower() == b"postmaster":
        path += b"@" + hostname.encode("ascii")
    mailbox = _read_mailbox(path, _BAD_RECIPIENT, _ROUTED, utf8=smtputf8)
    return mailbox if isinstance(mailbox, Reply) else ForwardPath(mailbox, parameters)


def is_routed(mailbox: Mailbox) -> bool:
    """Tell whether the local part asks the next hop to relay on: `a%b`, `b!a`, `"a@b"`.

    What Postfix calls sender-specified routing; it refuses it from strangers too.
    """
    return not _ROUTING.isdisjoint(mailbox.key.rpartition("@")[0])


def _read_mailbox(path: bytes, bad: Reply, routed: Reply, *, utf8: bool) -> Mailbox | Reply:
    if len(path) + 2 > MAX_PATH_OCTETS:
        return bad
    if _QUOTED.sub(b"", path).count(b"@") > 1:
        return routed
    if not utf8 and not path.isascii():
        return _NEEDS_UTF8
    try:
        return parse_mailbox(path.decode())
    except (AddressError, UnicodeDecodeError):
        return bad


def _split(raw: bytes | None) -> tuple[str, ...]:
    # Latin-1 keeps every octet; the grammar below then refuses those beyond ASCII.
    return tuple(word for word in raw.decode("latin-1").split(" ") if word) if raw else ()


def _known(
    parameters: tuple[str, ...], offered: Extensions, judge: _Judge
) -> dict[str, str] | Reply:
    known: dict[str, str] = {}
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return _BAD_PARAMETER
        keyword = match[1].upper()
        fault = judge(keyword, match[2], offered)
        if fault is not None:
            return fault
        if keyword in known:
            return _BAD_PARAMETER
        known[keyword] = match[2] or ""
    return known


def _judge_mail(keyword: str, value: str | None, offered: Extensions) -> Reply | None:
    match keyword:
        case "SIZE":
            good = value is not None and value.isdigit() and len(value) <= MAX_SIZE_DIGITS
            return _unless(good)
        case "BODY" if value is not None:
            bodies = ("7BIT", "8BITMIME") if offered.eightbitmime else ("7BIT",)
            return None if value.upper() in bodies else _UNKNOWN_PARAMETER
        case "SMTPUTF8" if offered.smtputf8:
            return None if value is None else _BAD_PARAMETER
        case "REQUIRETLS" if value is None:
            return None if offered.requiretls else reply_for("no_requiretls")
        case "PRDR" if offered.prdr:
            return None if value is None else _BAD_PARAMETER
        case "RET" if offered.dsn:
            return _unless(is_ret(value or ""))
        case "ENVID" if offered.dsn:
            return _unless(is_envid(value or ""))
        case _:
            return _UNKNOWN_PARAMETER


def _judge_rcpt(keyword: str, value: str | None, offered: Extensions) -> Reply | None:
    match keyword:
        case "NOTIFY" if offered.dsn:
            return _unless(is_notify(value or ""))
        case "ORCPT" if offered.dsn:
            return _unless(is_orcpt(value or ""))
        case _:
            return _UNKNOWN_PARAMETER


def _unless(good: bool) -> Reply | None:  # noqa: FBT001 - what it judges is its only argument
    return None if good else _BAD_PARAMETER
