"""One client connection: lines in, replies out, deadlines and TLS; the commands are in `server`.

RFC 5321 4.2 (replies), 4.5.3.2.7 (timeout), RFC 2920 (pipelining), RFC 3207 (STARTTLS).
"""

import asyncio
import math
import ssl
from functools import lru_cache
from typing import Any, cast

import structlog
from aiosmtpd.smtp import SMTP

from smime_proxy.gateway.modes import Mode
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smtp.admission import SHUTTING_DOWN, UNKNOWN_PEER, Admission, plain_address
from smime_proxy.smtp.intake import Intake
from smime_proxy.smtp.proxy_protocol import Ends

HANDSHAKE_SECONDS = 30  # a TLS handshake is two round trips
LINGER_SECONDS = 10  # for the last reply to reach a client that reads slowly
CACHED_REPLIES = 1024  # the few replies nearly all commands get; bounds memory

SERVICE_CLOSING = 421  # RFC 5321 4.2.3
_FAULTS = frozenset({500, 501, 502, 503, 504, 555})
_SILENT = Reply(421, EnhancedStatus(4, 2), "Nothing, or too little, heard for too long, closing")
_FAULTY = Reply(421, EnhancedStatus(7, 0), "Too many errors, closing")

_UNTOLD = {SERVICE_CLOSING: "closing", 454: "authentication"}  # RFC 5321 4.2.3, RFC 4954 6
_log = structlog.get_logger("smime_proxy.smtp")

encode = lru_cache(CACHED_REPLIES)(Reply.encode)


def cause_of(reply: Reply) -> str:
    """Name the cause of a temporary reply: a situation of docs/replies.md, or who said it.

    What the upstream says never has the code 421 here, and is no answer to AUTH.
    """
    if reply.told is not None:
        return reply.told.situation
    if reply.is_permanent:
        return reply.enhanced  # of ours, and softened
    return _UNTOLD.get(reply.code, "upstream")


class _NoHandler:
    """aiosmtpd asks for an object with hooks; we override the commands instead."""

    def __dir__(self) -> list[str]:
        return []


