"""Computations in threads: awaited, or left behind, and only so many of those."""

import asyncio
import threading

import pytest

from smime_proxy.gateway.aside import MAX_LEFT, Aside


async def test_what_is_computed_is_given_and_what_is_raised_is_raised() -> None:
    aside, names = Aside(), []

    def named() -> int:
        names.append(threading.current_thread().name)
        return 5

    assert await aside.run(named) == 5
    assert names != [threading.current_thread().name]
    with pytest.raises(ZeroDivisionError):
        await aside.run(lambda: 1 // 0)


async def test_who_stops_waiting_leaves_a_thread_behind_until_it_ends() -> None:
    aside, go_on = Aside(), threading.Event()
    for _ in range(MAX_LEFT):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await aside.run(go_on.wait)
    assert aside.left == MAX_LEFT
    with pytest.raises(TimeoutError, match="too many"):
        await aside.run(go_on.wait)
    go_on.set()
    async with asyncio.timeout(10):
        while aside.left:  # noqa: ASYNC110 - threads end when they end
            await asyncio.sleep(0.01)
    assert await aside.run(go_on.wait)


async def test_what_ends_in_the_moment_it_is_given_up_is_not_left_behind() -> None:
    """Else a few such moments would keep every later mail from being judged."""
    aside = Aside()
    task = asyncio.create_task(aside.run(lambda: 5))
    await asyncio.sleep(0)  # it begins
    for thread in threading.enumerate():
        if thread.name == "aside":
            thread.join(10)
    asyncio.get_running_loop().call_soon(task.cancel)  # behind the result, before it is taken
    with pytest.raises(asyncio.CancelledError):
        await task
    assert aside.left == 0
