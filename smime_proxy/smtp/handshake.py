"""Make a session with an upstream: TCP, greeting, EHLO, STARTTLS or implicit TLS, AUTH.

RFC 5321 3.1 and 3.2, RFC 2033 4.1 (LHLO), RFC 3207 4.2, RFC 4954 4, RFC 8314 3.3. aiosmtplib speaks
until here; then `Session` takes its transport over.
"""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiosmtplib
import structlog

from smime_proxy.envelope import Origin
from smime_proxy.gateway.loops import word_of
from smime_proxy.gateway.ports import Extensions
from smime_proxy.reply import read_reply
from smime_proxy.smtp.access_token import AccessTokens
from smime_proxy.smtp.bearer import show_token
from smime_proxy.smtp.errors import HandshakeError, LoginError, TokenError, no_token, unreachable
from smime_proxy.smtp.hand_on import ehlo_name, ends_of, tell_of_lack, xclient_line
from smime_proxy.smtp.proxy_protocol import block_for
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.session import Session

BAD_CREDENTIALS = 535  # RFC 4954 6
GREETING = 220  # RFC 5321 4.2.2
MAX_REASON = 200  # characters of a peer's text in a log line

_log = structlog.get_logger(__name__)


async def connect(
    relay: Relay, hostname: str, timeouts: Timeouts, origin: Origin | None = None
) -> Session:
    """Open a session, ready for MAIL; `hostname` is what we call ourselves.

    With `origin` the upstream is told by XCLIENT or a PROXY header, as the relay wants, that the
    session is for that client and nobody else; without, a PROXY header says that it is our own.

    Raises `UpstreamError` (451 4.4.1; 4.7.0 when an access token is lacking) for whatever stands in
    the way, after one log line. With TLS required nothing but EHLO and STARTTLS goes over the wire
    before it (RFC 3207 4.1).
    """
    try:
        return await handshake(relay, hostname, timeouts, origin)
    except HandshakeError as error:
        _log.warning("upstream_unreachable", upstream=str(relay), reason=str(error))
        raise (no_token() if isinstance(error, TokenError) else unreachable()) from None


async def handshake(
    relay: Relay, hostname: str, timeouts: Timeouts, origin: Origin | None = None
) -> Session:
    """Open a session as `connect` does; raises `HandshakeError` and logs nothing."""
    try:
        if relay.socket is not None:
            dialled = await _dial_socket(relay.socket, timeouts.connect)
        else:
            dialled = await _dial(relay.host, relay.port, timeouts.connect)
        if relay.client_info == "proxy":
            await _say_header(dialled, block_for(ends_of(origin)), timeouts.connect)
        return await _handshake(dialled, relay, hostname, timeouts, origin)
    except aiosmtplib.SMTPAuthenticationError as error:
        raise LoginError(read_reply(error.code, error.message.split("\n"))) from None
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise HandshakeError(_reason(error)) from None


