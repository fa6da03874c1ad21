"""XFORWARD: a peer that is believed says where one message came from, for the log and for others.

Postfix XFORWARD_README. With SOURCE=REMOTE it also says that the message is a stranger's.
"""

from dataclasses import replace

from smime_proxy.envelope import LOCAL, REMOTE, Origin
from smime_proxy.smtp.admission import UNKNOWN_PEER
from smime_proxy.smtp.attributes import (
    AttributesError,
    harmless,
    is_unavailable,
    read_address,
    read_attributes,
    read_port,
)

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
OFFER = " ".join(("XFORWARD", *ATTRIBUTES))
MAX_PROTOCOL = 64  # characters, XFORWARD_README


def read_xforward(argument: bytes, before: Origin | None) -> Origin:
    """Read the argument of XFORWARD on top of what an earlier one said of the same message.

    Nothing of the session is mixed in: what is not said is not known. Raises `AttributesError`.
    """
    origin = before or Origin()
    for keyword, value in read_attributes(argument, ATTRIBUTES).items():
        origin = _with(origin, keyword, value)
    return origin


def doubtful(before: Origin | None) -> Origin:
    """Give what holds when an XFORWARD could not be read: it may have said REMOTE.

    Postfix goes on with MAIL after a refusal, and a stranger's HELO of enough characters is one.
    """
    return replace(before or Origin(), source=REMOTE)


def _with(origin: Origin, keyword: str, value: str) -> Origin:
    match keyword:
        case "NAME":
            return replace(origin, name=harmless(value))
        case "ADDR":
            address = read_address(value)
            return replace(origin, address="" if address == UNKNOWN_PEER else address)
        case "PORT":
            return replace(origin, port=read_port(value))
        case "PROTO":
            if len(value) > MAX_PROTOCOL:
                raise AttributesError("The value of PROTO is too long")
            return replace(origin, protocol=harmless(value))
        case "HELO":
            return replace(origin, helo=harmless(value))
        case "IDENT":
            return replace(origin, identifier=harmless(value))
        case _:
            return replace(origin, source=_source(value))


def _source(value: str) -> str:
    if is_unavailable(value):
        return ""
    if value.upper() not in {LOCAL, REMOTE}:
        raise AttributesError("SOURCE is LOCAL or REMOTE")
    return value.upper()
