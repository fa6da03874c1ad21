"""The SMTP server's side of one session: each command answered, mail handed to the gateway.

RFC 5321 4.1 (commands), 4.3.2 (sequence), RFC 2034 (enhanced status), RFC 3207 (STARTTLS), RFC 2033
(LMTP), draft-hall-prdr-00 (PRDR).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar, Never

import structlog

from smime_proxy.envelope import Role
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.announcement import Announcement
from smime_proxy.smtp.auth import REQUIRED
from smime_proxy.smtp.intake import MAX_COMMAND_OCTETS
from smime_proxy.smtp.introduction import HELO_FIRST, NO_ARGUMENT, OK, UNKNOWN
from smime_proxy.smtp.paths import MailArgument, read_mail
from smime_proxy.smtp.transaction import Transaction

MAX_AIMLESS = 100  # commands that are no mail, between messages; Postfix smtpd_junk_command_limit

_BYE = Reply(221, EnhancedStatus(0, 0), "Bye")
_GO_AHEAD = Reply(354, None, "End data with <CR><LF>.<CR><LF>")
_HELP = Reply(214, EnhancedStatus(0, 0), "See RFC 5321")
_VRFY = Reply(252, EnhancedStatus(1, 5), "Cannot verify; send mail and see")
_EXPN = Reply(502, EnhancedStatus(5, 1), "Lists are not expanded")
_TOO_LONG = Reply(500, EnhancedStatus(5, 6), "Command line too long")
_NESTED = Reply(503, EnhancedStatus(5, 1), "A transaction is open, send RSET to end it")
_MAIL_FIRST = Reply(503, EnhancedStatus(5, 1), "Say MAIL first")
_AIMLESS = Reply(421, EnhancedStatus(7, 0), "Too many commands without mail, closing")

_UNNAMED = "the client's certificate has no name that is asked for"

_log = structlog.get_logger("smime_proxy.smtp")


class Dialogue(Announcement):
    """One SMTP session: greeting, commands, and one `Transaction` at a time."""

    @property
    def between_transactions(self) -> bool:
        """Tell whether the session may be ended without losing anything."""
        return self._transaction is None

    async def _handle_client(self) -> None:
        """Greet, then obey line by line until the session is over."""
        try:
            self.say(self._greeting)
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
            self._doubt()  # of what it was nothing is left
            self.say(_TOO_LONG)
            return
        command = self._commands.get(verb.upper())
        if command is None:
            self.say(UNKNOWN)
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
        self._doubt()  # the command may have been XFORWARD
        await self._abandon()

    async def _mail(self, argument: bytes) -> None:
        await self._authentication.review(self.admission.options.authenticator, self.certified)
        if self.certified is None and not self._authentication.succeeded:
            self.admission.identify(self, "")  # he may have been somebody by other settings
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
            return HELO_FIRST
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

    async def _begin(self, mail: MailArgument, limit: int) -> None:
        assert self._session is not None  # noqa: S101 - _refuse_mail has seen to it
        session = replace(
            self._session, trusted=self.trusted, prdr=mail.prdr, forwarded=self._forwarded
        )
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

    async def _data(self, argument: bytes) -> None:
        transaction = self._transaction
        if transaction is None:
            self.say(_MAIL_FIRST)
        elif argument:
            self.say(NO_ARGUMENT)
        elif (refusal := transaction.refusal()) is not None:
            self.say(refusal)
        else:
            self.say(_GO_AHEAD)
            await self.flush()
            for reply in await transaction.take(self.intake, lambda: self.client_gone):
                self.say(reply)
            self._transaction = self._forwarded = None
            self._aimless = 0

    async def _rset(self, argument: bytes) -> None:
        if argument:
            self.say(NO_ARGUMENT)
            return
        self._aimless += 1
        await self._abandon()
        self._forwarded = None
        self.say(OK)

    async def _quit(self, argument: bytes) -> None:
        if argument:
            self.say(NO_ARGUMENT)
            return
        await self._abandon()
        self.say(_BYE)
        self.closing = True

    async def _noop(self, _argument: bytes) -> None:
        self._aimless += 1
        self.say(OK)

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
        **Announcement.introducing,
        **Announcement.announcing,
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
