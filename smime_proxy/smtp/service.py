"""One process at work: its gateway, its listeners, and what it tells about itself.

RFC 5321 3.8 (closing in good order). The composition root gives an `Engine` for each process.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from smime_proxy.gateway.ports import Extensions, Measures
from smime_proxy.smtp.admission import MAX_MESSAGE_OCTETS_HELD, ListenerOptions
from smime_proxy.smtp.conversation import Gateway
from smime_proxy.smtp.intake import ByteBudget
from smime_proxy.smtp.lag import Lag
from smime_proxy.smtp.listener import SmtpListener, serve_listener
from smime_proxy.smtp.notify import Herald, Notifier

NO_MANAGER = Notifier("")

_log = structlog.get_logger("smime_proxy.smtp")


class Engine(Protocol):
    """What a process serves with; made in its event loop, so it may hold tasks and pools."""

    @property
    def gateway(self) -> Gateway:
        """Where mail goes."""
        ...

    @property
    def measures(self) -> Measures:
        """Where the listeners count."""
        ...

    def extensions(self, listener: str) -> Extensions:
        """Say what the listener of that name may offer, in view of its upstream."""
        ...

    def greeting(self, listener: str) -> str:
        """Give the word the greeting of that listener ends with, "" for none."""
        ...

    async def learn(self, listener: str) -> None:
        """Find out what the upstream of that listener offers, if nobody knows yet."""
        ...

    def not_ready(self) -> str:
        """Say in a few words what is missing before mail can be taken, "" when nothing is."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Give all counters under their full names."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """Give what is measured and not counted, under full names."""
        ...

    def reload(self) -> Sequence[ListenerOptions]:
        """SIGHUP came; gives the options of the listeners if they are other ones now."""
        ...

    async def close(self) -> None:
        """Let go of everything; no mail comes any more."""
        ...


MakeEngine = Callable[[], Awaitable[Engine]]


class Overview(Protocol):
    """What the status endpoint shows of the whole service."""

    def not_ready(self) -> str:
        """Say in a few words why mail cannot be taken, "" when it can."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Give the counters of all processes, added up."""
        ...

    def measured(self) -> Sequence[Mapping[str, float]]:
        """Give what each process measured last, under full names."""
        ...


ServeStatus = Callable[[socket.socket, Overview], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The whole service; `grace` is in seconds, `workers` 0 means one for each core.

    `status_bind` is host:port of the status endpoint, "" for none. `notifier` is the service
    manager's socket.
    """

    listeners: tuple[ListenerOptions, ...]
    state_dir: Path
    workers: int = 1
    grace: float = 30
    status_bind: str = ""
    notifier: Notifier = NO_MANAGER


class Worker:
    """The listeners of one process with their engine."""

    def __init__(self, grace: float, slot: int = 0, herald: Herald = NO_MANAGER) -> None:
        """Start idle; `run` does the work. `slot` counts the workers from 0, `herald` is told."""
        self._grace = grace
        self._slot = slot
        self._herald = herald
        self._stop = asyncio.Event()
        self._engine: Engine | None = None
        self._listeners: list[SmtpListener] = []
        self._budget = ByteBudget(MAX_MESSAGE_OCTETS_HELD)
        self._lag = Lag()

    def not_ready(self) -> str:
        """Say in a few words why this process cannot take mail, "" when it can."""
        if self._stop.is_set():
            return "shutting down"
        if self._engine is None or not self._listeners:
            return "starting"
        return self._engine.not_ready()

    def counts(self) -> Mapping[str, int]:
        """Give the counters of this process."""
        return self._engine.counts() if self._engine is not None else {}

    def gauges(self) -> Mapping[str, float]:
        """Give what this process measures, asyncio's tasks among it, under its own slot."""
        tasks = {f"tasks\t{self._slot}": float(len(asyncio.all_tasks()))}
        if self._engine is None:
            return tasks
        sessions = {f"sessions_open\t{one.name}": float(one.sessions) for one in self._listeners}
        held = {"message_octets_held": float(self._budget.used)}
        return {**self._engine.gauges(), **sessions, **held, **tasks}

    def measured(self) -> Sequence[Mapping[str, float]]:
        """Give what this process measures, which is all there is to measure."""
        return [self.gauges()]

    def stop(self) -> None:
        """Begin to end: no new mail, what is under way is finished."""
        self._stop.set()

    async def run(
        self, make_engine: MakeEngine, sockets: Sequence[tuple[socket.socket, ListenerOptions]]
    ) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; then drain within the grace."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)  # before it can end the process
        engine = self._engine = await make_engine()
        measuring = loop.create_task(self._lag.measure())
        try:
            await self._listen(engine, sockets)
            # What start-up made stays; the collector need not look at it with every message.
            gc.collect()
            gc.freeze()
            self._herald.serving()
            await self._stop.wait()
            self._herald.stopping()
            await self._drain()
        finally:
            measuring.cancel()
            await engine.close()

    def _reload(self) -> None:
        if self._engine is None:
            return
        self._herald.reloading()
        renewed = {options.name: options for options in self._engine.reload()}
        for listener in self._listeners:
            if listener.name in renewed:
                listener.use(renewed[listener.name])
                self._budget.limit = renewed[listener.name].max_octets_held
        self._herald.reloaded()

    async def _listen(
        self, engine: Engine, sockets: Sequence[tuple[socket.socket, ListenerOptions]]
    ) -> None:
        for sock, options in sockets:
            self._budget.limit = options.max_octets_held
            listener = await serve_listener(
                sock,
                options,
                engine.gateway,
                learn=partial(engine.learn, options.name),
                extensions=lambda name=options.name: engine.extensions(name),  # type: ignore[misc]
                budget=self._budget,
                measures=engine.measures,
                lag=self._lag,
            )
            listener.greet_with(engine.greeting(options.name))
            self._listeners.append(listener)
            _log.info("listening", listener=options.name, bind=options.bind)

    async def _drain(self) -> None:
        _log.info("draining", grace=self._grace)
        ends = (listener.drain(self._grace) for listener in self._listeners)
        if not all(await asyncio.gather(*ends)):
            _log.warning("some sessions had to be ended by force")
