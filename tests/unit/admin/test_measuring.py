"""What a process measures is gathered under the names the endpoint knows."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smime_proxy.admin.engine import Remembering
from smime_proxy.admin.measuring import PendingWatch, measured, modes
from smime_proxy.admin.metrics import GAUGES
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.ports import Extensions, UpstreamError
from smime_proxy.policy.harvest import Caution
from smime_proxy.stores import pending
from smime_proxy.stores.connection import Store
from smime_proxy.stores.open import open_store
from tests.unit.admin.test_engine import FakeOutlet
from tests.unit.stores.test_pending import key


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store("sqlite", tmp_path / "state", None, migrate=False).store


async def test_keys_that_wait_are_counted(store: Store) -> None:
    watch = PendingWatch(store)
    assert watch.gauges() == {}
    await watch.look()
    assert watch.gauges() == {"keys_pending": 0}
    with store.noticing() as noticing:
        noticing.written = True
        pending.put(noticing.connection, key(), Caution.NONE)
    await watch.look()
    assert watch.gauges() == {"keys_pending": 1}


async def test_a_store_that_cannot_be_read_leaves_the_number_as_it_was(store: Store) -> None:
    watch = PendingWatch(store)
    await watch.look()
    store.close()
    store.path.write_bytes(b"no database" * 1000)
    with capture_logs() as lines:
        await watch.look()
    assert [line["event"] for line in lines] == ["pending keys not counted"]
    assert watch.gauges() == {"keys_pending": 0}


async def test_an_upstream_is_unreachable_once_no_session_can_be_had() -> None:
    outlet = FakeOutlet(Extensions())
    upstream = Remembering(outlet)
    for broken in (False, True, False):
        outlet.broken = broken
        try:
            await upstream.open()
        except UpstreamError:
            assert broken
        shown = measured({"relay": upstream}, 0.25, lambda: {"keys_pending": 3.0})
        assert shown == {
            "upstream_reachable\trelay": float(not broken),
            "keys_pending": 3.0,
            "snapshot_age_seconds": 0.25,
        }
        assert {full.partition("\t")[0] for full in shown} <= set(GAUGES)


def test_each_listener_is_measured_under_its_mode() -> None:
    found = modes({"out": Mode.ENFORCE, "in": Mode.OBSERVE})
    assert found == {"mode\tout\tenforce": 1.0, "mode\tin\tobserve": 1.0}
