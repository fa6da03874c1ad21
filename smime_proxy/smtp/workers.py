"""Run the service: in one process, or as worker processes that share its listening sockets.

No RFC. The first process of several binds, forks and watches. It never has threads, an event
loop or an open store, so that forking is safe at any time and on every Python.
"""

import asyncio
import ctypes
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Never

import structlog

from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.core_dumps import forbid_core_dumps
from smime_proxy.smtp.pulse import Board, Pulse, Vigil
from smime_proxy.smtp.service import MakeEngine, ServeStatus, ServiceOptions, Worker
from smime_proxy.smtp.sockets import bind, claim
from smime_proxy.smtp.tally import MAX_REPORT_OCTETS, Channel, Tally, report

BACKOFF_SECONDS = (0.2, 1.0, 5.0, 15.0)  # before a process that died is started again
SOUND_SECONDS = 60.0  # alive for so long, a process's next death counts as its first
# Behind the grace, for workers that do not end. Late answers have 10 of them, and so has QUIT.
KILL_SECONDS = 25.0
FAILED_TO_START = 3  # exit code of a process ended by an exception, which is at its start
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_Sockets = Sequence[tuple[socket.socket, ListenerOptions]]
_log = structlog.get_logger("smime_proxy.workers")


def _nothing() -> None:
    """Do nothing."""


def run_service(
    options: ServiceOptions,
    make_engine: MakeEngine,
    serve_status: ServeStatus | None = None,
    prepare: Callable[[], None] = _nothing,
    renew: Callable[[], None] = _nothing,
) -> int:
    """Serve until SIGTERM or SIGINT and give the exit code, 0 after a drain.

    `prepare` is called once the ports and the state directory are ours, before any process is
    made: the place to give up root. `make_engine` is called in each process that takes mail,
    `serve_status` in one process only. `renew` is called in the first of several processes at
    SIGHUP, so that those it makes later begin with what is new; it does not raise. Raises
    `SmtpError` with one line when a port or the state directory is in use.
    """
    forbid_core_dumps()
    lock = claim(options.state_dir)
    sockets = [(bind(one.bind), one) for one in options.listeners]
    shown = bind(options.status_bind) if options.status_bind and serve_status else None
    _allow_many_files()
    prepare()
    workers = options.workers or os.cpu_count() or 1
    if workers == 1:
        return asyncio.run(_alone(options, make_engine, sockets, serve_status, shown))
    channel, board = Channel.make(), Board(workers)
    posts = [
        _Post(lambda slot=slot: _work(options.grace, make_engine, sockets, slot, channel, board))  # type: ignore[misc]
        for slot in range(workers)
    ]
    window = []
    if serve_status is not None and shown is not None:
        window = [_Post(lambda: _show(serve_status, shown, workers, channel))]
    crew = _Crew(posts, window, options.grace, lock, Vigil(options.notifier, board))
    return crew.run(lambda: _let_go(sockets, channel), renew)


async def _alone(
    options: ServiceOptions,
    make_engine: MakeEngine,
    sockets: _Sockets,
    serve_status: ServeStatus | None,
    shown: socket.socket | None,
) -> int:
    notifier = options.notifier
    worker = Worker(options.grace, herald=notifier)
    async with AsyncExitStack() as stack:
        if notifier.watchdog:
            await stack.enter_async_context(_beside(notifier.keep_alive()))
        if serve_status is not None and shown is not None:
            await stack.enter_async_context(_beside(serve_status(shown, worker)))
        await worker.run(make_engine, sockets)
    return 0


async def _work(
    grace: float,
    make_engine: MakeEngine,
    sockets: _Sockets,
    slot: int,
    channel: Channel,
    board: Board,
) -> None:
    pulse = Pulse(board, slot, os.getpid())
    worker = Worker(grace, slot, pulse)
    async with (
        _beside(report(worker, slot, os.getpid(), channel)),
        _beside(pulse.beat()),
    ):
        await worker.run(make_engine, sockets)


async def _show(
    serve_status: ServeStatus, shown: socket.socket, workers: int, channel: Channel
) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # It shows the drain too; the first process ends it last.
        signal.signal(number, signal.SIG_IGN)
    tally = Tally(workers)
    loop.add_reader(channel.read, lambda: tally.take(channel.read.recv(MAX_REPORT_OCTETS)))
    await serve_status(shown, tally)


