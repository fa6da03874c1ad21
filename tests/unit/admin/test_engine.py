import asyncio
from typing import Any, cast

from structlog.testing import capture_logs

from smime_proxy.admin.engine import Remembering, Renewed, ServiceEngine, Way, offered
from smime_proxy.admin.metrics import Counters
from smime_proxy.envelope import Origin, Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import Extensions, Transaction
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.errors import TlsSetupError, unreachable

GATEWAY = cast("Gateway", None)


class FakeTransaction:
    def __init__(self, extensions: Extensions) -> None:
        self.extensions = extensions

    async def abort(self) -> None:
        """Be given back."""


class FakeOutlet:
    def __init__(self, extensions: Extensions) -> None:
        self.extensions = extensions
        self.closed = 0
        self.opened = 0
        self.broken = False

    async def open(self, _origin: Origin | None = None, /) -> Transaction:
        self.opened += 1
        await asyncio.sleep(0)
        if self.broken:
            raise unreachable()
        return cast("Transaction", FakeTransaction(self.extensions))

    async def close(self) -> None:
        self.closed += 1


def engine(outlet: FakeOutlet, **more: Any) -> tuple[ServiceEngine, Remembering, list[str]]:
    said: list[str] = []
    upstream = Remembering(outlet)
    ways = {"out": Way(Role.OUTBOUND, upstream), "mx": Way(Role.INBOUND, upstream)}
    built = ServiceEngine(
        GATEWAY,
        Counters(),
        ways,
        background=asyncio.get_running_loop().create_task(more.get("watch", asyncio.sleep)(60)),
        learning=asyncio.get_running_loop().create_task(more.get("learn", asyncio.sleep)(60)),
        chores={
            "lists": asyncio.get_running_loop().create_task(more.get("chore", asyncio.sleep)(60))
        },
        gauges=lambda: {"x": 1.5},
        reload=more.get("reload", lambda: Renewed((), ways, ())),
        release=lambda: said.append("release"),
    )
    return built, upstream, said


async def test_the_first_client_is_offered_what_the_upstream_has_and_nobody_asks_again() -> None:
    outlet = FakeOutlet(Extensions(dsn=True))
    built, _, _ = engine(outlet)
    await asyncio.gather(built.learn("out"), built.learn("mx"))
    await built.learn("out")
    assert built.extensions("out").dsn
    assert outlet.opened == 1
    await built.close()


async def test_an_upstream_that_cannot_be_asked_holds_nobody_up() -> None:
    outlet = FakeOutlet(Extensions(dsn=True))
    outlet.broken = True
    built, upstream, _ = engine(outlet)
    await built.learn("out")
    await built.learn("out")
    assert (outlet.opened, built.extensions("out")) == (1, Extensions())
    outlet.broken = False
    await upstream.open()
    await built.learn("out")
    assert (outlet.opened, built.extensions("out").dsn) == (2, True)
    await built.close()


async def test_what_an_upstream_offered_last_is_offered_to_clients() -> None:
    built, upstream, _ = engine(FakeOutlet(Extensions(smtputf8=False, size=20_000_000)))
    assert built.extensions("out") == Extensions()
    await upstream.open()
    assert built.extensions("out").smtputf8 is False
    assert built.extensions("mx").size == 20_000_000 - 16_384
    await built.close()


def test_a_message_that_is_taken_still_fits_when_it_is_encrypted() -> None:
    size = offered(Extensions(size=10_000_000), Role.OUTBOUND).size
    assert size * 4 / 3 * 78 / 76 < 10_000_000 - 60_000
    assert offered(Extensions(size=0), Role.OUTBOUND).size == 0
    assert offered(Extensions(size=1000), Role.OUTBOUND).size == 1


async def test_closing_ends_everything_once() -> None:
    outlet = FakeOutlet(Extensions())
    built, _, said = engine(outlet)
    assert built.not_ready() == ""
    await built.close()
    assert (outlet.closed, said) == (1, ["release"])
    assert built.not_ready()


async def test_a_reload_that_fails_leaves_the_service_running() -> None:
    def broken() -> Renewed:
        raise TlsSetupError("server.pem: no such file")

    built, _, _ = engine(FakeOutlet(Extensions(size=20_000_000)), reload=broken)
    before = built.extensions("mx")
    assert built.reload() == ()
    assert built.extensions("mx") == before
    assert counted(built, "reloads", "failed") == 1
    await built.close()


