"""Who is let in, and who is trusted."""

import asyncio
import math
from ipaddress import ip_network
from typing import Any

import pytest

from smime_proxy.envelope import Role
from smime_proxy.gateway.ports import Extensions
from smime_proxy.reply import Reply
from smime_proxy.smtp.admission import DRAIN_SECONDS, Admission, plain_address
from smime_proxy.smtp.intake import ByteBudget
from tests.unit.smtp.gateway import FakeGateway, options

LATE = 0.3  # seconds the event loop is late in these tests


class Somebody:
    deadline = math.inf
    task: asyncio.Task[None] | None = None

    def expire(self) -> None: ...

    def nudge(self) -> None: ...

    def hurry(self, seconds: float) -> None: ...

    def abort(self) -> None: ...


class Noted:
    def __init__(self) -> None:
        self.counts: list[tuple[str, dict[str, str]]] = []

    def count(self, name: str, **labels: str) -> None:
        self.counts.append((name, labels))


def admission(measures: Noted | None = None, **changes: Any) -> Admission:
    return Admission(
        options(**{"max_lag": 0} | changes),
        FakeGateway(),
        Extensions,
        ByteBudget(1000),
        measures or Noted(),
        lag=lambda: LATE,
    )


def refused(reply: Reply | None) -> str:
    return f"{reply.code} {reply.enhanced}" if reply else ""


async def test_one_address_has_so_many_sessions_and_gets_them_back() -> None:
    door = admission(max_sessions_per_address=2)
    guests = [Somebody() for _ in range(4)]
    answers = [refused(door.enter(guest, "192.0.2.1")) for guest in guests]
    assert answers == ["", "", "421 4.7.0", "421 4.7.0"]
    assert door.enter(Somebody(), "192.0.2.2") is None
    door.leave(guests[3], "192.0.2.1")  # was never in
    assert refused(door.enter(Somebody(), "192.0.2.1")) == "421 4.7.0"
    door.leave(guests[0], "192.0.2.1")
    assert door.enter(Somebody(), "192.0.2.1") is None


async def test_the_many_addresses_of_one_ipv6_host_are_one() -> None:
    door = admission(max_sessions_per_address=2)
    guests = {f"2001:db8::{number:x}": Somebody() for number in range(3)}
    assert [refused(door.enter(guest, peer)) for peer, guest in guests.items()][2] == "421 4.7.0"
    door.leave(guests["2001:db8::1"], "2001:db8::1")
    assert door.enter(Somebody(), "2001:db8::f00") is None
    assert door.enter(Somebody(), "2001:db8:0:1::1") is None


async def test_a_process_has_so_many_sessions() -> None:
    door = admission(max_sessions=1)
    assert door.enter(Somebody(), "192.0.2.1") is None
    assert refused(door.enter(Somebody(), "192.0.2.2")) == "421 4.3.2"


async def test_nobody_comes_in_while_it_drains() -> None:
    door = admission()
    door.draining = True
    assert refused(door.enter(Somebody(), "192.0.2.1")) == "421 4.3.2"


async def test_a_process_that_is_late_lets_nobody_in_and_takes_no_mail() -> None:
    noted = Noted()
    door = admission(noted, max_lag=LATE / 2)
    assert refused(door.enter(Somebody(), "192.0.2.1")) == "421 4.3.2"
    assert refused(door.put_off()) == "451 4.3.2"
    assert noted.counts == [
        ("sessions_refused", {"listener": "outbound", "reason": "lag"}),
        ("put_off", {"listener": "outbound"}),
    ]
    for change in (0, LATE, LATE * 2):
        door.use(options(max_lag=change))
        assert door.put_off() is None
        assert door.enter(Somebody(), "192.0.2.1") is None