class Connection(SMTP):
    """A connection of aiosmtpd whose octets go through `Intake` and whose replies are gathered.

    Nothing here cancels the session's task when the client leaves: a delivery that has begun is
    ended by its own deadlines, and its outcome is known (E22).
    """

    def __init__(
        self,
        admission: Admission,
        loop: asyncio.AbstractEventLoop,
        ends: Ends | None = None,
    ) -> None:
        """Begin; `ends` are the client's as a proxy gave them, None: the socket's own."""
        super().__init__(_NoHandler(), hostname=admission.gateway.hostname, loop=loop)
        self.admission = admission
        self.intake = Intake(loop, self._switch_reading)
        self.ends = ends or Ends(UNKNOWN_PEER, 0)
        self._are_told = ends is not None
        self.is_announced = False  # the client is another than who speaks (XCLIENT)
        self._faults = 0
        self.closing = False
        self._replies: list[bytes] = []
        self._clogged: asyncio.Future[None] | None = None

    def __dir__(self) -> list[str]:
        # aiosmtpd's constructor looks at every attribute for hooks, 0.6 ms for each connection.
        return []

    # -- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in or send it away."""
        if not self._are_told:
            self.ends = _ends_of(transport)
        refusal = self.admission.enter(self, self.peer)
        if refusal is not None:
            channel = cast("asyncio.Transport", transport)
            channel.write(encode(self.admission.options.wording.reply(refusal)))
            channel.close()
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nobody is there any more; the session's task sees it when it next looks."""
        self.intake.end(discard=True)
        self.resume_writing()
        self.transport = None
        asyncio.StreamReaderProtocol.connection_lost(self, error)

    def data_received(self, data: bytes) -> None:
        """Take octets in."""
        self.intake.feed(data)

    def eof_received(self) -> bool:
        """Note that no more comes; without TLS the client may still wait for the replies."""
        self.intake.end()
        return not self.tls

    def pause_writing(self) -> None:
        """Note that the client does not read its replies."""
        self._clogged = self.loop.create_future()

    def resume_writing(self) -> None:
        """Note that it does again."""
        clogged, self._clogged = self._clogged, None
        if clogged is not None and not clogged.done():
            clogged.set_result(None)

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Do nothing: the listener looks at all deadlines at once, no timer for each command."""

    def _switch_reading(self, *, on: bool) -> None:
        if (channel := self.channel) is not None:
            (channel.resume_reading if on else channel.pause_reading)()

    # -- what the listener asks

    @property
    def deadline(self) -> float:
        """Loop time until which the client must say something; infinite while we work."""
        return self.intake.deadline

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What carries the session out."""
        return self._handler_coroutine

    def expire(self) -> None:
        """End a session whose client was silent for too long (RFC 5321 3.8)."""
        if self.closing:
            self.abort()
            return
        self.admission.count("sessions_timed_out")
        self.say(_SILENT)
        self._write()
        self.intake.end(discard=True)
        self.close()

    def nudge(self) -> None:
        """Let the session see that the listener is draining."""
        self.hurry(self.admission.allowance.idle)
        self.intake.wake()

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds from now for what is awaited already."""
        self.intake.hurry(seconds)

    def abort(self) -> None:
        """End now, whatever is going on."""
        if (channel := self.channel) is not None:
            channel.abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    # -- what the commands use

    @property
    def peer(self) -> str:
        """The client's IP address as text, or `UNKNOWN_PEER`."""
        return self.ends.address

    @property
    def channel(self) -> asyncio.Transport | None:
        """The transport, None when the connection is lost."""
        return cast("asyncio.Transport | None", self.transport)

    @property
    def tls(self) -> str:
        """The TLS version and cipher of the connection, "" without TLS."""
        channel = self.channel
        session = channel.get_extra_info("ssl_object") if channel is not None else None
        return f"{session.version()} {session.cipher()[0]}" if session is not None else ""

    @property
    def certificate(self) -> bytes:
        """The certificate in DER by which the client proved himself to TLS, b"" without.

        That of a server that speaks for its clients says nothing about them.
        """
        channel = self.channel
        session = channel.get_extra_info("ssl_object") if channel is not None else None
        if self.is_announced or session is None or session.context.verify_mode is ssl.CERT_NONE:
            return b""
        return session.getpeercert(binary_form=True) or b""

    @property
    def certified(self) -> str | None:
        """The login that the client's certificate stands for, None for none."""
        return self.admission.options.clients.login_of(self.certificate)

    @property
    def trusted(self) -> bool:
        """Tell whether the client may send without a login, by what is in force now."""
        clients = self.admission.options.clients
        return self.admission.trusts(self.peer) and clients.trusts(self.certificate)

    @property
    def client_gone(self) -> bool:
        """Tell whether the client left; one that said all it has to say is still waiting."""
        channel = self.channel
        left = self.intake.ended and not self.intake.buffer
        return channel is None or channel.is_closing() or left

    @property
    def between_transactions(self) -> bool:
        """Tell whether the session may be ended without losing anything."""
        return True

    def say(self, reply: Reply) -> None:
        """Give a reply; it leaves when the client's commands so far are used up (RFC 2920 3.2).

        What a sound client is never told, of syntax and sequence, is counted; too much of it ends
        the session, and so does every 421 (RFC 5321 3.8).
        """
        given = self.mode.given(reply)
        if given is not reply:
            self._note_softened(reply)
        self._replies.append(encode(self.mode.given(self.admission.options.wording.reply(reply))))
        if reply.code in _FAULTS:
            self._faults += 1
            if self._faults >= self.admission.max_faults and not self.closing:
                self.say(_FAULTY)
        self.closing = self.closing or reply.code == SERVICE_CLOSING
        if reply.is_temporary and not self.client_gone:
            self.admission.count("temporary_replies", cause=cause_of(reply))

    @property
    def mode(self) -> Mode:
        """The mode replies are given in."""
        return self.admission.options.mode

    def _note_softened(self, reply: Reply) -> None:
        """Log and count a final refusal, given as one for now, as what it would have been."""
        self.admission.count("softened", cause=cause_of(reply))
        _log.info(
            "softened", listener=self.admission.options.name, client=self.peer, reply=str(reply)
        )

    async def flush(self) -> None:
        """Send the replies gathered, and wait while the client does not read them."""
        self._write()
        if self._clogged is not None:
            self.intake.deadline = self.loop.time() + self.admission.allowance.idle
            await self._clogged
            self.intake.deadline = math.inf

    async def next_line(self) -> bytes | None:
        """Give the next command line; None when the session is over."""
        until = math.inf
        while not self.closing:
            line = self.intake.line()
            if line is not None:
                return line
            if self.intake.ended:
                break
            if self.admission.draining and self.between_transactions:
                self.say(SHUTTING_DOWN)
                break
            held = len(self.intake.buffer)
            await self.flush()
            # A client that did not read may have left meanwhile, or have gone on.
            if not self._is_over() and len(self.intake.buffer) == held:
                allowed = self.admission.allowance
                if self.intake.has_begun:
                    until = min(until, self.loop.time() + allowed.line)
                await self.intake.more(allowed.idle, until)
        await self.flush()
        return None

    def _is_over(self) -> bool:
        return self.closing or self.intake.ended

    async def start_tls(self, context: ssl.SSLContext) -> bool:
        """Turn to TLS (RFC 3207 4); False when the handshake failed."""
        channel = self.channel
        if channel is None:
            return False
        try:
            over = await self.loop.start_tls(
                channel, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError) as error:
            _log.info("tls_failed", peer=self.peer, reason=str(error) or type(error).__name__)
            return False
        # asyncio gives None when the client left in the middle of the handshake.
        self.transport = over
        return not self.intake.ended and self.channel is not None

    def close(self) -> None:
        """Close the connection, and do not wait forever for a client to read the last reply."""
        channel = self.channel
        if channel is not None and not channel.is_closing():
            channel.close()
            if channel.get_write_buffer_size():
                self.loop.call_later(LINGER_SECONDS, channel.abort)

    def _write(self) -> None:
        channel = self.channel
        if self._replies and channel is not None and not channel.is_closing():
            channel.write(b"".join(self._replies))
        self._replies.clear()

    async def push(self, status: Any) -> None:
        """Send what aiosmtpd's own code says; none of it is in use."""
        raise NotImplementedError(status)


def _ends_of(transport: asyncio.BaseTransport) -> Ends:
    """Give the socket's own ends; of a client that has left already nobody knows any."""
    peer, local = (transport.get_extra_info(name) for name in ("peername", "sockname"))
    if not peer or not local:
        return Ends(UNKNOWN_PEER, 0)
    return Ends(plain_address(peer[0]), peer[1], plain_address(local[0]), local[1])
