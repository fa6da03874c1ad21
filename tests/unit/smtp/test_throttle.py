"""Row A19: how many wrong passwords are listened to."""

import pytest

from smime_proxy.smtp.throttle import (
    FORGET_AFTER,
    FREE_FOR_LOGIN,
    FREE_FOR_NETWORK,
    FREE_WHERE_KNOWN,
    KNOWN_FOR,
    LONGEST_WAIT,
    MAX_REMEMBERED,
    Throttle,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempts(throttle: Throttle, clock: Clock, seconds: float, login: str = "eve") -> int:
    """Try a password ten times a second; gives how many were listened to."""
    made = 0
    until = clock.now + seconds
    while clock.now < until:
        if throttle.allows(login, "192.0.2.1"):
            throttle.failed(login, "192.0.2.1")
            made += 1
        clock.now += 0.1
    return made


def test_of_a_thousand_wrong_passwords_few_are_listened_to() -> None:
    clock = Clock()
    assert attempts(Throttle(clock), clock, 100) == FREE_FOR_LOGIN + 6  # 1, 2, 4, ... 32 s


def test_the_wait_has_an_end() -> None:
    clock, throttle = Clock(), Throttle(Clock())
    throttle = Throttle(clock)
    for _ in range(200):
        throttle.failed("eve", "192.0.2.1")
    clock.now += LONGEST_WAIT - 1
    assert not throttle.allows("eve", "192.0.2.1")
    clock.now += 1
    assert throttle.allows("eve", "192.0.2.1")


def test_a_login_is_throttled_from_every_address_and_in_every_spelling() -> None:
    throttle = Throttle(Clock())
    for number in range(FREE_FOR_LOGIN):
        throttle.failed("Eve", f"192.0.2.{number}")
    assert not throttle.allows("eve", "198.51.100.1")
    assert throttle.allows("adam", "192.0.2.1")


def test_an_address_is_throttled_whatever_login_it_tries() -> None:
    throttle = Throttle(Clock())
    for number in range(FREE_FOR_NETWORK):
        throttle.failed(f"user{number}", "192.0.2.1")
    assert not throttle.allows("adam", "192.0.2.1")
    assert throttle.allows("adam", "192.0.2.2")


@pytest.mark.parametrize(
    "spelling", ["EVE", "\uff45ve", " eve ", "e\u00adve", "ev\u200be", "\uff25VE\u2003"]
)
def test_no_spelling_a_server_may_fold_is_free(spelling: str) -> None:
    """RFC 4616 2 has servers prepare names by SASLprep; many fold the case."""
    throttle = Throttle(Clock())
    for _ in range(FREE_FOR_LOGIN):
        throttle.failed("eve", "192.0.2.1")
    assert not throttle.allows(spelling, "198.51.100.1")


def test_the_many_addresses_of_one_ipv6_host_are_one() -> None:
    throttle = Throttle(Clock())
    for number in range(FREE_FOR_NETWORK):
        throttle.failed(f"user{number}", f"2001:db8::{number:x}")
    assert not throttle.allows("adam", "2001:db8::ffff:1")
    assert throttle.allows("adam", "2001:db8:0:1::1")


def test_success_takes_back_what_it_counted_and_nothing_else() -> None:
    throttle = Throttle(Clock())
    for number in range(FREE_FOR_NETWORK - 1):
        throttle.failed(f"user{number}", "192.0.2.1")
    for _ in range(FREE_FOR_LOGIN - 1):
        throttle.failed("adam", "192.0.2.9")
    throttle.failed("adam", "192.0.2.1")
    throttle.succeeded("adam", "192.0.2.1")
    assert throttle.allows("eve", "192.0.2.1")
    assert throttle.allows("adam", "192.0.2.2")
    throttle.failed("adam", "192.0.2.1")
    assert not throttle.allows("eve", "192.0.2.1")
    assert not throttle.allows("adam", "192.0.2.2")


def test_a_stranger_who_never_stops_locks_nobody_out_at_his_usual_place() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    throttle.failed("eve", "198.51.100.1")
    throttle.succeeded("eve", "198.51.100.1")
    attempts(throttle, clock, 3 * LONGEST_WAIT)
    assert not throttle.allows("eve", "203.0.113.1")
    assert throttle.allows("eve", "198.51.100.1")
    clock.now += KNOWN_FOR
    throttle.failed("eve", "192.0.2.1")
    for _ in range(FREE_FOR_LOGIN):
        throttle.failed("eve", "192.0.2.1")
    assert not throttle.allows("eve", "198.51.100.1")


def test_neither_does_his_neighbour() -> None:
    throttle = Throttle(Clock())
    throttle.succeeded("eve", "192.0.2.1")
    for number in range(2 * FREE_FOR_NETWORK):
        throttle.failed(f"user{number}", "192.0.2.1")
    assert not throttle.allows("adam", "192.0.2.1")
    assert throttle.allows("eve", "192.0.2.1")


def test_a_known_place_is_no_licence_to_guess() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    throttle.succeeded("eve", "192.0.2.1")
    assert attempts(throttle, clock, 100) == FREE_WHERE_KNOWN + 6


def test_many_attempts_at_once_of_a_program_that_is_known_are_no_failures() -> None:
    throttle = Throttle(Clock())
    throttle.succeeded("eve", "192.0.2.1")
    for _ in range(FREE_WHERE_KNOWN - 1):
        throttle.failed("eve", "192.0.2.1")
    assert throttle.allows("eve", "192.0.2.1")
    for _ in range(FREE_WHERE_KNOWN - 1):
        throttle.succeeded("eve", "192.0.2.1")
    assert throttle._failures == {}


def test_what_nobody_could_judge_does_not_count() -> None:
    throttle = Throttle(Clock())
    for _ in range(3 * FREE_FOR_LOGIN):
        throttle.failed("eve", "192.0.2.1")
        throttle.undecided("eve", "192.0.2.1")
    assert throttle.allows("eve", "192.0.2.1")


def test_failures_are_forgotten() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FREE_FOR_LOGIN - 1):
        throttle.failed("eve", "192.0.2.1")
    clock.now += FORGET_AFTER
    throttle.failed("eve", "192.0.2.1")
    assert throttle.allows("eve", "192.0.2.1")


def test_memory_is_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(MAX_REMEMBERED + 1):
        throttle.failed(f"user{number}" * 100, f"address{number}")
        throttle.succeeded("somebody", f"place{number}")
    kept = len(throttle._failures), len(throttle._known)
    assert kept == (MAX_REMEMBERED, MAX_REMEMBERED)
    named = sum("user" in str(key) for key in throttle._failures)
    assert named == 0  # people type their password there
