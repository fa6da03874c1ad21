"""Access tokens: what passes for one, how long it is kept, and when another is fetched."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from smime_proxy.smtp.access_token import (
    ASSUMED_LIFE,
    EARLY,
    LONGEST_LIFE,
    REFETCH_PAUSE,
    AccessTokens,
    read_answer,
)
from smime_proxy.smtp.errors import TokenError

CANARY = "canary-of-a-token"


def answer(**changes: Any) -> bytes:
    given = {"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600} | changes
    return json.dumps({name: value for name, value in given.items() if value is not None}).encode()


@dataclass
class Endpoint:
    """Gives t1, t2 and so on; `now` is the clock."""

    life: float = 3600
    now: float = 1000.0
    asked: int = 0
    broken: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if self.broken:
            raise TokenError("away")
        return answer(access_token=f"t{self.asked}", expires_in=self.life)

    def tokens(self) -> AccessTokens:
        self.gate.set()
        return AccessTokens(self.ask, lambda: self.now)


@pytest.mark.parametrize(
    ("raw", "life"),
    [
        (answer(), 3600),
        (answer(token_type="bearer"), 3600),
        (answer(expires_in="3599"), 3599),
        (answer(expires_in=None), ASSUMED_LIFE),
        (answer(expires_in="soon"), ASSUMED_LIFE),
        (answer(expires_in=[]), ASSUMED_LIFE),
        (answer(expires_in="nan"), ASSUMED_LIFE),
        (answer(expires_in=-5), 0),
        (answer(expires_in=1e300), LONGEST_LIFE),
        (answer(expires_in="inf"), LONGEST_LIFE),
        (answer(refresh_token="x"), 3600),
    ],
)
def test_a_token_and_its_life_are_read(raw: bytes, life: float) -> None:
    assert read_answer(raw) == (CANARY, life)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>canary-of-a-token",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'"canary-of-a-token"',
        answer(access_token=None),
        answer(access_token=""),
        answer(access_token=["canary-of-a-token"]),
        answer(access_token=f"{CANARY}\r\nMAIL FROM:<>"),
        answer(access_token=f"{CANARY}\x01"),
        answer(access_token="ü"),
        answer(access_token=CANARY * 1000),
        answer(token_type=None),
        answer(token_type="mac"),
        answer(token_type=1),
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(raw: bytes) -> None:
    with pytest.raises(TokenError) as refused:
        read_answer(raw)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    assert await tokens.token() == "t1"
    endpoint.now += 3600 - EARLY - 1
    assert await tokens.token() == "t1"
    endpoint.now += 1
    assert await tokens.token() == "t2"


async def test_a_short_lived_one_is_used_for_half_of_its_life() -> None:
    endpoint = Endpoint(life=10)
    tokens = endpoint.tokens()
    await tokens.token()
    endpoint.now += 4.9
    assert await tokens.token() == "t1"
    endpoint.now += 0.1
    assert await tokens.token() == "t2"


async def test_many_who_need_one_ask_once() -> None:
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    endpoint.gate.clear()
    waiting = [asyncio.ensure_future(tokens.token()) for _ in range(10)]
    await asyncio.sleep(0)
    endpoint.gate.set()
    assert await asyncio.gather(*waiting) == ["t1"] * 10


async def test_a_refused_one_is_replaced_and_not_with_every_mail() -> None:
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    assert tokens.reject(await tokens.token())
    assert await tokens.token() == "t2"
    assert tokens.reject("t1")  # it is long replaced
    assert await tokens.token() == "t2"
    assert not tokens.reject("t2")
    assert await tokens.token() == "t2"
    endpoint.now += REFETCH_PAUSE
    assert tokens.reject("t2")
    assert await tokens.token() == "t3"


async def test_an_endpoint_that_is_away_gives_none_and_an_ended_token_is_not_used() -> None:
    endpoint = Endpoint()
    tokens = endpoint.tokens()
    await tokens.token()
    endpoint.now += 3600
    endpoint.broken = True
    for _ in range(2):
        with pytest.raises(TokenError):
            await tokens.token()
    endpoint.broken = False
    assert await tokens.token() == "t4"
