"""An upstream reached by SMTP, and one mail transaction on it: prepared, then committed.

RFC 5321 3.3 (transactions) and 4.1.1, RFC 1870, 3461, 6152, 6531 (parameters are passed verbatim).
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from enum import Enum, auto
from functools import partial

import structlog

from smime_proxy.address import Mailbox
from smime_proxy.envelope import ForwardPath, Origin
from smime_proxy.gateway.ports import Extensions, UpstreamError
from smime_proxy.gateway.replies import reply_for
from smime_proxy.reply import Reply
from smime_proxy.smtp.errors import ContentError, SmtpError, connection_lost, may_be_sent
from smime_proxy.smtp.hand_on import tell_of_refusal, xforward_lines
from smime_proxy.smtp.handshake import connect
from smime_proxy.smtp.pool import DEFAULT_LIMITS, Pool, PoolLimits, Sessions, Unpooled
from smime_proxy.smtp.relay import DEFAULT_TIMEOUTS, Relay, Timeouts
from smime_proxy.smtp.session import SERVICE_CLOSING, Session
from smime_proxy.smtp.stuffing import stuff

START_MAIL_INPUT = 354  # RFC 5321 4.3.2
_HOSTNAME = re.compile(r"[!-~]+")
# Beside what would end the line: surrogates, which stand for octets that are not UTF-8.
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNSENDABLE_PARAMETER = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]|^$")

_log = structlog.get_logger(__name__)


class _Stage(Enum):
    OPENED = auto()  # nothing said yet
    ENVELOPE = auto()  # MAIL was sent
    CONTENT = auto()  # the upstream asked for the content
    DONE = auto()  # the session is no longer ours


class SmtpTransaction:
    """One mail transaction (RFC 5321 3.3); see `gateway.ports.Transaction` for the order.

    `rcpt` may be called again before its reply came: the commands are pipelined where offered.
    A 421 is given as 451, its status and text kept: it closes the upstream's session, not ours.
    """

    def __init__(
        self,
        pool: Sessions,
        session: Session,
        timeouts: Timeouts,
        relay: Relay,
        origin: Origin | None = None,
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._session = session
        self._timeouts = timeouts
        self._relay = relay
        self._stage = _Stage.OPENED
        self._accepted = 0

    @property
    def extensions(self) -> Extensions:
        """What this upstream session offers."""
        return self._session.extensions

    @property
    def is_lost(self) -> bool:
        """Tell whether the session ended, by whatever the upstream did."""
        return bool(self._session.fault)

    async def mail(self, reverse_path: Mailbox | None, parameters: Sequence[str]) -> Reply:
        """Send MAIL, `<>` for None; a session closed while idle is replaced first.

        What cannot be sent is refused here: 550 5.6.7 for a non-ASCII mailbox where SMTPUTF8 is
        not offered, 501 5.5.4 for control characters. Raises `UpstreamError` (RFC 5321 4.1.1.2).
        """
        line = _command_line("MAIL FROM", reverse_path, parameters, self.extensions)
        if isinstance(line, Reply):
            return line
        self._stage = _Stage.ENVELOPE
        if self._session.reused:
            reply = await self._mail_on_reused(line)
            if reply is not None:
                return reply
        return self._conclude(await self._heard(self._say_mail(line)))

    async def rcpt(self, path: ForwardPath) -> Reply:
        """Send RCPT; refuses what cannot be sent as `mail` does (RFC 5321 4.1.1.3)."""
        line = _command_line("RCPT TO", path.mailbox, path.parameters, self.extensions)
        if isinstance(line, Reply):
            return line
        reply = await self._exchange(line, self._timeouts.rcpt)
        self._accepted += reply.is_positive
        return reply

    async def prepare(self, content: Sequence[bytes]) -> Reply | None:
        """Send DATA and the content without the final dot (RFC 5321 4.1.1.4, 4.5.2).

        The last block waits two milliseconds, so that a `commit` which follows at once shares its
        segment; nothing else need be done for the rest to be on its way. Raises
        `UpstreamError`, and `ContentError` for a bare CR or LF: then the upstream has nothing.
        """
        reply = await self._request(b"DATA\r\n", self._timeouts.data)
        if reply.is_positive:
            # A 2yz must never pass for an answer to the content.
            raise self._lost(f"{reply.code} came in answer to DATA")
        if reply.code != START_MAIL_INPUT:
            return self._conclude(reply)
        self._stage = _Stage.CONTENT
        try:
            await self._session.send_content(stuff(content), self._timeouts.block)
        except UpstreamError:
            raise self._lost() from None
        except ContentError:
            self._session.fail("the content has a bare CR or LF")
            raise
        return None

    async def commit(self) -> tuple[Reply, ...]:
        """Send the final dot; the session returns to the pool (RFC 5321 4.1.1.4).

        Raises `UpstreamError`, which says that the message may have been sent unless the session
        was already lost before the dot.
        """
        if self._stage is not _Stage.CONTENT:
            raise connection_lost()
        if self._session.fault:
            raise self._lost()
        self._stage = _Stage.DONE
        try:
            replies = await self._end_content()
        except UpstreamError:
            self._log_lost("upstream_unconfirmed")
            raise may_be_sent() from None
        finally:
            if not self._session.settled:
                self._session.fail("closed")
        if any(reply.is_positive for reply in replies):
            self._pool.give(self._session)
        else:
            self._reset()  # RFC 5321 is vague on what a server keeps after refusing the content
        return replies

    async def _end_content(self) -> tuple[Reply, ...]:
        reply = await self._session.request(b".\r\n", self._timeouts.dot)
        return (self._conclude(reply),) * self._accepted

    async def abort(self) -> None:
        """Drop the transaction; nothing of it reaches the upstream's queue, nobody waits."""
        stage, self._stage = self._stage, _Stage.DONE
        match stage:
            case _Stage.OPENED:
                self._pool.give(self._session)
            case _Stage.ENVELOPE:
                self._reset()
            case _Stage.CONTENT:
                self._session.fail("aborted")
            case _Stage.DONE:
                pass

    async def _mail_on_reused(self, line: bytes) -> Reply | None:
        """Try MAIL on a session from the pool; None when it was closed and is now replaced."""
        try:
            reply = await self._say_mail(line)
        except UpstreamError:
            reply = None
        if reply is not None and reply.code != SERVICE_CLOSING:
            return self._conclude(reply)
        self._session.fail("closed while idle")
        fresh = await self._pool.fresh()
        # The parameters were chosen for what the closed session offered.
        alike = fresh.extensions == self._session.extensions
        self._session = fresh
        if not alike:
            raise self._lost("the upstream offers other extensions than before")
        return None

    async def _say_mail(self, line: bytes) -> Reply:
        """Send MAIL, behind what the upstream is to know of where the message came from."""
        session, limit = self._session, self._timeouts.mail
        forward = xforward_lines(self._origin, session.forwards)
        if not forward:
            return await session.command(line, limit)
        said = [session.command(one, limit) for one in (*forward, line)]
        # All of them, so that no answer is left behind when the session ends in between.
        heard = await asyncio.gather(*said, return_exceptions=True)
        answers = []
        for answer in heard:
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
        for answer in answers[:-1]:
            if answer.code == SERVICE_CLOSING:
                return answer
            if not answer.is_positive:
                tell_of_refusal(str(self._relay), str(answer))
        return answers[-1]

    async def _exchange(self, line: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        return self._conclude(await self._request(line, timeout))

    async def _request(self, line: bytes, timeout: float) -> Reply:  # noqa: ASYNC109
        if self._stage is not _Stage.ENVELOPE:
            raise connection_lost()
        return await self._heard(self._session.command(line, timeout))

    async def _heard(self, reply: Awaitable[Reply]) -> Reply:
        try:
            return await reply
        except UpstreamError:
            raise self._lost() from None

    def _conclude(self, reply: Reply) -> Reply:
        """Check that the reply can be one to a command that asks for no more input."""
        if reply.code == SERVICE_CLOSING:
            self._session.fail("closed by the upstream")
            return replace(reply, code=451)
        if not (reply.is_positive or reply.is_temporary or reply.is_permanent):
            raise self._lost(f"a {reply.code} came out of step")
        return reply

    def _reset(self) -> None:
        if self._session.settled:
            self._session.reset(self._timeouts.command)
            self._pool.give(self._session)
        else:
            self._session.fail("aborted")

    def _lost(self, reason: str = "") -> UpstreamError:
        self._session.fail(reason or "lost")
        self._log_lost("upstream_lost")
        return connection_lost()

    def _log_lost(self, event: str) -> None:
        _log.warning(event, upstream=str(self._relay), reason=self._session.fault)


class SmtpUpstream:
    """A pool of sessions with one relay; `hostname` is the EHLO name. Use it in one event loop."""

    make = SmtpTransaction

    def __init__(
        self,
        relay: Relay,
        hostname: str,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: PoolLimits = DEFAULT_LIMITS,
    ) -> None:
        if not _HOSTNAME.fullmatch(hostname):
            raise SmtpError(f"{hostname!r} cannot be used as EHLO name")
        self._relay = relay
        self._hostname = hostname
        self._timeouts = timeouts
        self._pool = Pool(self._connect, limits)

    async def open(self, origin: Origin | None = None, /) -> SmtpTransaction:
        """Take a session from the pool or make one; raises `UpstreamError` (451 4.4.1)."""
        sessions = self._sessions(origin)
        session = await sessions.take()
        return self.make(sessions, session, self._timeouts, self._relay, origin)

    def adopt(self, session: Session) -> None:
        """Keep a session made elsewhere with the same relay for the next transaction."""
        self._pool.give(session)

    async def close(self) -> None:
        """Say QUIT on idle sessions; those in use close when their transaction ends."""
        await self._pool.close()

    def _sessions(self, origin: Origin | None) -> Sessions:
        if origin is None or self._relay.is_shared:
            return self._pool
        return Unpooled(partial(self._connect, origin))

    async def _connect(self, origin: Origin | None = None) -> Session:
        return await connect(self._relay, self._hostname, self._timeouts, origin)


def _command_line(
    verb: str, mailbox: Mailbox | None, parameters: Sequence[str], extensions: Extensions
) -> bytes | Reply:
    if mailbox is not None and not (mailbox.is_ascii or extensions.smtputf8):
        return reply_for("no_smtputf8", str(mailbox))
    path = "" if mailbox is None else mailbox.text
    if _UNSENDABLE.search(path) or any(map(_UNSENDABLE_PARAMETER.search, parameters)):
        return reply_for("bad_parameter")
    return " ".join((f"{verb}:<{path}>", *parameters)).encode() + b"\r\n"
