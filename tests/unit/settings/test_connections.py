import pytest
from pydantic import ValidationError

from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.fields import read_network


def test_loopback_may_relay_when_nothing_else_is_said() -> None:
    table = {"role": "outbound", "bind": "127.0.0.1:25", "upstream": "relay"}
    assert Listener.model_validate(table).relaying_networks == (
        read_network("127.0.0.0/8"),
        read_network("::1"),
    )
    assert Listener.model_validate(table | {"trusted_networks": []}).relaying_networks == ()


@pytest.mark.parametrize("wrong", [{"dot": 0}, {"mail": -1}, {"data": 4000}, {"dots": 5}])
def test_upstreams_are_waited_for_some_time_and_not_for_ever(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Upstream.model_validate({"url": "smtp://relay.example.com:587", "timeouts": wrong})
