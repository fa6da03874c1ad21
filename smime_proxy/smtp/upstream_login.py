"""Credentials of clients checked by the upstream, and used towards it.

RFC 4954 4 and 6; row R32. Each identity has a pool of its own, so no session of one ever carries
the mail of another; pool and password live as long as the client's session.
"""

from dataclasses import dataclass, replace

import structlog

from smime_proxy.envelope import Origin
from smime_proxy.gateway.ports import Transaction
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.auth import REFUSED, UNAVAILABLE, Identity
from smime_proxy.smtp.errors import HandshakeError, LoginError, SmtpError
from smime_proxy.smtp.handshake import handshake
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.sasl import Credentials
from smime_proxy.smtp.upstream import SmtpUpstream

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UpstreamAuthenticator:
    """Asks a relay that must use verified TLS; raises `SmtpError` when built for another."""

    relay: Relay
    hostname: str
    timeouts: Timeouts

    def __post_init__(self) -> None:
        if self.relay.tls != "required" or self.relay.username:
            raise SmtpError(f"{self.relay}: cannot check logins, tls must be required, no username")

    async def judge(self, credentials: Credentials) -> Identity | Reply:
        """Log in at the relay; the session is kept for the first mail.

        A refusal keeps the relay's code and status, not its text, which may repeat the password.
        """
        own = replace(self.relay, username=credentials.login, password=credentials.password)
        upstream = SmtpUpstream(own, self.hostname, self.timeouts)
        try:
            session = await handshake(own, self.hostname, self.timeouts)
        except LoginError as refusal:
            return _passed_on(refusal.reply)
        except HandshakeError as error:
            _log.warning("upstream_unreachable", upstream=str(own), reason=str(error))
            return UNAVAILABLE
        upstream.adopt(session)
        return UpstreamIdentity(credentials.login, upstream)


class UpstreamIdentity:
    """A client the upstream let in."""

    def __init__(self, login: str, upstream: SmtpUpstream) -> None:
        """Keep the pool that holds his credentials."""
        self.login = login
        self._own: SmtpUpstream | None = upstream

    @property
    def upstream(self) -> "UpstreamIdentity":
        """Where his mail goes: this object is the upstream of his transactions."""
        return self

    async def open(self, origin: Origin | None = None, /) -> Transaction:
        """Take a session of his own or make one; raises `UpstreamError`."""
        if self._own is None:
            raise SmtpError("the session of this login is over")
        return await self._own.open(origin)

    async def close(self) -> None:
        """Forget the password and end his idle sessions."""
        own, self._own = self._own, None
        if own is not None:
            await own.close()


def _passed_on(reply: Reply) -> Reply:
    """Give the client the relay's verdict in our words; what makes no sense to him is a 454."""
    if reply.is_permanent:
        status = reply.status or EnhancedStatus(7, 8)
        return Reply(reply.code, status, REFUSED.text)
    if reply.is_temporary and reply.code != 421:  # noqa: PLR2004 - it closes that session, not ours
        return Reply(reply.code, reply.status or EnhancedStatus(7, 0), UNAVAILABLE.text)
    return UNAVAILABLE
