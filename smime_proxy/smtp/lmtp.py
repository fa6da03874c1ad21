"""An upstream reached by LMTP: as SMTP, but with a reply for each recipient after the final dot.

RFC 2033 4.1 (LHLO, which the handshake says) and 4.2 (the replies).
"""

import asyncio
from dataclasses import replace

from smime_proxy.gateway.ports import UpstreamError
from smime_proxy.reply import Reply
from smime_proxy.smtp.errors import may_be_sent
from smime_proxy.smtp.session import SERVICE_CLOSING
from smime_proxy.smtp.upstream import SmtpTransaction, SmtpUpstream


class LmtpTransaction(SmtpTransaction):
    """A transaction whose final dot is answered for each recipient by itself (RFC 2033 4.2).

    `commit` raises nothing once the dot is on its way: whose reply did not come is given the 451
    that says so, and those before him keep theirs.
    """

    async def _end_content(self) -> tuple[Reply, ...]:
        limit = self._timeouts.dot
        waiters = [self._session.request(b".\r\n", limit)]
        waiters += [self._session.await_another(limit) for _ in range(1, self._accepted)]
        said: list[Reply] = []
        for reply in await asyncio.gather(*waiters, return_exceptions=True):
            if isinstance(reply, BaseException) or not self._is_in_step(reply):
                self._log_lost("upstream_unconfirmed")
                return (*said, *[may_be_sent().reply] * (len(waiters) - len(said)))
            # One recipient's 421 is his own; whether the session goes on shows with the next.
            said.append(replace(reply, code=451) if reply.code == SERVICE_CLOSING else reply)
        return tuple(said)

    def _is_in_step(self, reply: Reply) -> bool:
        try:
            return reply.code == SERVICE_CLOSING or self._conclude(reply) is reply
        except UpstreamError:
            return False


class LmtpUpstream(SmtpUpstream):
    """A pool of sessions with one LMTP server, by TCP or over a UNIX socket."""

    make = LmtpTransaction
