"""What goes on behind the client goes on to its end, and a fault of it is in the log."""

import asyncio

import pytest

from smime_proxy.gateway.late import Late


async def test_what_is_late_is_waited_for_when_the_process_ends() -> None:
    late, done = Late(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.set()

    chore = asyncio.create_task(late.watch(10))
    late.add(work())
    await asyncio.sleep(0)
    chore.cancel()
    await asyncio.wait({chore})
    assert done.is_set()


async def test_the_end_is_not_put_off_for_long() -> None:
    late = Late()
    late.add(asyncio.sleep(60))
    chore = asyncio.create_task(late.watch(0.05))
    await asyncio.sleep(0)
    chore.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({chore})


async def test_a_fault_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    late = Late()

    async def work() -> None:
        raise RuntimeError

    late.add(work())
    await asyncio.sleep(0.01)
    assert "internal error behind the mail" in capsys.readouterr().out
