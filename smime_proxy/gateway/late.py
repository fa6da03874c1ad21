"""What goes on after the client was answered: replies of upstreams that take their time.

RFC 5321 4.5.3.2.6 (an upstream may take 10 minutes to answer the dot).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

LAST_SECONDS = 10.0  # for upstreams to answer while the process ends


_log = structlog.get_logger("smime_proxy.gateway")


class Late:
    """The tasks of one process that no client waits for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it go on by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def watch(self, seconds: float = LAST_SECONDS) -> None:
        """Wait until cancelled, and then some `seconds` for what still goes on."""
        try:
            await asyncio.Event().wait()
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("internal error behind the mail", exc_info=task.exception())
