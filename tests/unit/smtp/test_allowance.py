"""How long a client may take, and what it earns."""

import math

from smime_proxy.smtp.allowance import Allowance

ALLOWED = Allowance(idle=300, line=60, chunk=180, content=1800, behind=30, rate=100)


def test_content_may_be_behind_the_rate_for_a_while() -> None:
    assert ALLOWED.begun(1000) == 1030


def test_each_octet_earns_its_time() -> None:
    assert ALLOWED.earned(1030, 500, 1001) == 1035
    assert ALLOWED.earned(1030, 0, 1001) == 1030


def test_no_more_is_earned_in_advance_than_silence_may_last() -> None:
    assert ALLOWED.earned(1030, 1_000_000, 1001) == 1181


def test_a_trickle_ends_whoever_it_is() -> None:
    until, now = ALLOWED.begun(0), 0
    while now < until:
        now += 1
        until = ALLOWED.earned(until, 1, now)
    assert now < 40


def test_who_is_as_fast_as_the_rate_never_ends() -> None:
    until = ALLOWED.begun(0)
    for now in range(1, 5000):
        until = ALLOWED.earned(until, 100, now)
        assert until > now


def test_without_a_rate_everybody_is_fast() -> None:
    free = Allowance(idle=300, line=60, chunk=180, content=1800, behind=30, rate=0)
    assert free.begun(1) == math.inf
    assert free.earned(math.inf, 0, 1) == math.inf


def test_in_a_hurry_every_patience_is_short_and_none_grows() -> None:
    hurried = ALLOWED.hurried(45)
    assert (hurried.idle, hurried.line, hurried.chunk, hurried.behind) == (45, 45, 45, 30)
    assert (hurried.content, hurried.rate) == (1800, 100)
    assert hurried.earned(1180, 0, 1000) == 1045
