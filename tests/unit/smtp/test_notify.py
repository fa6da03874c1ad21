"""What the service manager is told, on a real socket."""

from pathlib import Path

import pytest

from smime_proxy.smtp.notify import Notifier
from tests.notify_socket import Manager


@pytest.mark.parametrize("is_abstract", [False, True])
def test_each_state_is_told_in_the_words_of_the_protocol(tmp_path: Path, is_abstract: bool) -> None:
    with Manager(None if is_abstract else tmp_path / "notify") as manager:
        notifier = Notifier(manager.address, clock=lambda: 12.5)
        assert notifier
        notifier.serving()
        notifier.reloading()
        notifier.reloaded()
        notifier.alive()
        notifier.status("One line")
        notifier.stopping()
        assert [line for line in manager.lines() if not line.startswith("STATUS=")] == [
            "READY=1",
            "RELOADING=1",
            "MONOTONIC_USEC=12500000",
            "READY=1",
            "WATCHDOG=1",
            "STOPPING=1",
        ]
        assert "STATUS=One line" in manager.lines()
        assert "" not in manager.lines()


def test_nobody_is_told_where_there_is_no_manager(tmp_path: Path) -> None:
    absent = Notifier.of({}, 1)
    assert not absent
    absent.serving()
    gone = Notifier(str(tmp_path / "gone"), 5)
    gone.serving()  # the service goes on


def test_a_manager_that_does_not_listen_holds_nobody_up(tmp_path: Path) -> None:
    with Manager(tmp_path / "notify") as manager:
        notifier = Notifier(manager.address)
        for _ in range(10_000):
            notifier.alive()
        assert 0 < manager.count("WATCHDOG=1") < 10_000


@pytest.mark.parametrize(
    ("environment", "heard", "watchdog"),
    [
        ({}, False, 0),
        ({"WATCHDOG_USEC": "3000000"}, False, 0),
        ({"NOTIFY_SOCKET": "/run/notify"}, True, 0),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": "3000000"}, True, 3),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, True, 3),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, True, 0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, True, 0),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, False, 0),
    ],
)
def test_the_environment_says_who_listens_and_how_often(
    environment: dict[str, str], heard: bool, watchdog: float
) -> None:
    notifier = Notifier.of(environment, 7)
    assert (bool(notifier), notifier.watchdog) == (heard, watchdog)
