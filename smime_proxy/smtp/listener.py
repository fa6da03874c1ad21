"""Serve one listening socket: sessions made, their deadlines watched, ended in good order.

RFC 5321 3.8 (a server that must stop says 421), 4.5.3.2 (timeouts).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from smime_proxy.gateway.ports import Extensions, Measures
from smime_proxy.smtp.admission import (
    DRAIN_SECONDS,
    MAX_MESSAGE_OCTETS_HELD,
    Admission,
    ListenerOptions,
    Visitor,
)
from smime_proxy.smtp.connection import HANDSHAKE_SECONDS
from smime_proxy.smtp.conversation import Gateway
from smime_proxy.smtp.intake import ByteBudget
from smime_proxy.smtp.proxied import ProxiedServer
from smime_proxy.smtp.server import Dialogue
from smime_proxy.smtp.sockets import BACKLOG

_LOOKS = 10  # at the deadlines within the shortest of them: one in ten late is no harm

__all__ = ["ListenerOptions", "SmtpListener", "serve_listener"]


class SmtpListener:
    """A listening socket at work in this process."""

    def __init__(self, admission: Admission) -> None:
        """Keep the state of the sessions; `serve_listener` makes one that serves."""
        self._admission = admission
        self._server: asyncio.Server | ProxiedServer | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._admission.visitors)

    @property
    def name(self) -> str:
        """The listener's name in the settings."""
        return self._admission.options.name

    def use(self, options: ListenerOptions) -> None:
        """Go by other options from the next transaction on; socket and protocol stay."""
        self._admission.use(options)

    def greet_with(self, word: str) -> None:
        """End greetings with a word, by which our own upstreams know this listener."""
        self._admission.greeting = word

    async def start(self, sock: socket.socket) -> None:
        """Accept connections from the socket, which this object owns from now on."""
        loop = asyncio.get_running_loop()
        options = self._admission.options
        context = options.tls if options.protocol == "smtps" else None
        if options.proxy_protocol:
            self._server = ProxiedServer(
                sock,
                self._admission,
                lambda ends: Dialogue(self._admission, loop, ends),
                context,
                HANDSHAKE_SECONDS,
            )
        else:
            self._server = await loop.create_server(
                lambda: Dialogue(self._admission, loop),
                sock=sock,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
                # asyncio takes it for how many to accept at once too: one, so that workers share.
                backlog=1,
            )
        sock.listen(BACKLOG)
        self._watch = loop.create_task(self._watch_deadlines())

    async def drain(self, grace: float) -> bool:
        """Stop accepting, let transactions finish, end what is left after `grace` seconds.

        False when something had to be ended by force.
        """
        admission = self._admission
        admission.draining = True
        if self._server is not None:
            self._server.close()
        for visitor in tuple(admission.visitors):
            visitor.nudge()
        finished = await _finished(admission.visitors, grace)
        if not finished:
            for visitor in tuple(admission.visitors):
                visitor.abort()
            await _finished(admission.visitors, grace=1)
        if self._watch is not None:
            self._watch.cancel()
        return finished

    async def _watch_deadlines(self) -> None:
        options = self._admission.options
        shortest = min(
            options.idle_seconds,
            options.line_seconds,
            options.chunk_seconds,
            options.content_seconds,
            options.behind_seconds,
            options.stress_seconds,
            DRAIN_SECONDS,
        )
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(shortest / _LOOKS)
            now, is_stressed = loop.time(), self._admission.is_stressed
            for visitor in tuple(self._admission.visitors):
                if is_stressed:
                    visitor.hurry(self._admission.allowance.idle)
                if visitor.deadline < now:
                    visitor.expire()


async def serve_listener(
    sock: socket.socket,
    options: ListenerOptions,
    gateway: Gateway,
    *,
    extensions: Callable[[], Extensions] = Extensions,
    learn: Callable[[], Awaitable[None]] | None = None,
    budget: ByteBudget | None = None,
    measures: Measures | None = None,
    lag: Callable[[], float] = float,
) -> SmtpListener:
    """Serve a listening socket until `drain`.

    `extensions` says at each EHLO what may be offered, after `learn` saw to it that it knows; its
    `size` lowers the limit of the options. `budget` bounds the octets of messages held at a time
    and is shared by all listeners of a process, as is `lag`, which says how late the event loop is.
    """
    held = budget if budget is not None else ByteBudget(MAX_MESSAGE_OCTETS_HELD)
    listener = SmtpListener(Admission(options, gateway, extensions, held, measures, learn, lag))
    await listener.start(sock)
    return listener


async def _finished(visitors: set[Visitor], grace: float) -> bool:
    tasks = {visitor.task for visitor in visitors} - {None}
    if not tasks:
        return True
    _, pending = await asyncio.wait([task for task in tasks if task], timeout=grace)
    return not pending
