"""How late the event loop is."""

import asyncio
import time

from smime_proxy.smtp.lag import TICK_SECONDS, TICKS, Lag


def test_one_pause_is_no_overload() -> None:
    lag = Lag()
    lag.note(30)
    for _ in range(TICKS):
        lag.note(0.001)
    lag.note(30)
    assert lag() < 0.01


def test_being_late_at_three_of_four_looks_is() -> None:
    lag = Lag()
    for _ in range(TICKS - TICKS // 4 - 1):
        lag.note(0.2)
    assert lag() == 0
    lag.note(0.2)
    assert lag() == 0.2


def test_it_passes() -> None:
    lag = Lag()
    for late in [0.2] * TICKS + [-0.001] * (TICKS // 4 + 1):
        lag.note(late)
    assert lag() == 0


async def test_a_loop_that_is_kept_busy_is_late() -> None:
    lag = Lag()
    measuring = asyncio.ensure_future(lag.measure())
    async with asyncio.timeout(60):
        while not lag():
            time.sleep(1.5 * TICK_SECONDS)  # noqa: ASYNC251 - to block the loop is what is tried
            await asyncio.sleep(0)
    measuring.cancel()