async def _dial(host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109
    loop = asyncio.get_running_loop()
    failure = OSError("the name has no address")
    async with asyncio.timeout(timeout):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            dialled = socket.socket(family, kind, protocol)
            dialled.settimeout(0)  # sock_connect wants it non-blocking
            try:
                # One dead address must not use up the time of the others.
                async with asyncio.timeout(timeout / len(found)):
                    await loop.sock_connect(dialled, address)
            except (OSError, asyncio.CancelledError) as error:
                dialled.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
            else:
                return dialled
    raise failure


async def _dial_socket(path: Path, timeout: float) -> socket.socket:  # noqa: ASYNC109
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dialled.settimeout(0)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(dialled, str(path))
    except BaseException:
        dialled.close()
        raise
    return dialled


async def _say_header(dialled: socket.socket, header: bytes, timeout: float) -> None:  # noqa: ASYNC109
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_sendall(dialled, header)
    except BaseException:
        dialled.close()
        raise


class _Client(aiosmtplib.SMTP):
    """aiosmtplib's client up to the moment its transport is taken over."""

    lmtp = False

    async def execute_command(self, *args: bytes, **kwargs: Any) -> aiosmtplib.SMTPResponse:
        """Send a command; in LMTP the client greets with LHLO (RFC 2033 4.1)."""
        if self.lmtp and args[0] == b"EHLO":
            args = (b"LHLO", *args[1:])
        return await super().execute_command(*args, **kwargs)

    def release(self) -> asyncio.Transport:
        """Give the transport away; raises where octets came that no command asked for."""
        if self.protocol is None or self.transport is None or self.protocol._buffer:  # noqa: SLF001
            raise aiosmtplib.SMTPServerDisconnected("a reply came that no command asked for")
        transport = cast("asyncio.Transport", self.transport)
        self.transport = None  # from here on `close` leaves it alone
        return transport


async def _handshake(
    dialled: socket.socket,
    relay: Relay,
    hostname: str,
    timeouts: Timeouts,
    origin: Origin | None,
) -> Session:
    implicit = relay.scheme == "smtps"
    client = _Client(
        hostname=relay.host or "localhost",  # of a UNIX socket it is used for nothing
        sock=dialled,
        local_hostname=hostname,
        timeout=timeouts.greeting,
        use_tls=implicit,
        start_tls=False,
        tls_context=relay.tls_context,
    )
    client.lmtp = relay.scheme == "lmtp"
    try:
        greeting = (await client.connect()).message
        await _greet(client, timeouts.command)
        if relay.tls == "required" and not implicit:
            await client.starttls(timeout=timeouts.command)
            # What was said in clear may be anybody's (RFC 3207 4.2).
            greeting = await _greet(client, timeouts.command)
        if relay.client_info == "xclient" and origin is not None:
            await _announce(client, relay, origin, timeouts.command)
        if relay.username:
            await _log_in(client, relay, timeouts.command)
        extensions = replace(
            _extensions(client.esmtp_extensions, verified=relay.tls == "required"),
            greeting=word_of(greeting),
        )
        pipelining = client.supports_extension("pipelining")
        forwards = _forwards(client, relay)
        return Session(client.release(), extensions, pipelining=pipelining, forwards=forwards)
    finally:
        client.close()


async def _greet(client: _Client, timeout: float, name: str | None = None) -> str:  # noqa: ASYNC109
    """Introduce us, and give how the upstream greets us in the first line of its reply."""
    try:
        response = await client.ehlo(hostname=name, timeout=timeout)
    except aiosmtplib.SMTPHeloError as refusal:
        # RFC 5321 3.2: servers that do not know EHLO answer 5yz.
        if client.lmtp or refusal.code < 500:  # noqa: PLR2004 - the class of RFC 5321 4.2.1
            raise
        response = await client.helo(hostname=name, timeout=timeout)
    return response.message.partition("\n")[0]


async def _announce(client: _Client, relay: Relay, origin: Origin, timeout: float) -> None:  # noqa: ASYNC109
    """Have the upstream take the session for the client's own; what refuses it ends the session.

    A refusal may be of the client: never is his mail sent as ours instead.
    """
    offered = client.esmtp_extensions.get("xclient", "").upper().split()
    line = xclient_line(origin, offered, with_login=not relay.username)
    if not line:
        tell_of_lack(str(relay), "XCLIENT")
        return
    response = await client.execute_command(line, timeout=timeout)
    if response.code != GREETING:
        raise aiosmtplib.SMTPResponseException(response.code, response.message)
    await _greet(client, timeout, ehlo_name(origin, client.local_hostname or ""))


def _forwards(client: _Client, relay: Relay) -> frozenset[str]:
    if relay.client_info != "xforward":
        return frozenset()
    offered = frozenset(client.esmtp_extensions.get("xforward", "").upper().split())
    if not offered:
        tell_of_lack(str(relay), "XFORWARD")
    return offered


async def _log_in(client: _Client, relay: Relay, timeout: float) -> None:  # noqa: ASYNC109
    # Not client.login: it starts with CRAM-MD5 and offers a refused password again.
    try:
        if relay.tokens is not None:
            await _log_in_by_token(client, relay, relay.tokens, timeout)
        elif "plain" in client.server_auth_methods:
            await client.auth_plain(relay.username, relay.password, timeout=timeout)
        elif "login" in client.server_auth_methods:
            await client.auth_login(relay.username, relay.password, timeout=timeout)
        else:
            raise aiosmtplib.SMTPException("the upstream offers neither AUTH PLAIN nor LOGIN")
    except aiosmtplib.SMTPAuthenticationError:
        raise
    except aiosmtplib.SMTPResponseException as error:
        # Not its text: what the upstream says may repeat the secret.
        raise aiosmtplib.SMTPException(f"{error.code}: no sound reply to AUTH") from None


async def _log_in_by_token(
    client: _Client,
    relay: Relay,
    tokens: AccessTokens,
    timeout: float,  # noqa: ASYNC109
) -> None:
    """Log in with a token; one that is refused may have been revoked, another is tried once."""
    token = await tokens.token()
    try:
        await show_token(client, relay, token, timeout)
    except aiosmtplib.SMTPAuthenticationError as refusal:
        if refusal.code != BAD_CREDENTIALS or not client.is_connected:
            raise
        if not tokens.reject(token):
            raise
        await show_token(client, relay, await tokens.token(), timeout)


def _extensions(offered: dict[str, str], *, verified: bool) -> Extensions:
    size = offered.get("size", "").strip()
    return Extensions(
        eightbitmime="8bitmime" in offered,
        smtputf8="smtputf8" in offered,
        dsn="dsn" in offered,
        size=int(size) if size.isascii() and size.isdigit() else 0,
        requiretls=verified and "requiretls" in offered,
    )


def _reason(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPResponseException():
            reason = f"{error.code} {error.message}"
        case TimeoutError():
            reason = "no answer in time"
        case _:
            reason = str(error) or type(error).__name__
    clean = "".join(char if char.isprintable() else " " for char in reason)
    return clean[:MAX_REASON]
