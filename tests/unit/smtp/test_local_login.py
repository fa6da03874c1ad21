"""Passwords checked beside the loop, a few at a time."""

import asyncio
import threading
import time

import pytest

from smime_proxy.reply import Reply
from smime_proxy.smtp.auth import REFUSED, UNAVAILABLE, Authentication
from smime_proxy.smtp.local_login import (
    AT_A_TIME,
    MAX_WAITING,
    LocalAuthenticator,
    LocalIdentity,
)
from smime_proxy.smtp.sasl import Credentials
from smime_proxy.smtp.throttle import FREE_FOR_LOGIN, Throttle

EVE = Credentials("eve", "right")


async def test_a_password_that_fits_proves_the_login() -> None:
    judge = LocalAuthenticator(lambda login, password: (login, password) == ("eve", "right"))
    identity = await judge.judge(EVE)
    assert identity == LocalIdentity("eve")
    assert identity.upstream is None
    await identity.close()
    assert await judge.judge(Credentials("eve", "wrong")) is REFUSED
    assert await judge.judge(Credentials("adam", "right")) is REFUSED


async def test_the_loop_goes_on_and_few_checks_run_at_a_time() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def fits(_login: str, _password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return True

    judge = LocalAuthenticator(fits)
    checks = asyncio.gather(*(judge.judge(EVE) for _ in range(8)))
    await asyncio.sleep(0)
    assert not checks.done()  # the loop did not wait for them
    await checks
    assert most == AT_A_TIME


async def test_too_many_at_once_are_put_off() -> None:
    gate = threading.Event()
    judge = LocalAuthenticator(lambda _login, _password: gate.wait(10))
    checks = [asyncio.ensure_future(judge.judge(EVE)) for _ in range(MAX_WAITING + 1)]
    assert await checks[-1] is UNAVAILABLE
    gate.set()
    assert await asyncio.gather(*checks[:-1]) == [LocalIdentity("eve")] * MAX_WAITING
    assert not isinstance(await judge.judge(EVE), Reply)


async def test_what_fails_counts_against_nobody() -> None:
    def fits(_login: str, _password: str) -> bool:
        raise OSError("the store is away")

    throttle = Throttle(lambda: 0.0)

    async def never(_: bytes) -> bytes | None:
        raise AssertionError

    for _ in range(2 * FREE_FOR_LOGIN):
        authentication = Authentication("127.0.0.1", throttle, lambda _: None)
        with pytest.raises(OSError, match="away"):
            await authentication.authenticate(
                LocalAuthenticator(fits), b"PLAIN AGV2ZQBwYXNz", never, tls=False
            )
    assert throttle.allows("eve", "127.0.0.1")
