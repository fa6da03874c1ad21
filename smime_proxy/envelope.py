"""The mail object of one SMTP transaction: who sent it, to whom, over which session, and octets.

RFC 5321 2.3.1 (mail objects), RFC 5321 4.1.1.2 and 4.1.1.3 (paths with their parameters), RFC 3461
(parameters that ask for notifications).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from smime_proxy.address import Mailbox

_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")


def parameter(parameters: Iterable[str], keyword: str) -> str | None:
    """Find the value of an ESMTP parameter, "" of one without a value; None when it is not there.

    Keywords are compared without case (RFC 5321 4.1.2); `keyword` is given in upper case.
    """
    for item in parameters:
        name, _, value = item.partition("=")
        if name.upper() == keyword:
            return value
    return None


def decode_xtext(value: str) -> str:
    """Decode xtext, whose grammar was checked before (RFC 3461 4)."""
    return _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), value)


class Role(Enum):
    """What a listener is for; decides the direction of its mail, never a header field (E01)."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


LOCAL, REMOTE = "LOCAL", "REMOTE"  # sources of a message, XFORWARD_README


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from first, as far as is known; "" and 0 stand for what is not.

    `address` is an IP address as text, `name` its host name, `identifier` the message's name at
    the server that took it; `source` is `LOCAL`, `REMOTE` or "", as Postfix's XFORWARD_README
    says; `local_address` and `local_port` are where the client connected to.
    """

    address: str = ""
    port: int = 0
    name: str = ""
    protocol: str = ""
    helo: str = ""
    identifier: str = ""
    source: str = ""
    login: str = ""
    local_address: str = ""
    local_port: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of the client when its transaction begins.

    `listener` names the settings table; `peer` is the client's IP address as text; `helo` what it
    called itself; `protocol` the `with` word of Received (RFC 3848: SMTP, ESMTPSA, LMTP, LMTPS …);
    `login` is set only after authentication succeeded; `trusted` only when the peer lies in the
    listener's `trusted_networks`; `prdr` while MAIL asked for it (draft-hall-prdr-00). `connection`
    has what else is known of the client, `forwarded` what a peer that is believed said of the
    message it is about to send.
    """

    listener: str
    role: Role
    peer: str
    helo: str
    protocol: str = "ESMTP"
    tls: str = ""
    login: str | None = None
    trusted: bool = False
    prdr: bool = False
    connection: Origin = Origin()
    forwarded: Origin | None = None

    @property
    def is_strangers(self) -> bool:
        """Tell whether the message came to our peer from somebody the peer does not know."""
        return self.forwarded is not None and self.forwarded.source == REMOTE

    @property
    def hears_each(self) -> bool:
        """Tell whether the client hears of each recipient by himself (RFC 2033 4.2)."""
        return self.prdr or self.protocol.startswith("LMTP")


def origin_of(session: Session, identifier: str) -> Origin:
    """Give where a message came from: what was forwarded of it, or the client itself.

    The two are never mixed (XFORWARD_README); `identifier` is our own name for the message.
    """
    if session.forwarded is not None:
        return session.forwarded
    source = LOCAL if session.role is Role.OUTBOUND else REMOTE
    return replace(
        session.connection,
        protocol=session.protocol,
        helo=session.helo,
        identifier=identifier,
        source=source,
        login=session.login or "",
    )


@dataclass(frozen=True, slots=True)
class ForwardPath:
    """One recipient, with the ESMTP parameters of its RCPT command as received."""

    mailbox: Mailbox
    parameters: tuple[str, ...] = ()

    @property
    def wants_failures(self) -> bool:
        """Tell whether the sender is to hear when this recipient gets nothing (RFC 3461 4.1)."""
        notify = parameter(self.parameters, "NOTIFY")
        return notify is None or "FAILURE" in notify.upper().split(",")

    @property
    def original(self) -> str:
        """Give type and address of ORCPT, decoded; "" when the client gave none (RFC 3461 4.2).

        An address of type utf-8 stays as it came: reports can hold it so (RFC 6533 3).
        """
        kind, _, address = (parameter(self.parameters, "ORCPT") or "").partition(";")
        if not address:
            return ""
        return f"{kind}; {address if kind.lower() == 'utf-8' else decode_xtext(address)}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail object; `reverse_path` is None for the null reverse-path `<>`.

    `content` is the octets between DATA and the final dot, unstuffed, with CRLF line ends only.
    `parameters` are those of MAIL as received; `identifier` names the transaction in the log,
    Received and replies; `received_at` is aware UTC.
    """

    identifier: str
    session: Session
    reverse_path: Mailbox | None
    forward_paths: tuple[ForwardPath, ...]
    content: bytes
    received_at: datetime
    parameters: tuple[str, ...] = ()

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """Give the forward-path mailboxes in RCPT order."""
        return tuple(path.mailbox for path in self.forward_paths)

    @property
    def smtputf8(self) -> bool:
        """Tell whether the client declared SMTPUTF8 (RFC 6531 3.4)."""
        return parameter(self.parameters, "SMTPUTF8") is not None

    @property
    def identification(self) -> str:
        """Give the sender's own name for this mail, ENVID decoded, or "" (RFC 3461 4.4)."""
        return decode_xtext(parameter(self.parameters, "ENVID") or "")
