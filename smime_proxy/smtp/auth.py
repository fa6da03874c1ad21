"""Who a client is: AUTH on the server's side of a session, and the identity it ends in.

RFC 4954 (AUTH), RFC 3848 (`with` words), RFC 8314 (no password in clear text).
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Protocol

import structlog

from smime_proxy.envelope import Session
from smime_proxy.gateway.ports import Upstream
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.sasl import MECHANISMS, Ask, Credentials, read_credentials
from smime_proxy.smtp.throttle import Throttle

ACCEPTED = Reply(235, EnhancedStatus(7, 0), "Authentication succeeded")
REFUSED = Reply(535, EnhancedStatus(7, 8), "Authentication credentials invalid")
UNAVAILABLE = Reply(454, EnhancedStatus(7, 0), "Authentication is not possible now, try later")
THROTTLED = Reply(454, EnhancedStatus(7, 0), "Too many failed attempts, try later")
REQUIRED = Reply(530, EnhancedStatus(7, 0), "Authentication required")
TLS_FIRST = Reply(538, EnhancedStatus(7, 11), "Say STARTTLS first: no password in clear text")
TWICE = Reply(503, EnhancedStatus(5, 1), "Already authenticated")
IN_TRANSACTION = Reply(503, EnhancedStatus(5, 1), "AUTH is not allowed within a transaction")

_log = structlog.get_logger("smime_proxy.smtp")


class Identity(Protocol):
    """Who a client turned out to be; it may hold his secret until `close`."""

    @property
    def login(self) -> str:
        """The name that is granted accounts."""
        ...

    @property
    def upstream(self) -> Upstream | None:
        """Where his mail goes with his own credentials; None: where everybody's goes."""
        ...

    async def close(self) -> None:
        """Forget the secret and end the connections made with it."""
        ...


class Authenticator(Protocol):
    """Judges credentials."""

    async def judge(self, credentials: Credentials) -> Identity | Reply:
        """Give the identity they prove, or the refusal: 535 or another 5yz, 454 for now."""
        ...


class Authentication:
    """The authentication of one session; `private`: what is said on it cannot be read by others."""

    def __init__(self, peer: str, throttle: Throttle, count: Callable[[str], None]) -> None:
        """Begin as nobody; `count` notes an outcome of AUTH."""
        self._peer = peer
        self._throttle = throttle
        self._count = count
        self._identity: Identity | None = None

    @property
    def succeeded(self) -> bool:
        """Tell whether the client proved who he is."""
        return self._identity is not None

    @property
    def upstream(self) -> Upstream | None:
        """Where the client's mail goes with his own credentials, if it does."""
        return self._identity.upstream if self._identity is not None else None

    def offers(self, authenticator: Authenticator | None, *, tls: bool) -> list[str]:
        """Give the EHLO line (RFC 4954 3), none where AUTH may not be used."""
        if authenticator is None or not self._is_private(tls=tls):
            return []
        return [" ".join(("AUTH", *(name.decode() for name in MECHANISMS)))]

    async def authenticate(
        self, authenticator: Authenticator, argument: bytes, ask: Ask, *, tls: bool
    ) -> Reply:
        """Answer AUTH outside a transaction; `ask` carries the exchange (RFC 4954 4)."""
        if self.succeeded:
            return TWICE
        if not self._is_private(tls=tls):
            return TLS_FIRST
        credentials = await read_credentials(argument, ask)
        if isinstance(credentials, Reply):
            return credentials
        return await self._judge(authenticator, credentials)

    def mark(self, session: Session) -> Session:
        """Say in what is known of the client who he is (RFC 3848)."""
        if self._identity is None:
            return session
        protocol = session.protocol if session.protocol == "SMTP" else session.protocol + "A"
        return replace(session, login=self._identity.login, protocol=protocol)

    async def forget(self) -> None:
        """Be nobody again: TLS began anew, or the session is over."""
        identity, self._identity = self._identity, None
        if identity is not None:
            await identity.close()

    def _is_private(self, *, tls: bool) -> bool:
        return tls or (bool(self._peer) and ip_address(self._peer).is_loopback)

    async def _judge(self, authenticator: Authenticator, credentials: Credentials) -> Reply:
        login = credentials.login
        if not self._throttle.allows(login, self._peer):
            self._note("throttled")
            return THROTTLED
        if credentials.is_for_another:
            self._throttle.failed(login, self._peer)
            self._note("refused")
            return REFUSED
        # Before it is known: attempts at the same time must not all slip through.
        self._throttle.failed(login, self._peer)
        try:
            found = await authenticator.judge(credentials)
        except BaseException:
            self._throttle.undecided(login, self._peer)
            raise
        if not isinstance(found, Reply):
            self._throttle.succeeded(login, self._peer)
            self._identity = found
            self._note("accepted")
            return ACCEPTED
        if found.is_temporary:
            self._throttle.undecided(login, self._peer)
        self._note("refused" if found.is_permanent else "unavailable")
        return found

    def _note(self, outcome: str) -> None:
        # Not the login: people type their password there.
        self._count(outcome)
        if outcome != "accepted":
            _log.warning("authentication", outcome=outcome, peer=self._peer)
