"""How late the event loop is: the measure of a process that has more to do than it can.

No RFC. A ticker asks to be woken and looks how much later it was; Haraka's toobusy does the same.
"""

import asyncio
from collections import deque
from typing import Never

TICK_SECONDS = 0.2  # five looks a second cost nothing
TICKS = 25  # five seconds: large messages, or pauses of the machine, are no overload


class Lag:
    """How late the loop was lately, in seconds: at least this at three of four looks."""

    def __init__(self) -> None:
        """Begin in time."""
        self._late = deque([0.0] * TICKS, TICKS)
        self.seconds = 0.0

    def __call__(self) -> float:
        """Give the seconds."""
        return self.seconds

    def note(self, late: float) -> None:
        """Take in how late one look came."""
        self._late.append(max(0.0, late))
        self.seconds = sorted(self._late)[TICKS // 4]

    async def measure(self) -> Never:
        """Look for as long as the process serves."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.note(loop.time() - due)
