"""A dot is awaited as long as the client waits, and what comes later is written down behind him."""

import asyncio
import gc
from typing import ClassVar

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.delivery import Group, Prepared, prepare
from smime_proxy.gateway.dots import Attempt, Dots, Due
from smime_proxy.gateway.ledger import Entries
from tests.fakes import OK, FakeLedger, World, envelope, mail
from tests.unit.gateway.cases import BOB, BUSY, PARTNER, STRANGER, TEAM
from tests.unit.gateway.test_sending import entries, settled

SENDER = "x@y.org"


async def prepared(world: World, *addresses: str, content: bytes = b"x") -> tuple[Group, Prepared]:
    paths = tuple(ForwardPath(parse_mailbox(address)) for address in addresses)
    group = Group(world.outside, parse_mailbox(SENDER), paths, (content,))
    item = await prepare(group)
    assert isinstance(item, Prepared)
    return group, item


def attempt(world: World, seconds: float, gone: bool = False) -> Attempt:
    context = world.context()
    found = Entries(context, envelope(mail(SENDER, BOB), SENDER, BOB))
    now = asyncio.get_running_loop().time()
    return Attempt(context, "id", found, Due(now, now + seconds), lambda: gone, claimed=False)


async def test_an_answer_in_time_is_given_and_touches_no_ledger() -> None:
    world = World()
    group, item = await prepared(world, BOB)
    dots = Dots(attempt(world, 20))
    assert [reply for _, reply in await dots.send(group, item)] == [OK]
    assert (dots.late, world.ledger) == (False, FakeLedger())


async def test_of_several_at_once_only_the_one_that_is_late_is_written_down() -> None:
    world = World()
    event = world.outside.held[f"commit:{STRANGER}"] = asyncio.Event()
    dots = Dots(attempt(world, 0.3))
    pairs = [await prepared(world, address) for address in (STRANGER, PARTNER)]
    told = await asyncio.gather(*(dots.send(group, item) for group, item in pairs))
    assert [[reply.code for _, reply in one] for one in told] == [[451], [250]]
    assert (dots.late, entries(world)) == (True, [False])
    event.set()
    await settled(world)
    assert entries(world) == [True]


async def test_a_late_answer_for_each_recipient_is_remembered_for_each() -> None:
    """RFC 2033 4.2: the retry goes to those who do not have it."""
    world = World()
    world.outside.lmtp = True
    event = world.outside.held["commit"] = asyncio.Event()
    world.outside.faults[f"commit:{TEAM}"] = BUSY
    group, item = await prepared(world, BOB, TEAM)
    await Dots(attempt(world, 0.1)).send(group, item)
    assert entries(world) == [False, False]
    event.set()
    await settled(world)
    assert world.ledger is not None
    ((name, accepted),) = world.ledger.entries.items()
    assert (BOB.encode() in name, accepted) == (True, True)


async def test_a_client_that_has_left_is_written_down_while_the_upstream_is_silent() -> None:
    world = World()
    event = world.outside.held["commit"] = asyncio.Event()
    group, item = await prepared(world, BOB)
    task = asyncio.create_task(Dots(attempt(world, 20, gone=True)).send(group, item))
    await asyncio.wait({task}, timeout=1.5)
    assert (task.done(), entries(world)) == (False, [False])
    event.set()
    assert [reply for _, reply in await task] == [OK]


class Watched(bytes):
    """Octets that tell of their end."""

    ended: ClassVar[list[bytes]] = []

    def __del__(self) -> None:
        self.ended.append(bytes(self[:3]))


async def test_i15_an_upstream_that_is_silent_holds_no_content() -> None:
    """I15: the budget of memory counts mail only until its client is answered."""
    world = World()
    event = world.outside.held["commit"] = asyncio.Event()
    found = Entries(world.context(), envelope(Watched(b"raw: x\r\n"), SENDER, BOB))
    now = asyncio.get_running_loop().time()
    made = Attempt(world.context(), "id", found, Due(now, now + 0.1), lambda: False, claimed=False)
    told = await Dots(made).send(*await prepared(world, BOB, content=Watched(b"out: x\r\n")))
    del made, found
    gc.collect()
    assert told[0][1].code == 451
    assert sorted(Watched.ended) == [b"out", b"raw"]
    assert entries(world) == [False]
    event.set()
    await settled(world)
