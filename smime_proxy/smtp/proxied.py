"""Accept connections that a load balancer hands on, each behind a header of the PROXY protocol.

HAProxy's "The PROXY protocol", 2 (who may connect, how long to wait); row A06. The header is read
from the socket itself, so that TLS may begin with the octet behind it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

import structlog

from smime_proxy.smtp.admission import UNKNOWN_PEER, Admission, plain_address
from smime_proxy.smtp.proxy_protocol import Ends, ProxyProtocolError, Unnamed, read_header

HEADER_SECONDS = 4.0  # at least 3 for a lost segment to come again; row A06 wants 5 at most
_PAUSE_SECONDS = 1.0  # after running out of descriptors, as asyncio's own server waits

MakeProtocol = Callable[[Ends], asyncio.Protocol]

_log = structlog.get_logger("smime_proxy.smtp")


class ProxiedServer:
    """Accepts from the socket, which it owns, until `close`; `make` speaks with who was named."""

    def __init__(
        self,
        sock: socket.socket,
        admission: Admission,
        make: MakeProtocol,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        """Begin to accept; `tls`: what is spoken from the first octet behind the header."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._admission = admission
        self._make = make
        self._tls = tls
        self._handshake_seconds = handshake_seconds
        self._greeting: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        sock.settimeout(0)
        self._listen()

    def close(self) -> None:
        """Accept no more, and drop whoever has not said his header."""
        if self._again is not None:
            self._again.cancel()
        if self._sock.fileno() < 0:
            return  # it is closed already
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._greeting:
            task.cancel()

    def _listen(self) -> None:
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        try:
            accepted, peername = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the peer left
        except OSError as error:
            _log.error("cannot accept", reason=str(error))
            self._loop.remove_reader(self._sock)
            self._again = self._loop.call_later(_PAUSE_SECONDS, self._listen)
            return
        accepted.settimeout(0)
        peer = plain_address(peername[0])
        if not self._admission.believes(peer):
            self._refuse(accepted, peer, "not among trusted_peers")
        elif len(self._greeting) >= self._admission.options.max_sessions:
            self._refuse(accepted, peer, "too many connections without a header")
        else:
            task = self._loop.create_task(self._greet(accepted, Ends(peer, peername[1])))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket, proxy: Ends) -> None:
        try:
            async with asyncio.timeout(HEADER_SECONDS):
                said = await read_header(lambda count: self._loop.sock_recv(accepted, count))
        except (ProxyProtocolError, OSError) as error:  # of which TimeoutError is one
            reason = "no header in time" if isinstance(error, TimeoutError) else str(error)
            self._refuse(accepted, proxy.address, reason)
            return
        except BaseException:
            accepted.close()
            raise
        ends = _ends(said, proxy, accepted)
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(ends),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_seconds if self._tls else None,
            )
        except (OSError, ssl.SSLError):
            return  # the handshake failed, which closes the socket

    def _refuse(self, accepted: socket.socket, peer: str, reason: str) -> None:
        """Close without a word: whoever it is was not meant to speak SMTP here."""
        accepted.close()
        self._admission.count("sessions_refused", reason="proxy_protocol")
        _log.warning("proxy_protocol", peer=peer, reason=reason)


def _ends(said: Ends | Unnamed, proxy: Ends, accepted: socket.socket) -> Ends:
    """Give the ends that count.

    A client the proxy cannot name (UNKNOWN, AF_UNSPEC, AF_UNIX) must not be taken for the proxy,
    whose address may be trusted: it is nobody's.
    """
    local = accepted.getsockname()
    own = replace(proxy, local_address=plain_address(local[0]), local_port=local[1])
    match said:
        case Unnamed.LOCAL:
            return own
        case Unnamed.UNKNOWN:
            return replace(own, address=UNKNOWN_PEER, port=0)
        case Ends():
            return replace(
                said,
                address=plain_address(said.address),
                local_address=plain_address(said.local_address),
            )
        case _:
            assert_never(said)
