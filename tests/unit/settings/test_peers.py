"""Settings that say who may speak for whom."""

from typing import Any

import pytest

from smime_proxy.settings import Settings
from smime_proxy.settings.checks import check

OUT: dict[str, Any] = {"role": "outbound", "bind": "127.0.0.1:2525", "upstream": "relay"}
RELAY: dict[str, Any] = {"url": "smtp://relay.example"}


def faults(listener: dict[str, Any], relay: dict[str, Any]) -> list[str]:
    tables = {"upstreams": {"relay": RELAY | relay}, "listeners": {"l": OUT | listener}}
    return [str(fault) for fault in check(Settings.model_validate(tables))]


@pytest.mark.parametrize(
    ("listener", "relay"),
    [
        ({"trusted_peers": ["192.0.2.0/24", "::1"], "proxy_protocol": True}, {}),
        ({"trusted_peers": ["10.0.0.0/8"]}, {"client_info": "xclient"}),
        ({}, {"client_info": "proxy", "url": "lmtp://store.example"}),
        ({}, {"client_info": "xforward", "url": "lmtp:///run/lmtp"}),
        ({}, {"client_info": "none", "url": "maildir:///m"}),
    ],
)
def test_sound_settings_have_no_fault(listener: dict[str, Any], relay: dict[str, Any]) -> None:
    assert faults(listener, relay) == []


@pytest.mark.parametrize(
    ("listener", "relay", "start"),
    [
        ({"proxy_protocol": True}, {}, "listeners.l.trusted_peers: must be set with proxy_proto"),
        ({"trusted_peers": ["0.0.0.0/0"]}, {}, "listeners.l.trusted_peers: covers all of IPv4"),
        (
            {"trusted_peers": ["::/1", "8000::/1"]},
            {},
            "listeners.l.trusted_peers: covers all of IPv6",
        ),
        (
            {},
            {"client_info": "xforward", "url": "maildir:///m"},
            "upstreams.relay.client_info: must be none with maildir:///path",
        ),
        (
            {},
            {"client_info": "proxy", "url": "lmtp:///run/lmtp"},
            "upstreams.relay.client_info: proxy is for TCP",
        ),
    ],
)
def test_what_would_let_anybody_be_anybody_is_named(
    listener: dict[str, Any], relay: dict[str, Any], start: str
) -> None:
    (fault,) = faults(listener, relay)
    assert fault.startswith(start)


def test_other_words_are_no_way_to_tell() -> None:
    with pytest.raises(ValueError, match="none or xforward or xclient or proxy"):
        faults({}, {"client_info": "yes"})
