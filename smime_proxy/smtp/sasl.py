"""What a client says in an AUTH exchange, read strictly; no I/O and no judgement of a password.

RFC 4954 4 (initial response, continuation, `*`), RFC 4616 (PLAIN), RFC 4422 A (EXTERNAL),
draft-murchison-sasl-login.
"""

import binascii
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from smime_proxy.reply import EnhancedStatus, Reply

MAX_AUTH_OCTETS = 12288  # of a line in an exchange, without its line end; RFC 4954 4
MECHANISMS = (b"PLAIN", b"LOGIN")
EXTERNAL = b"EXTERNAL"

CANCELLED = Reply(501, EnhancedStatus(7, 0), "Authentication cancelled")
UNREADABLE = Reply(501, EnhancedStatus(5, 2), "Cannot decode this as base64")
MALFORMED = Reply(501, EnhancedStatus(5, 4), "Not what the mechanism asks for")
TOO_LONG = Reply(500, EnhancedStatus(5, 6), "Authentication line too long")
UNKNOWN_MECHANISM = Reply(504, EnhancedStatus(5, 4), "Mechanism not supported")

Ask = Callable[[bytes], Awaitable[bytes | None]]
"""Sends a challenge, in base64, and gives the client's line; None when the client is gone."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client proves who he is with; `authorise_as` is the authzid, "" for none."""

    login: str
    password: str = field(repr=False)
    authorise_as: str = ""

    @property
    def is_for_another(self) -> bool:
        """Tell whether he wants to act as somebody else than he proves to be (RFC 4616 2)."""
        return self.authorise_as not in ("", self.login)


async def read_credentials(argument: bytes, ask: Ask) -> Credentials | Reply:
    """Carry out one exchange; `argument` is what follows AUTH on its line (RFC 4954 4).

    Gives the reply for what is no sound exchange.
    """
    mechanism, _, initial = argument.partition(b" ")
    match mechanism.upper():
        case b"PLAIN":
            return await _plain(initial.strip(b" "), ask)
        case b"LOGIN":
            return await _login(initial.strip(b" "), ask)
        case _:
            return UNKNOWN_MECHANISM


async def read_external(argument: bytes, ask: Ask) -> str | Reply:
    """Carry out EXTERNAL and give whom the client wants to act as, "" for himself (RFC 4422 A).

    `argument` begins with the mechanism. Gives the reply for what is no sound exchange.
    """
    message = await _response(argument.partition(b" ")[2].strip(b" "), b"", ask)
    return MALFORMED if isinstance(message, str) and "\0" in message else message


async def _plain(initial: bytes, ask: Ask) -> Credentials | Reply:
    message = await _response(initial, b"", ask)
    if isinstance(message, Reply):
        return message
    parts = message.split("\0")
    if len(parts) != 3:  # noqa: PLR2004 - authzid, authcid, passwd: RFC 4616 2
        return MALFORMED
    authorise_as, login, password = parts
    return _credentials(login, password, authorise_as)


async def _login(initial: bytes, ask: Ask) -> Credentials | Reply:
    login = await _response(initial, b"Username:", ask)
    if isinstance(login, Reply):
        return login
    password = await _response(b"", b"Password:", ask)
    if isinstance(password, Reply):
        return password
    return _credentials(login, password)


def _credentials(login: str, password: str, authorise_as: str = "") -> Credentials | Reply:
    # NUL would move the borders when they are sent on by PLAIN.
    if not login or not password or "\0" in login + password:
        return MALFORMED
    return Credentials(login, password, authorise_as)


async def _response(initial: bytes, challenge: bytes, ask: Ask) -> str | Reply:
    """Decode the initial response, or what the client answers to the challenge."""
    line = initial or await ask(b64encode(challenge))
    if line is None or line == b"*":
        return CANCELLED
    if len(line) > MAX_AUTH_OCTETS:
        return TOO_LONG
    # "=" is an initial response of no octets, RFC 4954 4.
    try:
        raw = b"" if initial == b"=" else binascii.a2b_base64(line, strict_mode=True)
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return UNREADABLE
