"""Hosts are asked a few questions at once and one after the other."""

import asyncio
import time

import pytest

from smime_proxy.lookup import pace
from smime_proxy.lookup.pace import PER_HOST, Pace, host_of

URL = "http://slow.test:8080/x"


def test_a_host_is_what_a_connection_goes_to() -> None:
    assert host_of("HTTP://Slow.Test:8080/x") == host_of(URL) == "slow.test:8080"
    assert host_of("http://[::1") == ""


async def test_one_host_is_asked_a_few_questions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.0)
    made, now, most = Pace(), 0, 0

    async def question(host: str) -> None:
        nonlocal now, most
        async with made.turn(host, "ocsp", 5):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1

    await asyncio.gather(*(question("one") for _ in range(6)))
    assert most == PER_HOST
    most = 0
    await asyncio.gather(*(question(str(number)) for number in range(9)))
    assert most == 5


async def test_one_host_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PACE_SECONDS", 0.1)
    made, start = Pace(), time.monotonic()
    for _ in range(3):
        async with made.turn("one", "ocsp", 5):
            pass
    assert 0.2 <= time.monotonic() - start < 0.5
    async with made.turn("another", "ocsp", 5):
        pass
    assert time.monotonic() - start < 0.5


async def test_a_host_is_silent_for_a_while_or_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Pace()
    made.note_silence(host_of(URL))
    assert made.is_silent(["http://other.test/", URL])
    assert not made.is_silent(["http://other.test/"])
    with pytest.raises(ValueError, match="broken"):
        async with made.turn(host_of(URL), "ocsp", 5):
            raise ValueError("broken")
    assert made.is_silent([URL])
    async with made.turn(host_of(URL), "ocsp", 5):
        pass
    assert not made.is_silent([URL])
    monkeypatch.setattr(pace, "SILENCE_SECONDS", 0.0)
    made.note_silence(host_of(URL))
    assert not made.is_silent([URL])


async def test_not_all_hosts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MAX_HOSTS", 3)
    made = Pace()
    for number in range(9):
        made.note_silence(str(number))
        async with made.turn(f"asked {number}", "ocsp", 5):
            pass
    assert max(len(made._silent), len(made._last), len(made._turns)) <= 4
