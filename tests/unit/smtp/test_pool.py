"""The pool with sessions on transports of the test's own."""

import asyncio

import pytest

from smime_proxy.gateway.ports import Extensions, UpstreamError
from smime_proxy.smtp.errors import unreachable
from smime_proxy.smtp.pool import Pool, PoolLimits, Unpooled
from smime_proxy.smtp.session import Session
from tests.unit.smtp.test_session import Wire


class Made:
    """Makes sessions and counts them."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    async def __call__(self) -> Session:
        self.wires.append(Wire())
        return Session(self.wires[-1], Extensions(), pipelining=True)


@pytest.fixture
def made() -> Made:
    return Made()


async def test_the_session_given_back_last_is_taken_first(made: Made) -> None:
    pool = Pool(made)
    first, second = await pool.take(), await pool.take()
    assert not first.reused
    pool.give(first)
    pool.give(second)
    assert await pool.take() is second
    assert await pool.take() is first
    assert first.reused
    assert len(made.wires) == 2


async def test_a_session_the_upstream_closed_meanwhile_is_not_taken(made: Made) -> None:
    pool = Pool(made)
    session = await pool.take()
    pool.give(session)
    session.eof_received()
    assert await pool.take() is not session


async def test_a_session_that_owes_a_reply_or_half_of_one_is_not_kept(made: Made) -> None:
    pool = Pool(made)
    owing, half = await pool.take(), await pool.take()
    answer = owing.request(b"NOOP\r\n", 9)
    half.data_received(b"4")
    pool.give(owing)
    pool.give(half)
    assert await pool.take() not in (owing, half)
    with pytest.raises(UpstreamError):
        await answer


async def test_idle_sessions_are_closed_when_their_time_is_up(made: Made) -> None:
    pool = Pool(made, PoolLimits(idle=0.05))
    early, late = await pool.take(), await pool.take()
    pool.give(early)
    await asyncio.sleep(0.03)
    pool.give(late)
    await asyncio.sleep(0.035)
    assert made.wires[0].written == [b"QUIT\r\n"]
    assert made.wires[1].written == []
    await asyncio.sleep(0.05)
    assert made.wires[1].written == [b"QUIT\r\n"]
    last = await pool.take()
    assert last not in (early, late)
    pool.give(last)
    await asyncio.sleep(0.1)
    assert made.wires[2].written == [b"QUIT\r\n"]


async def test_a_session_too_old_is_closed_rather_than_kept(made: Made) -> None:
    pool = Pool(made, PoolLimits(age=0.0))
    session = await pool.take()
    pool.give(session)
    assert made.wires[0].written == [b"QUIT\r\n"]
    assert await pool.take() is not session


async def test_only_so_many_idle_sessions_are_kept(made: Made) -> None:
    pool = Pool(made, PoolLimits(sessions=2))
    for session in [await pool.take() for _ in range(3)]:
        pool.give(session)
    assert [wire.written for wire in made.wires] == [[], [], [b"QUIT\r\n"]]


async def test_closing_says_goodbye_and_keeps_nothing_afterwards(made: Made) -> None:
    pool = Pool(made)
    idle, busy = await pool.take(), await pool.take()
    pool.give(idle)
    closing = asyncio.ensure_future(pool.close())
    await asyncio.sleep(0)
    assert made.wires[0].written == [b"QUIT\r\n"]
    idle.connection_lost(None)
    await closing
    pool.give(busy)
    assert made.wires[1].written == [b"QUIT\r\n"]


async def test_what_making_a_session_raises_reaches_the_caller() -> None:
    async def refuse() -> Session:
        raise unreachable()

    with pytest.raises(UpstreamError, match=r"^451 4\.4\.1 "):
        await Pool(refuse).take()


async def test_what_belongs_to_one_client_is_never_kept(made: Made) -> None:
    own = Unpooled(made)
    session = await own.take()
    own.give(session)
    assert made.wires[0].written == [b"QUIT\r\n"]
    assert await own.take() is not session
    assert await own.fresh() is not session