async def test_one_login_has_so_many_sessions_and_gets_them_back() -> None:
    noted = Noted()
    door = admission(noted, max_sessions_per_login=2)
    guests = [Somebody() for _ in range(4)]
    for number, guest in enumerate(guests):
        door.enter(guest, f"192.0.2.{number}")
    assert door.identify(guests[0], "alice") is None
    assert door.identify(guests[0], "alice") is None  # again, behind STARTTLS
    assert door.identify(guests[1], "Alice") is None
    assert refused(door.identify(guests[2], "ALICE")) == "421 4.7.0"
    assert noted.counts[-1] == ("sessions_refused", {"listener": "outbound", "reason": "login"})
    assert door.identify(guests[3], "bob") is None
    door.leave(guests[0], "192.0.2.0")
    assert door.identify(guests[2], "alice") is None
    assert door.identify(guests[1], "") is None  # nobody any more
    assert door.identify(guests[0], "alice") is None
    nobodies = [door.identify(guest, "") for guest in guests]
    assert nobodies == [None] * 4


async def test_patience_is_short_when_nearly_as_many_are_there_as_may_be_or_the_end_is_near() -> (
    None
):
    door = admission(max_sessions=5, stress_seconds=7)
    guests = [Somebody() for _ in range(4)]
    for guest in guests[:3]:
        door.enter(guest, "192.0.2.1")
    assert (door.allowance.idle, door.max_faults) == (300, 20)
    door.enter(guests[3], "192.0.2.1")
    assert (door.allowance.idle, door.allowance.chunk, door.max_faults) == (7, 7, 1)
    door.leave(guests[3], "192.0.2.1")
    assert (door.allowance.idle, door.max_faults) == (300, 20)
    door.draining = True
    assert (door.allowance.idle, door.allowance.behind) == (DRAIN_SECONDS, DRAIN_SECONDS)


@pytest.mark.parametrize(
    ("role", "chosen", "refuses"),
    [
        (Role.INBOUND, "", True),
        (Role.OUTBOUND, "", False),
        (Role.INBOUND, "normalise", False),
        (Role.OUTBOUND, "refuse", True),
    ],
)
def test_bare_line_ends_are_refused_by_role_or_as_the_settings_say(
    role: Role, chosen: str, refuses: bool
) -> None:
    assert options(role, bare_line_ends=chosen).refuses_bare_line_ends is refuses


async def test_those_who_come_and_those_sent_away_are_counted() -> None:
    noted = Noted()
    door = admission(noted, max_sessions_per_address=1)
    door.enter(Somebody(), "192.0.2.1")
    door.enter(Somebody(), "192.0.2.1")
    assert noted.counts == [
        ("sessions", {"listener": "outbound"}),
        ("sessions_refused", {"listener": "outbound", "reason": "address"}),
    ]


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("192.0.2.7", True),
        ("192.0.3.7", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("somewhere", False),
    ],
)
async def test_trust_is_by_network(peer: str, trusted: bool) -> None:
    networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    assert admission(trusted_networks=networks).trusts(peer) is trusted


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_addresses_are_plain(host: str, plain: str) -> None:
    assert plain_address(host) == plain


async def test_who_is_believed_is_another_question_than_who_is_trusted() -> None:
    peers, networks = (ip_network("192.0.2.0/24"),), (ip_network("198.51.100.0/24"),)
    door = admission(trusted_peers=peers, trusted_networks=networks)
    for peer, believed in (("192.0.2.7", True), ("198.51.100.7", False), ("unknown", False)):
        assert door.believes(peer) is believed
    assert not door.trusts("192.0.2.7")
    door.use(options(trusted_networks=()))
    assert not door.believes("192.0.2.7")


async def test_a_session_counts_for_one_address_at_a_time() -> None:
    noted = Noted()
    door = admission(noted, max_sessions_per_address=1)
    one, other = Somebody(), Somebody()
    for guest, peer in ((one, "192.0.2.1"), (other, "192.0.2.2")):
        assert door.enter(guest, peer) is None
    assert door.rename("192.0.2.1", "192.0.2.1") is None
    assert door.rename("192.0.2.1", "192.0.2.3") is None
    assert door.enter(Somebody(), "192.0.2.1") is None
    assert refused(door.rename("192.0.2.3", "192.0.2.2")) == "421 4.7.0"
    assert noted.counts[-1] == ("sessions_refused", {"listener": "outbound", "reason": "address"})
    door.leave(one, "192.0.2.2")
    door.leave(other, "192.0.2.2")
    assert door.enter(Somebody(), "192.0.2.2") is None
