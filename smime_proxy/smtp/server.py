"""The SMTP server's side of one session: each command answered, mail handed to the gateway.

RFC 5321 4.1 (commands), 4.3.2 (sequence), RFC 2034 (enhanced status), RFC 3207 (STARTTLS), RFC 2033
(LMTP), draft-hall-prdr-00 (PRDR).
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar, Never

import structlog

from smime_proxy.envelope import Role, Session
from smime_proxy.gateway.ports import Extensions
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.auth import IN_TRANSACTION, REQUIRED, Authentication
from smime_proxy.smtp.connection import Connection
from smime_proxy.smtp.intake import MAX_COMMAND_OCTETS
from smime_proxy.smtp.paths import MailArgument, read_mail
from smime_proxy.smtp.sasl import MAX_AUTH_OCTETS
from smime_proxy.smtp.transaction import Transaction

MAX_HELO = 255  # characters of a name that is a domain, RFC 5321 4.5.3.1.2
MAX_AIMLESS = 100  # commands that are no mail, between messages; Postfix smtpd_junk_command_limit
MAX_REFUSALS = 100  # of a stranger in one session; more is guessing addresses or relays
_LONGEST_AUTH = b"AUTH PLAIN "
_ODD_IN_HELO = re.compile(r"[^A-Za-z0-9._:\[\]-]")

_OK = Reply(250, EnhancedStatus(0, 0), "Ok")
_BYE = Reply(221, EnhancedStatus(0, 0), "Bye")
_GO_AHEAD = Reply(354, None, "End data with <CR><LF>.<CR><LF>")
_TLS_READY = Reply(220, EnhancedStatus(0, 0), "Ready to start TLS")
_TLS_ABSENT = Reply(502, EnhancedStatus(5, 1), "TLS is not available, or already on")
_TLS_INJECTED = Reply(421, EnhancedStatus(7, 0), "Commands behind STARTTLS, closing")
_HELP = Reply(214, EnhancedStatus(0, 0), "See RFC 5321")
_VRFY = Reply(252, EnhancedStatus(1, 5), "Cannot verify; send mail and see")
_EXPN = Reply(502, EnhancedStatus(5, 1), "Lists are not expanded")
_UNKNOWN = Reply(500, EnhancedStatus(5, 2), "Command not recognised")
_TOO_LONG = Reply(500, EnhancedStatus(5, 6), "Command line too long")
_NO_ARGUMENT = Reply(501, EnhancedStatus(5, 4), "No argument allowed")
_HELO_SYNTAX = Reply(501, EnhancedStatus(5, 4), "Syntax: EHLO hostname")
_HELO_FIRST = Reply(503, EnhancedStatus(5, 1), "Say EHLO first")
_NESTED = Reply(503, EnhancedStatus(5, 1), "A transaction is open, send RSET to end it")
_MAIL_FIRST = Reply(503, EnhancedStatus(5, 1), "Say MAIL first")
_GUESSING = Reply(421, EnhancedStatus(7, 0), "Too many refusals, closing")
_AIMLESS = Reply(421, EnhancedStatus(7, 0), "Too many commands without mail, closing")

_UNNAMED = "the client's certificate has no name that is asked for"

_log = structlog.get_logger("smime_proxy.smtp")


class Dialogue(Connection):
    """One SMTP session: greeting, commands, and one `Transaction` at a time."""

    _session: Session | None = None
    _offered: Extensions | None = None  # what this client may use, whatever is offered since
    _transaction: Transaction | None = None
    _aimless = 0
    _refusals = 0
    _authentication: Authentication

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, as nobody, or send it away."""
        super().connection_made(transport)
        admission = self.admission
        self._authentication = Authentication(
            self.peer,
            admission.throttle,
            lambda outcome: admission.count("logins", outcome=outcome),
        )
        if admission.options.authenticator is not None:
            self.intake.longest = MAX_AUTH_OCTETS + len(_LONGEST_AUTH)

    @property
    def between_transactions(self) -> bool:
        """Tell whether the session may be ended without losing anything."""
        return self._transaction is None

    async def _handle_client(self) -> None:
        """Greet, then obey line by line until the session is over."""
        try:
            protocol = "LMTP" if self._is_lmtp else "ESMTP"
            self.say(Reply(220, None, f"{self.hostname} {protocol}"))
            while (line := await self.next_line()) is not None:
                try:
                    await self._obey(line)
                except Exception as error:
                    await self._recover(error)
        except asyncio.CancelledError:
            _log.warning("session ended by force", peer=self.peer)
        finally:
            self.admission.leave(self, self.peer)
            self.close()
            await self._abandon()
            await self._authentication.forget()

    async def _obey(self, line: bytes) -> None:
        verb, _, argument = line.partition(b" ")
        longest = self.intake.longest if verb.upper() == b"AUTH" else MAX_COMMAND_OCTETS
        if len(line) > longest:
            self.say(_TOO_LONG)
            return
        command = self._commands.get(verb.upper())
        if command is None:
            self.say(_UNKNOWN)
        else:
            await command(self, argument.strip(b" "))
        if self._aimless > MAX_AIMLESS and not self.closing:
            self.say(_AIMLESS)

    async def handle_exception(self, error: Exception) -> Never:
        """Refuse to be called: `_recover` answers, with nothing of the exception's text."""
        raise error

    async def _recover(self, error: Exception) -> None:
        """Answer what nobody foresaw: an id for the client, the traceback for the log."""
        identifier = secrets.token_hex(4)
        _log.error("internal error", id=identifier, peer=self.peer, exc_info=error)
        self.admission.count("session_errors")
        self.say(reply_for("internal_error", f"id {identifier}"))
        # An LMTP client may wait for more replies than this one.
        self.closing = self.closing or self._is_lmtp
        await self._abandon()

    async def _abandon(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.abandon()

    @property
    def _is_lmtp(self) -> bool:
        return self.admission.options.protocol == "lmtp"

    async def _ehlo(self, argument: bytes) -> None:
        if self._is_lmtp:
            self.say(_UNKNOWN)  # RFC 2033 4.1: never EHLO nor HELO
        else:
            await self._offer(argument)

    async def _lhlo(self, argument: bytes) -> None:
        if self._is_lmtp:
            await self._offer(argument)
        else:
            self.say(_UNKNOWN)

    async def _offer(self, argument: bytes) -> None:
        if await self._introduce(argument, extended=True):
            if self.admission.learn is not None:
                await self.admission.learn()
            prdr = self.admission.options.prdr and not self._is_lmtp
            self._offered = replace(self.admission.extensions(), prdr=prdr)
            offers = (self.hostname, "PIPELINING", *self._offers(), "ENHANCEDSTATUSCODES")
            self.say(Reply(250, None, "\n".join(offers)))

    async def _helo(self, argument: bytes) -> None:
        if self._is_lmtp:
            self.say(_UNKNOWN)
        elif await self._introduce(argument, extended=False):
            self.say(Reply(250, None, self.hostname))

    async def _introduce(self, argument: bytes, *, extended: bool) -> bool:
        name = _ODD_IN_HELO.sub("?", argument.decode("ascii", "replace"))[:MAX_HELO]
        if not name:
            self.say(_HELO_SYNTAX)
            return False
        self._aimless += 1
        await self._abandon()
        options = self.admission.options
        self._session = Session(
            listener=options.name,
            role=options.role,
            peer=self.peer,
            helo=name,
            protocol=self._with_word(extended=extended),
            tls=self.tls,
        )
        return True

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
        return offers + self._authentication.offers(
            authenticator, tls=tls, certified=self.certified
        )

    @property
    def _extensions(self) -> Extensions:
        return self._offered or self.admission.extensions()

    def _limit(self, extensions: Extensions) -> int:
        limit = self.admission.options.max_message_size
        return min(limit, extensions.size) if extensions.size else limit

    async def _starttls(self, argument: bytes) -> None:
        context = self.admission.options.tls
        if argument:
            self.say(_NO_ARGUMENT)
        elif context is None or self.tls:
            self.say(_TLS_ABSENT)
        elif self.intake.buffer:
            # What came in clear behind the command would be obeyed as if it had come under TLS.
            self.say(_TLS_INJECTED)
        else:
            await self._abandon()
            await self._authentication.forget()
            self._session = None
            self.say(_TLS_READY)
            await self.flush()
            # More may have come while a client that reads slowly took the reply.
            self.closing = bool(self.intake.buffer) or not await self.start_tls(context)

    async def _auth(self, argument: bytes) -> None:
        authentication, authenticator = self._authentication, self.admission.options.authenticator
        certified = self.certified
        if authenticator is None and certified is None:
            self.say(_UNKNOWN)
            return
        if self._session is None:
            self.say(_HELO_FIRST)
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

    async def _mail(self, argument: bytes) -> None:
        await self._authentication.review(self.admission.options.authenticator, self.certified)
        refusal = self._refuse_mail()
        if refusal is not None:
            self._note_refusal(refusal)
            return
        extensions, budget = self._extensions, self.admission.budget
        mail = read_mail(argument, extensions)
        if isinstance(mail, Reply):
            self.say(mail)
        elif mail.requiretls and not self.tls:
            self.say(reply_for("requiretls_in_clear"))
        elif mail.size > self._limit(extensions):
            self.say(reply_for("too_big"))
        elif budget.used + mail.size > budget.limit:
            self.say(reply_for("memory_spent"))
        else:
            await self._begin(mail, self._limit(extensions))

    def _refuse_mail(self) -> Reply | None:
        if self.admission.draining:
            return reply_for("shutting_down")
        if self._session is None:
            return _HELO_FIRST
        if self._transaction is not None:
            return _NESTED
        if self._is_stranger_outbound():
            return self._denial()
        return self.admission.put_off()

    def _denial(self) -> Reply:
        options = self.admission.options
        if options.authenticator is not None:
            return REQUIRED
        unnamed = self.admission.trusts(self.peer) and not self.trusted
        return reply_for("relay_denied", _UNNAMED if unnamed else "")

    def _is_stranger_outbound(self) -> bool:
        return self.admission.options.role is Role.OUTBOUND and not self._is_known

    @property
    def _is_known(self) -> bool:
        certified = self.certified is not None
        return self.trusted or certified or self._authentication.succeeded

    async def _begin(self, mail: MailArgument, limit: int) -> None:
        assert self._session is not None  # noqa: S101 - _refuse_mail has seen to it
        session = replace(self._session, trusted=self.trusted, prdr=mail.prdr)
        session = self._authentication.mark(session, self.certified)
        if session.login and (refusal := self.admission.identify(self, session.login)):
            self._note_refusal(refusal)
            return
        conversation = self.admission.gateway.begin(session, self._authentication.upstream)
        self._transaction = Transaction(
            self.admission,
            conversation,
            limit,
            self._extensions,
            smtputf8=mail.smtputf8,
            prdr=mail.prdr,
        )
        reply = await conversation.mail(mail.reverse_path, mail.parameters)
        if not reply.is_positive:
            await self._abandon()
        self.say(reply)

    async def _rcpt(self, argument: bytes) -> None:
        if self._transaction is not None:
            self._note_refusal(await self._transaction.rcpt(argument))
        elif self._is_stranger_outbound():
            self._note_refusal(self._denial())
        else:
            self.say(_MAIL_FIRST)

    def _note_refusal(self, reply: Reply) -> None:
        """Give a reply that may be a refusal; strangers get only so many."""
        self.say(reply)
        self._refusals += reply.is_permanent and not self._is_known
        if self._refusals >= MAX_REFUSALS:
            self.say(_GUESSING)

    async def _data(self, argument: bytes) -> None:
        transaction = self._transaction
        if transaction is None:
            self.say(_MAIL_FIRST)
        elif argument:
            self.say(_NO_ARGUMENT)
        elif (refusal := transaction.refusal()) is not None:
            self.say(refusal)
        else:
            self.say(_GO_AHEAD)
            await self.flush()
            for reply in await transaction.take(self.intake, lambda: self.client_gone):
                self.say(reply)
            self._transaction = None
            self._aimless = 0

    async def _rset(self, argument: bytes) -> None:
        if argument:
            self.say(_NO_ARGUMENT)
            return
        self._aimless += 1
        await self._abandon()
        self.say(_OK)

    async def _quit(self, argument: bytes) -> None:
        if argument:
            self.say(_NO_ARGUMENT)
            return
        await self._abandon()
        self.say(_BYE)
        self.closing = True

    async def _noop(self, _argument: bytes) -> None:
        self._aimless += 1
        self.say(_OK)

    async def _help(self, _argument: bytes) -> None:
        self._aimless += 1
        self.say(_HELP)

    async def _vrfy(self, _argument: bytes) -> None:
        self._aimless += 1
        self.say(_VRFY)

    async def _expn(self, _argument: bytes) -> None:
        self._aimless += 1
        self.say(_EXPN)

    _commands: ClassVar[dict[bytes, Callable[["Dialogue", bytes], Awaitable[None]]]] = {
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"LHLO": _lhlo,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"QUIT": _quit,
        b"NOOP": _noop,
        b"HELP": _help,
        b"VRFY": _vrfy,
        b"EXPN": _expn,
    }