async def test_a_reload_puts_listeners_and_upstreams_in_place_of_the_old() -> None:
    old, new = FakeOutlet(Extensions()), Remembering(FakeOutlet(Extensions()))
    new.extensions = Extensions(size=10_000_000)
    listener = ListenerOptions("mx", Role.INBOUND, "127.0.0.1:1")
    renewed = Renewed((listener,), {"mx": Way(Role.INBOUND, new)}, (old,))
    built, _, _ = engine(old, reload=lambda: renewed)
    assert built.reload() == (listener,)
    assert built.extensions("mx").size == 10_000_000 - 16_384
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert old.closed == 1
    assert counted(built, "reloads", "done") == 1
    await built.close()


def counted(built: ServiceEngine, name: str, outcome: str) -> int:
    counts = built.counts().items()
    return sum(count for key, count in counts if key.startswith(name) and outcome in key)


async def test_counts_are_those_of_its_measures() -> None:
    built, _, _ = engine(FakeOutlet(Extensions()))
    built.measures.count("internal_errors")
    assert built.counts() == {"internal_errors": 1}
    assert built.gauges() == {"x": 1.5}
    await built.close()


async def test_a_store_that_is_no_longer_watched_is_told_of_and_keeps_nothing_open() -> None:
    async def broken(_seconds: float) -> None:
        raise ValueError("damaged")

    outlet = FakeOutlet(Extensions())
    with capture_logs() as lines:
        built, _, said = engine(outlet, watch=broken)
        await asyncio.sleep(0.01)
    assert [line["event"] for line in lines] == ["store no longer watched"]
    assert built.not_ready()
    await built.close()
    assert (outlet.closed, said) == (1, ["release"])


async def test_a_service_that_no_longer_learns_says_so_and_goes_on() -> None:
    async def broken(_seconds: float) -> None:
        raise ValueError("damaged")

    outlet = FakeOutlet(Extensions())
    with capture_logs() as lines:
        built, _, said = engine(outlet, learn=broken)
        await asyncio.sleep(0.01)
    assert [line["event"] for line in lines] == ["capabilities no longer written"]
    assert not built.not_ready()
    await built.close()
    assert (outlet.closed, said) == (1, ["release"])


async def test_what_may_be_signed_opaque_still_fits() -> None:
    twice = (4 / 3 * 78 / 76) ** 2
    size = offered(Extensions(size=10_000_000), Role.OUTBOUND, opaque=True).size
    assert 9_000_000 < size * twice < 10_000_000 - 60_000
    signed = offered(Extensions(size=10_000_000), Role.OUTBOUND, encrypts=False)
    assert signed.size == 10_000_000 - 16_384
    opaque = offered(Extensions(size=10_000_000), Role.OUTBOUND, opaque=True, encrypts=False)
    assert opaque.size == int((10_000_000 - 16_384) / 1.4)
    inbound = offered(Extensions(size=10_000_000), Role.INBOUND, opaque=True)
    assert inbound == offered(Extensions(size=10_000_000), Role.INBOUND)
    upstream = Remembering(FakeOutlet(Extensions(size=10_000_000)))
    built, _, _ = engine(FakeOutlet(Extensions()))
    built._ways = {"out": Way(Role.OUTBOUND, upstream, opaque=True)}
    await upstream.open()
    assert built.extensions("out").size == size
    # What leaves as it came may be as large as without us, but for our Received field.
    built._ways = {"out": Way(Role.OUTBOUND, upstream, opaque=True, mode=Mode.OBSERVE)}
    assert built.extensions("out").size == 10_000_000 - 2048
    await built.close()


async def test_mail_goes_on_when_a_chore_ends() -> None:
    async def ends(_seconds: float) -> None:
        raise OSError("gone")

    with capture_logs() as logged:
        built, _, _ = engine(FakeOutlet(Extensions()), chore=ends)
        await asyncio.sleep(0.01)
        assert built.not_ready() == ""
        await built.close()
    assert [entry["chore"] for entry in logged if entry["event"] == "a chore has ended"] == [
        "lists"
    ]
