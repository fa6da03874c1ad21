"""Where mail is handed on to, and what that offers.

RFC 5321 3.3 (mail transactions), RFC 1870, 6152, 6531, 3461 (the extensions an upstream offers).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.reply import Reply


class UpstreamError(Exception):
    """The upstream cannot be used; `reply` is what the client is told (4yz)."""

    def __init__(self, reply: Reply) -> None:
        """Keep the reply the client is to get."""
        super().__init__(str(reply))
        self.reply = reply


class Unconfirmed(UpstreamError):  # noqa: N818 - what is known, beside whose fault it is
    """The final dot was sent and no reply came: the message may have been sent."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What an upstream offered in its EHLO reply; `size` in octets, 0 for no stated limit.

    `requiretls` only where its certificate was verified (RFC 8689 4.2.1). `prdr` is only of our own
    offers: no upstream is asked for it (draft-hall-prdr-00). `greeting` is the word its greeting
    ended with, if it may be the name of a listener of ours (`gateway.loops`).
    """

    eightbitmime: bool = True
    smtputf8: bool = True
    dsn: bool = False
    size: int = 0
    requiretls: bool = False
    prdr: bool = False
    greeting: str = ""


class Transaction(Protocol):
    """One mail transaction on one upstream session.

    The order is mail, rcpt (several), prepare, commit; `abort` at any time before commit, after
    which the upstream has nothing. A method that loses the connection raises `UpstreamError`.
    """

    @property
    def extensions(self) -> Extensions:
        """What this upstream session offers."""
        ...

    @property
    def is_lost(self) -> bool:
        """Tell whether it is known that no dot can be sent any more."""
        ...

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Send MAIL and give the upstream's reply."""
        ...

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Send RCPT and give the upstream's reply."""
        ...

    async def prepare(self, content: Sequence[bytes]) -> Reply | None:
        """Send DATA and all of the content without the final dot; a Reply is its refusal."""
        ...

    async def commit(self) -> tuple[Reply, ...]:
        """Send the final dot and give a reply for each recipient accepted, in the order of `rcpt`.

        SMTP has one reply for all of them, LMTP one for each (RFC 2033 4.2). The session returns
        to the pool. Raises `UpstreamError` with 451 4.4.2 when no reply came: the mail may have
        been sent.
        """
        ...

    async def abort(self) -> None:
        """Drop the transaction: RSET before DATA, else the connection closed without a dot."""
        ...


class Upstream(Protocol):
    """A place mail is handed on to."""

    async def open(self, origin: Origin | None = None, /) -> Transaction:
        """Take a session from the pool or make one; raises `UpstreamError`.

        `origin` is whose mail it will be, None for our own.
        """
        ...
