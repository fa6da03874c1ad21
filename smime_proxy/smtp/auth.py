"""Who a client is: AUTH on the server's side of a session, and the identity it ends in.

RFC 4954 (AUTH), RFC 3848 (`with` words), RFC 8314 (no password in clear text), RFC 4422 A
(EXTERNAL: the certificate of the client says who he is).
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Protocol

import structlog

from smime_proxy.envelope import Session
from smime_proxy.gateway.ports import Upstream
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.sasl import (
    EXTERNAL,
    MECHANISMS,
    UNKNOWN_MECHANISM,
    Ask,
    Credentials,
    read_credentials,
    read_external,
)
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
    """Judges credentials; equal to another whose verdicts hold as well as its own."""

    async def judge(self, credentials: Credentials) -> Identity | Reply:
        """Give the identity they prove, or the refusal: 535 or another 5yz, 454 for now."""
        ...


class Authentication:
    """The authentication of one session.

    `certified` is everywhere the login that the client's TLS certificate stands for, None without:
    he is authenticated by it and need not say AUTH; whoever does so nevertheless is who he says.
    """

    def __init__(self, peer: str, throttle: Throttle, count: Callable[[str], None]) -> None:
        """Begin as nobody; `count` notes an outcome of AUTH."""
        self._peer = peer
        self._throttle = throttle
        self._count = count
        self._identity: Identity | None = None
        self._judge_of_it: Authenticator | None = None
        self._external = False  # the client said EXTERNAL

    @property
    def succeeded(self) -> bool:
        """Tell whether the client proved by AUTH who he is."""
        return self._identity is not None or self._external

    @property
    def upstream(self) -> Upstream | None:
        """Where the client's mail goes with his own credentials, if it does."""
        return self._identity.upstream if self._identity is not None else None

    def offers(
        self, authenticator: Authenticator | None, *, tls: bool, certified: str | None = None
    ) -> list[str]:
        """Give the EHLO line (RFC 4954 3), none where AUTH may not be used."""
        passwords = authenticator is not None and self._is_private(tls=tls)
        names = [*(MECHANISMS if passwords else ()), *([EXTERNAL] if certified is not None else [])]
        return [" ".join(("AUTH", *(name.decode() for name in names)))] if names else []

    async def authenticate(
        self,
        authenticator: Authenticator | None,
        argument: bytes,
        ask: Ask,
        *,
        tls: bool,
        certified: str | None = None,
    ) -> Reply:
        """Answer AUTH outside a transaction; `ask` carries the exchange (RFC 4954 4)."""
        if self.succeeded:
            return TWICE
        if certified is not None and argument.partition(b" ")[0].upper() == EXTERNAL:
            return self._judge_external(await read_external(argument, ask), certified)
        if authenticator is None:
            return UNKNOWN_MECHANISM
        if not self._is_private(tls=tls):
            return TLS_FIRST
        credentials = await read_credentials(argument, ask)
        if isinstance(credentials, Reply):
            return credentials
        return await self._judge(authenticator, credentials)

    def mark(self, session: Session, certified: str | None = None) -> Session:
        """Say in what is known of the client who he is; the A is for AUTH (RFC 3848)."""
        login = certified if self._identity is None else self._identity.login
        said = self.succeeded and login is not None and session.protocol != "SMTP"
        protocol = session.protocol + "A" if said else session.protocol
        return replace(session, login=login, protocol=protocol)

    async def review(self, authenticator: Authenticator | None, certified: str | None) -> None:
        """Forget who the client is when that would not be found today: settings have changed."""
        judged = self._identity is not None and self._judge_of_it != authenticator
        if judged or (self._external and certified is None):
            await self.forget()

    async def forget(self) -> None:
        """Be nobody again: TLS began anew, or the session is over."""
        self._external = False
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
            self._identity, self._judge_of_it = found, authenticator
            self._note("accepted")
            return ACCEPTED
        if found.is_temporary:
            self._throttle.undecided(login, self._peer)
        self._note("refused" if found.is_permanent else "unavailable")
        return found

    def _judge_external(self, authorise_as: str | Reply, certified: str) -> Reply:
        if isinstance(authorise_as, Reply):
            return authorise_as
        if authorise_as not in ("", certified):
            self._note("refused")
            return REFUSED
        self._external = True
        self._note("accepted")
        return ACCEPTED

    def _note(self, outcome: str) -> None:
        # Not the login: people type their password there.
        self._count(outcome)
        if outcome != "accepted":
            _log.warning("authentication", outcome=outcome, peer=self._peer)
