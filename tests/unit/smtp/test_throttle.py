"""Row A19: how many wrong passwords are listened to."""

from smime_proxy.smtp.throttle import (
    FORGET_AFTER,
    FREE_FOR_ADDRESS,
    FREE_FOR_LOGIN,
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
    for number in range(FREE_FOR_ADDRESS):
        throttle.failed(f"user{number}", "192.0.2.1")
    assert not throttle.allows("adam", "192.0.2.1")
    assert throttle.allows("adam", "192.0.2.2")


def test_success_clears_the_login_and_not_the_address() -> None:
    throttle = Throttle(Clock())
    for number in range(FREE_FOR_ADDRESS - 1):
        throttle.failed(f"user{number}", "192.0.2.1")
    throttle.failed("adam", "192.0.2.1")
    throttle.succeeded("adam", "192.0.2.1")
    assert throttle.allows("adam", "192.0.2.1")
    throttle.failed("user", "192.0.2.1")
    assert not throttle.allows("adam", "192.0.2.1")


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
    for number in range(MAX_REMEMBERED):
        throttle.failed(f"user{number}", f"address{number}")
    assert len(throttle._failures) == MAX_REMEMBERED
