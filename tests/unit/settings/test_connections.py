from smime_proxy.settings.connections import Listener
from smime_proxy.settings.fields import read_network


def test_loopback_may_relay_when_nothing_else_is_said() -> None:
    table = {"role": "outbound", "bind": "127.0.0.1:25", "upstream": "relay"}
    assert Listener.model_validate(table).relaying_networks == (
        read_network("127.0.0.0/8"),
        read_network("::1"),
    )
    assert Listener.model_validate(table | {"trusted_networks": []}).relaying_networks == ()
