"""Computations in threads that nobody has to wait for to the end.

No RFC. A thread cannot be ended from outside; these end with the process, and only so many may be
left behind.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

MAX_LEFT = 4  # computations of one process that go on although nobody waits for them any more

_Result = TypeVar("_Result")


class Aside:
    """The computations of one process; `left` are those that nobody waits for any more."""

    def __init__(self) -> None:
        """Start with none."""
        self.left = 0

    async def run(self, compute: Callable[[], _Result]) -> _Result:
        """Give what a function gives, computed in a thread; raises what it raises.

        Raises TimeoutError when too many are left behind already. Cancelled, it leaves this one.
        """
        if self.left >= MAX_LEFT:
            raise TimeoutError("too many computations go on already")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                result = context.run(compute)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                settle: Callable[[], None] = partial(done.set_exception, error)
            else:
                settle = partial(done.set_result, result)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._end, done, settle)

        threading.Thread(target=work, name="aside", daemon=True).start()
        try:
            return await done
        except asyncio.CancelledError:
            self.left += done.cancelled()  # else it ended in that very moment
            raise

    def _end(self, done: "asyncio.Future[_Result]", settle: Callable[[], None]) -> None:
        if done.cancelled():
            self.left -= 1
        else:
            settle()
