"""What one process of the service works with: gateway, upstreams, snapshot, counters.

Implements `smtp.service.Engine`. RFC 5321 2.2.1 (extensions are offered hop by hop), RFC 1870.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import structlog

from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.metrics import Counters
from smime_proxy.envelope import Origin, Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import Discovery, Extensions, Transaction, UpstreamError
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.errors import SmtpError

# A message grows when it is protected: base64 (4/3 and line ends) once around what is encrypted.
ENCRYPTED_GROWTH = 1.4
OPAQUE_GROWTH = 1.96  # twice, when it is signed opaque before
ENCRYPTED_ROOM = 64 * 1024  # octets; recipientInfos, certificates, header fields
LEARN_SECONDS = 5.0  # that the first clients may wait for an upstream they know nothing of
ASK_AGAIN_SECONDS = 60.0  # after an upstream that could not be asked
RECEIVED_ROOM = 2 * 1024  # octets; our Received field
SIGNED_ROOM = 16 * 1024  # octets; signature, certificates, the fields we add

_log = structlog.get_logger("smime_proxy.service")


class Outlet(Protocol):
    """An upstream that can be closed."""

    async def open(self, origin: Origin | None = None, /) -> Transaction:
        """Take a session from the pool or make one; `origin` is whose mail it will be."""
        ...

    async def close(self) -> None:
        """Let go of idle sessions."""
        ...


class Remembering:
    """An upstream that remembers what it offered last, for what we offer ourselves."""

    def __init__(self, outlet: Outlet) -> None:
        """Begin with what nearly every server offers today."""
        self._outlet = outlet
        self.extensions = Extensions()
        self.reachable = True  # until an attempt fails
        self._known = False
        self._asking = asyncio.Lock()
        self._ask_again = -math.inf  # loop time

    async def learn(self) -> None:
        """Ask what it offers, unless it has said so before; the session made waits for mail.

        An upstream that does not answer holds nobody up for longer than `LEARN_SECONDS`.
        """
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._known or now < self._ask_again:
                return
            self._ask_again = now + ASK_AGAIN_SECONDS
            with contextlib.suppress(UpstreamError, TimeoutError):
                async with asyncio.timeout(LEARN_SECONDS):
                    await (await self.open()).abort()

    async def open(self, origin: Origin | None = None, /) -> Transaction:
        """Take a session from the pool or make one; raises `UpstreamError`."""
        try:
            transaction = await self._outlet.open(origin)
        except UpstreamError:
            self.reachable = False
            raise
        self.extensions, self._known, self.reachable = transaction.extensions, True, True
        return transaction

    async def close(self) -> None:
        """Let go of idle sessions."""
        await self._outlet.close()


@dataclass(frozen=True, slots=True)
class Way:
    """A listener's direction and the upstream its mail goes to.

    `opaque`: some of the mail may be signed opaque; `encrypts`: some may be encrypted. In mode
    `observe` none of it grows.
    """

    role: Role
    upstream: Remembering
    opaque: bool = False
    encrypts: bool = True
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Renewed:
    """What new settings put in place of the old: `left` are the upstreams to be closed."""

    listeners: tuple[ListenerOptions, ...]
    ways: Mapping[str, Way]
    left: tuple[Outlet, ...]


class ServiceEngine:
    """Everything of one process; made in its event loop and closed when no mail comes any more."""

    def __init__(
        self,
        gateway: Gateway,
        measures: Counters,
        ways: Mapping[str, Way],
        *,
        background: asyncio.Task[None],
        learning: asyncio.Task[None],
        chores: Mapping[str, asyncio.Task[None]],
        gauges: Callable[[], Mapping[str, float]],
        reload: Callable[[], Renewed],
        release: Callable[[], None],
        discovery: Discovery | None = None,
        greeting: Callable[[str], str] = lambda _listener: "",
    ) -> None:
        """Take over what was built; all tasks are cancelled and `release` called at the end.

        `background` watches the store, without which no mail is taken; `learning` writes what is
        learnt from mail, which mail can do without, as without the `chores`, named by what they do.
        `reload` puts new settings in force; raises, and changes nothing, when they cannot be used.
        `greeting` gives the word a listener's greeting ends with.
        """
        self.gateway = gateway
        self.measures = measures
        self._ways = ways
        self._background = background
        background.add_done_callback(_tell_of_end)
        self._learning = learning
        learning.add_done_callback(_tell_of_ignorance)
        self._chores = tuple(chores.values())
        for name, chore in chores.items():
            chore.add_done_callback(partial(_tell_of_idleness, name))
        self._gauges = gauges
        self._reload = reload
        self._release = release
        self._discovery = discovery
        self.greeting = greeting
        self._closing: set[asyncio.Future[None]] = set()

    def extensions(self, listener: str) -> Extensions:
        """Say what a listener may offer, in view of what its upstream offered last."""
        way = self._ways[listener]
        extensions = way.upstream.extensions
        if way.mode is Mode.OBSERVE:
            return unchanged(extensions)
        return offered(extensions, way.role, opaque=way.opaque, encrypts=way.encrypts)

    async def learn(self, listener: str) -> None:
        """Find out what the upstream of a listener offers, if nobody knows yet."""
        await self._ways[listener].upstream.learn()

    def not_ready(self) -> str:
        """Say what is missing before mail can be taken: nothing, once it was built."""
        return "the store is not watched" if self._background.done() else ""

    def counts(self) -> Mapping[str, int]:
        """Give all counters under their full names."""
        return self.measures.counts()

    def gauges(self) -> Mapping[str, float]:
        """Give what is measured, under full names."""
        return self._gauges()

    def reload(self) -> tuple[ListenerOptions, ...]:
        """Take the settings as they are written down now, as a whole or not at all.

        Gives the listeners' new options, none when the old settings stay: the log says why.
        """
        try:
            renewed = self._reload()
        except (CommandError, SmtpError, OSError) as error:
            _log.error("not reloaded", reason=str(error), consequence="old settings in use")
            self.measures.count("reloads", outcome="failed")
            return ()
        self._ways = renewed.ways
        for outlet in renewed.left:
            closing = asyncio.ensure_future(outlet.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self.measures.count("reloads", outcome="done")
        _log.info("reloaded")
        return renewed.listeners

    async def close(self) -> None:
        """Let go of everything."""
        tasks = [self._background, self._learning, *self._chores]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for upstream in {way.upstream for way in self._ways.values()}:
            await upstream.close()
        if self._discovery is not None:
            await self._discovery.close()
        self._release()


def _tell_of_end(background: asyncio.Task[None]) -> None:
    if not background.cancelled():
        consequence = "old state in use, not ready"
        error = background.exception()
        _log.error("store no longer watched", consequence=consequence, exc_info=error)


def _tell_of_ignorance(learning: asyncio.Task[None]) -> None:
    if not learning.cancelled():
        error = learning.exception()
        _log.error("capabilities no longer written", consequence="old ones in use", exc_info=error)


def _tell_of_idleness(name: str, chore: asyncio.Task[None]) -> None:
    if not chore.cancelled():
        _log.error("a chore has ended", chore=name, exc_info=chore.exception())


def unchanged(extensions: Extensions) -> Extensions:
    """Give what may be offered so that mail fits behind our Received field and nothing else."""
    size = extensions.size
    return replace(extensions, size=max(1, size - RECEIVED_ROOM)) if size else extensions


def offered(
    extensions: Extensions, role: Role, *, opaque: bool = False, encrypts: bool = True
) -> Extensions:
    """Give what may be offered so that what comes out still fits the upstream's SIZE (E43).

    Where a sender asks for what the policy does not do, what grew too large is refused later.
    """
    if not extensions.size:
        return extensions
    size = extensions.size - SIGNED_ROOM
    if role is Role.OUTBOUND and opaque and not encrypts:
        size = int(size / ENCRYPTED_GROWTH)
    elif role is Role.OUTBOUND and encrypts:
        growth = OPAQUE_GROWTH if opaque else ENCRYPTED_GROWTH
        size = int((extensions.size - ENCRYPTED_ROOM) / growth)
    return replace(extensions, size=max(1, size))
