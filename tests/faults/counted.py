"""The service as a test runs it to kill it at an exact place: its coroutines count where they wait.

Nothing of the program is changed but that the coroutine of each client session, and every task it
makes, is driven through `Counted`; at the boundary asked for the process sends itself SIGKILL.
"""

import asyncio
import contextvars
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import CodeType
from typing import Any

from smime_proxy.admin.cli.program import run
from smime_proxy.app import build
from smime_proxy.smtp.server import Dialogue

_inside = contextvars.ContextVar("inside", default=False)


class Points:
    """Counts boundaries while armed; shared with the process that wants to know."""

    def __init__(
        self, armed: "Synchronized[int]", sessions: "Synchronized[int]", log: Path
    ) -> None:
        self._armed = armed
        self._sessions = sessions
        self._log = log
        self._met = 0

    def begin(self) -> None:
        """A client session begins: count anew."""
        self._met = 0

    def end(self) -> None:
        """A client session has ended."""
        self._sessions.value += 1

    def reach(self, event: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Count one boundary, or die here; the log says where."""
        if not self._armed.value:
            return
        self._met += 1
        if self._met == self._armed.value:
            self._log.write_text(f"{event} {_place(coroutine)}")
            os.kill(os.getpid(), signal.SIGKILL)


def _place(coroutine: Any) -> str:
    """Say where the innermost coroutine of ours stands."""
    shown = ""
    while coroutine is not None:
        inner = getattr(coroutine, "coroutine", coroutine)
        frame = getattr(inner, "cr_frame", None)
        if frame is not None:
            code: CodeType = frame.f_code
            path = code.co_filename.partition("smime_proxy/")
            if path[1]:
                shown = f"{path[2]}:{frame.f_lineno} {code.co_qualname}"
        coroutine = getattr(inner, "cr_await", None)
    return shown


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine whose every suspension and resumption is a boundary."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], points: Points, ended: Callable[[], None]
    ) -> None:
        self.coroutine = coroutine
        self._points = points
        self._ended = ended

    def send(self, value: Any) -> Any:
        return self._step(lambda: self.coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        return self._step(lambda: self.coroutine.throw(*error))

    def close(self) -> None:
        self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]

    def _step(self, step: Callable[[], Any]) -> Any:
        _inside.set(True)
        self._points.reach("before", self.coroutine)
        try:
            waiting = step()
        except BaseException:
            self._points.reach("end", self.coroutine)
            self._ended()
            raise
        self._points.reach("after", self.coroutine)
        return waiting


def _end_with_the_test_run() -> None:
    """Wait for the end of the process that asked for this one; the one that forked it stays."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def serve_counted(
    config: Path, log: Path, armed: "Synchronized[int]", sessions: "Synchronized[int]"
) -> None:
    """Run the service; `armed` is the boundary to die at, 0 for none; `sessions` that ended."""
    threading.Thread(target=_end_with_the_test_run, daemon=True).start()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    points = Points(armed, sessions, log.with_suffix(".point"))
    original = Dialogue._handle_client

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        if _inside.get() and not isinstance(coroutine, Counted):
            coroutine = Counted(coroutine, points, lambda: None)
        return asyncio.Task(coroutine, loop=loop, **more)

    def handle(connection: Dialogue) -> Coroutine[Any, Any, None]:
        asyncio.get_running_loop().set_task_factory(factory)
        points.begin()
        return Counted(original(connection), points, points.end)

    Dialogue._handle_client = handle  # type: ignore[method-assign, assignment]
    sys.exit(run(["--config", str(config), "serve"], {}, build))