@asynccontextmanager
async def _beside(serving: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something run for as long as the body does."""
    task = asyncio.ensure_future(serving)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _let_go(sockets: _Sockets, channel: Channel) -> None:
    for sock, _ in sockets:
        sock.close()
    channel.announce_end()


@dataclass(slots=True)
class _Post:
    """A place for one process; `start` is what the process does."""

    start: Callable[[], Coroutine[Any, Any, None]]
    pid: int = 0
    born: float = 0
    deaths: int = 0
    due: float = 0


class _Crew:
    """The processes and who watches them."""

    def __init__(
        self,
        posts: list[_Post],
        window: list[_Post],
        grace: float,
        lock: int,
        vigil: Vigil,
    ) -> None:
        self._posts = posts
        self._vigil = vigil
        self._window = window
        self._grace = grace
        self._lock = lock
        # Nobody writes to it: its end tells the others that the first process is gone.
        self._life, self._own_life = os.pipe()

    def run(self, let_go: Callable[[], None], renew: Callable[[], None]) -> int:
        """Keep all posts filled until a signal ends the service; gives the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            self._fill()
            self._vigil.look(self._pids())
            heard = signal.sigtimedwait(_SIGNALS, self._pause())
            match heard.si_signo if heard is not None else None:
                case signal.SIGTERM | signal.SIGINT:
                    self._vigil.stopping()
                    let_go()
                    self._drain()
                    return 0
                case signal.SIGHUP:
                    self._vigil.reloading(self._pids())
                    renew()
                    self._tell(self._posts, signal.SIGHUP)
                case signal.SIGCHLD:
                    if not self._bury():
                        self._tell(self._posts + self._window, signal.SIGKILL)
                        return 1

    def _fill(self) -> None:
        now = time.monotonic()
        for post in self._posts + self._window:
            if not post.pid and post.due <= now:
                post.born = now
                post.pid = self._fork(post)

    def _pause(self) -> float:
        due = [post.due for post in self._posts + self._window if not post.pid]
        pauses = [max(0.0, one - time.monotonic()) for one in due]
        return min([*pauses, self._vigil.pause])

    def _pids(self) -> list[int]:
        return [post.pid for post in self._posts]

    def _bury(self) -> bool:
        """Take note of the dead; False when the service cannot start."""
        now = time.monotonic()
        for post, pid, code in _dead(self._posts + self._window):
            first = not post.deaths
            post.deaths = 1 if now - post.born > SOUND_SECONDS else post.deaths + 1
            post.due = now + BACKOFF_SECONDS[min(post.deaths, len(BACKOFF_SECONDS)) - 1]
            if first and code == FAILED_TO_START:
                return False
            _log.error("a process died", pid=pid, code=code, again_in=post.due - now)
        return True

    def _drain(self) -> None:
        self._tell(self._posts, signal.SIGTERM)
        until = time.monotonic() + self._grace + KILL_SECONDS
        while any(post.pid for post in self._posts):
            left = until - time.monotonic()
            if left <= 0:
                self._tell(self._posts, signal.SIGKILL)
            signal.sigtimedwait((signal.SIGCHLD,), max(0.1, left))
            _dead(self._posts)
        self._tell(self._window, signal.SIGKILL)

    @staticmethod
    def _tell(posts: list[_Post], number: signal.Signals) -> None:
        for post in posts:
            if post.pid:
                os.kill(post.pid, number)

    def _fork(self, post: _Post) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            self._become(post, parent)
        return pid

    def _become(self, post: _Post, parent: int) -> Never:
        """Be the new process, and end without anything the first one would do at its end."""
        code = FAILED_TO_START
        try:
            os.close(self._own_life)
            os.close(self._lock)
            _die_with(parent)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            asyncio.run(self._live(post))
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    async def _live(self, post: _Post) -> None:
        # The kernel's signal at the parent's death is Linux's; this works everywhere.
        asyncio.get_running_loop().add_reader(self._life, os._exit, 1)
        await post.start()


def _dead(posts: list[_Post]) -> list[tuple[_Post, int, int]]:
    """Empty the posts whose process ended; with its id and exit code, or minus the signal."""
    ended = []
    for post in posts:
        if post.pid:
            pid, status = os.waitpid(post.pid, os.WNOHANG)
            if pid:
                post.pid = 0  # from now on it may be somebody else's
                ended.append((post, pid, os.waitstatus_to_exitcode(status)))
    return ended


def _die_with(parent: int) -> None:
    """Have the kernel end this process when the first one is gone, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _allow_many_files() -> None:
    """Raise the soft limit of open files: each session takes one and its upstream another."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
