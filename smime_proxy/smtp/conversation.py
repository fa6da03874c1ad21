"""What the server needs of the gateway, as Protocols `gateway.pipeline` fulfils.

RFC 5321 3.3 (mail transactions), RFC 2033 4.2.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Session
from smime_proxy.gateway.ports import Upstream
from smime_proxy.reply import Reply


class Conversation(Protocol):
    """One mail transaction of one client; every outcome is a Reply, never an exception."""

    @property
    def identifier(self) -> str:
        """The name of the transaction in log and replies."""
        ...

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Answer MAIL; None is the null reverse-path."""
        ...

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Answer RCPT with the upstream's own reply."""
        ...

    async def data(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> Reply:
        """Answer the final dot; `content` is unstuffed and has CRLF line ends only."""
        ...

    async def data_each(
        self, content: bytes, received_at: datetime, client_gone: Callable[[], bool]
    ) -> tuple[Reply, ...]:
        """Answer the final dot for each recipient accepted, in the order of `rcpt` (LMTP)."""
        ...

    async def reset(self) -> None:
        """Abort what `data` has not ended: RSET, QUIT, EHLO, or the client is lost."""
        ...


class Gateway(Protocol):
    """Where conversations come from; one per worker, shared by all listeners."""

    @property
    def hostname(self) -> str:
        """Our name in greeting and EHLO."""
        ...

    def begin(self, session: Session, upstream: Upstream | None = None) -> Conversation:
        """Start one mail transaction; `upstream` is the client's own way out, if he has one."""
        ...
