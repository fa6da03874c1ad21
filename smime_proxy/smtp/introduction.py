"""How a client introduces itself: EHLO, HELO, LHLO, STARTTLS and AUTH; the rest is in `server`.

RFC 5321 4.1.1.1 (EHLO), RFC 2033 4.1 (LHLO), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from smime_proxy.envelope import Origin, Session
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import Extensions
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp import xclient, xforward
from smime_proxy.smtp.admission import UNKNOWN_PEER, Admission
from smime_proxy.smtp.auth import IN_TRANSACTION, Authentication
from smime_proxy.smtp.connection import Connection
from smime_proxy.smtp.sasl import MAX_AUTH_OCTETS
from smime_proxy.smtp.transaction import Transaction
from smime_proxy.smtp.xclient import AnnouncedAuthentication

MAX_HELO = 255  # characters of a name that is a domain, RFC 5321 4.5.3.1.2
MAX_REFUSALS = 100  # of a stranger in one session; more is guessing addresses or relays
OK = Reply(250, EnhancedStatus(0, 0), "Ok")
UNKNOWN = Reply(500, EnhancedStatus(5, 2), "Command not recognised")
NO_ARGUMENT = Reply(501, EnhancedStatus(5, 4), "No argument allowed")
HELO_FIRST = Reply(503, EnhancedStatus(5, 1), "Say EHLO first")
_LONGEST_AUTH = b"AUTH PLAIN "
_ODD_IN_HELO = re.compile(r"[^A-Za-z0-9._:\[\]-]")

_TLS_READY = Reply(220, EnhancedStatus(0, 0), "Ready to start TLS")
_TLS_ABSENT = Reply(502, EnhancedStatus(5, 1), "TLS is not available, or already on")
_TLS_INJECTED = Reply(421, EnhancedStatus(7, 0), "Commands behind STARTTLS, closing")
_HELO_SYNTAX = Reply(501, EnhancedStatus(5, 4), "Syntax: EHLO hostname")
_GUESSING = Reply(421, EnhancedStatus(7, 0), "Too many refusals, closing")


class Introduction(Connection):
    """What of a session is about the client: the name it gave, TLS, and who it proved to be."""

    _session: Session | None = None
    _offered: Extensions | None = None  # what this client may use, whatever is offered since
    _transaction: Transaction | None = None
    _aimless = 0
    _refusals = 0
    _name = ""  # of the client's host, as XCLIENT said
    _forwarded: Origin | None = None  # where the next message comes from, as XFORWARD said
    _authentication: Authentication

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, as nobody, or send it away."""
        super().connection_made(transport)
        admission = self.admission
        self._authentication = self._nobody()
        if admission.options.authenticator is not None:
            self.intake.longest = MAX_AUTH_OCTETS + len(_LONGEST_AUTH)

    def _nobody(self, login: str = "") -> Authentication:
        """Begin an authentication as nobody, or as who was announced."""
        known = self.peer if self.peer != UNKNOWN_PEER else ""
        count = partial(_count_login, self.admission)
        return AnnouncedAuthentication(known, self.admission.throttle, count, login)

    @property
    def mode(self) -> Mode:
        """The mode replies are given in: what a transaction began with holds to its end."""
        return super().mode if self._transaction is None else self._transaction.mode

    @property
    def _greeting(self) -> Reply:
        protocol = "LMTP" if self._is_lmtp else "ESMTP"
        words = (self.hostname, protocol, self.admission.greeting)
        return Reply(220, None, " ".join(words).rstrip())

    @property
    def _is_known(self) -> bool:
        certified = self.certified is not None
        return self.trusted or certified or self._authentication.succeeded

    @property
    def _is_lmtp(self) -> bool:
        return self.admission.options.protocol == "lmtp"

    def _note_refusal(self, reply: Reply) -> None:
        """Give a reply that may be a refusal; strangers get only so many."""
        self.say(reply)
        self._refusals += reply.is_permanent and not self._is_known
        if self._refusals >= MAX_REFUSALS:
            self.say(_GUESSING)

    async def _abandon(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.abandon()

    async def _ehlo(self, argument: bytes) -> None:
        if self._is_lmtp:
            self.say(UNKNOWN)  # RFC 2033 4.1: never EHLO nor HELO
        else:
            await self._offer(argument)

    async def _lhlo(self, argument: bytes) -> None:
        if self._is_lmtp:
            await self._offer(argument)
        else:
            self.say(UNKNOWN)

    async def _offer(self, argument: bytes) -> None:
        if await self._introduce(argument, extended=True):
            if self.admission.learn is not None:
                await self.admission.learn()
            prdr = self.admission.options.prdr and not self._is_lmtp
            self._offered = replace(self.admission.extensions(), prdr=prdr)
            # Under TLS nobody on the way can have said the word (RFC 3207 4.2).
            word = self.admission.greeting if self.tls else ""
            hello = f"{self.hostname} {word}".rstrip()
            offers = (hello, "PIPELINING", *self._offers(), "ENHANCEDSTATUSCODES")
            self.say(Reply(250, None, "\n".join(offers)))

    async def _helo(self, argument: bytes) -> None:
        if self._is_lmtp:
            self.say(UNKNOWN)
        elif await self._introduce(argument, extended=False):
            self.say(Reply(250, None, self.hostname))

    async def _introduce(self, argument: bytes, *, extended: bool) -> bool:
        name = _ODD_IN_HELO.sub("?", argument.decode("ascii", "replace"))[:MAX_HELO]
        if not name:
            self.say(_HELO_SYNTAX)
            return False
        self._aimless += 1
        await self._abandon()
        self._forwarded = None
        self._begin_session(name, extended=extended)
        return True

    def _begin_session(self, helo: str, *, extended: bool) -> None:
        options, ends = self.admission.options, self.ends
        known, named = ends.address != UNKNOWN_PEER, ends.local_address != UNKNOWN_PEER
        self._session = Session(
            listener=options.name,
            role=options.role,
            peer=self.peer,
            helo=helo,
            protocol=self._with_word(extended=extended),
            tls=self.tls,
            connection=Origin(
                address=ends.address if known else "",
                port=ends.port,
                name=self._name,
                local_address=ends.local_address if named else "",
                local_port=ends.local_port,
            ),
        )

    def _with_word(self, *, extended: bool) -> str:
        """Name the protocol as Received does (RFC 3848)."""
        word = "LMTP" if self._is_lmtp else "ESMTP" if extended else "SMTP"
        return f"{word}S" if self.tls and extended else word

    def _offers(self) -> list[str]:
        extensions = self._extensions
        offers = [f"SIZE {self._limit(extensions)}"]
        if extensions.eightbitmime:
            offers.append("8BITMIME")
        if extensions.smtputf8:
            offers.append("SMTPUTF8")
        if extensions.dsn:
            offers.append("DSN")
        if extensions.requiretls and self.tls:
            offers.append("REQUIRETLS")
        if extensions.prdr:
            offers.append("PRDR")
        if self.admission.options.tls is not None and not self.tls:
            offers.append("STARTTLS")
        authenticator, tls = self.admission.options.authenticator, bool(self.tls)
        offers += self._authentication.offers(authenticator, tls=tls, certified=self.certified)
        return offers + ([xclient.OFFER, xforward.OFFER] if self._is_believed else [])

    @property
    def _extensions(self) -> Extensions:
        return self._offered or self.admission.extensions()

    def _limit(self, extensions: Extensions) -> int:
        limit = self.admission.options.max_message_size
        return min(limit, extensions.size) if extensions.size else limit

    async def _starttls(self, argument: bytes) -> None:
        context = self.admission.options.tls
        if argument:
            self.say(NO_ARGUMENT)
        elif context is None or self.tls:
            self.say(_TLS_ABSENT)
        elif self.intake.buffer:
            # What came in clear behind the command would be obeyed as if it had come under TLS.
            self.say(_TLS_INJECTED)
        else:
            await self._abandon()
            await self._be_nobody()
            self._session = self._forwarded = None
            self.say(_TLS_READY)
            await self.flush()
            # More may have come while a client that reads slowly took the reply.
            self.closing = bool(self.intake.buffer) or not await self.start_tls(context)

    async def _be_nobody(self) -> None:
        """Forget who the client proved to be; his session counts for no login any more."""
        await self._authentication.forget()
        self.admission.identify(self, "")

    async def _auth(self, argument: bytes) -> None:
        authentication, authenticator = self._authentication, self.admission.options.authenticator
        certified = self.certified
        if authenticator is None and certified is None:
            self.say(UNKNOWN)
            return
        if self._session is None:
            self.say(HELO_FIRST)
            return
        if self._transaction is not None:
            self.say(IN_TRANSACTION)
            return
        self._aimless += 1
        reply = await authentication.authenticate(
            authenticator, argument, self._ask, tls=bool(self.tls), certified=certified
        )
        if reply.is_positive:
            login = authentication.mark(self._session, certified).login
            reply = self.admission.identify(self, login or "") or reply
        if not self.closing:  # within the exchange it may have been
            self._note_refusal(reply)

    async def _ask(self, challenge: bytes) -> bytes | None:
        """Say a challenge of AUTH and give what the client answers; None when he is gone."""
        self.say(Reply(334, None, challenge.decode()))
        return await self.next_line()

    @property
    def _is_believed(self) -> bool:
        """Tell whether the client may speak for others; one that was announced is judged anew."""
        return self.admission.believes(self.peer)

    introducing: ClassVar[dict[bytes, Callable[["Introduction", bytes], Awaitable[None]]]] = {
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"LHLO": _lhlo,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
    }


def _count_login(admission: Admission, outcome: str) -> None:
    admission.count("logins", outcome=outcome)
