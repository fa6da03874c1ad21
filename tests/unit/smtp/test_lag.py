"""How late the event loop is."""

import asyncio
import time

import pytest

from smime_proxy.smtp import lag as lag_module
from smime_proxy.smtp.lag import TICKS, Lag


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


async def test_a_loop_that_is_kept_busy_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag_module, "TICK_SECONDS", 0.02)
    lag = Lag()
    measuring = asyncio.ensure_future(lag.measure())
    async with asyncio.timeout(60):
        while lag() < 0.005:
            time.sleep(0.03)  # noqa: ASYNC251 - to block the loop is what is tried
            await asyncio.sleep(0)
    measuring.cancel()
