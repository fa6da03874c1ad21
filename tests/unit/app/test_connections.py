from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from smime_proxy.app.connections import find_place, listener_options, upstream_makers
from smime_proxy.envelope import Role
from smime_proxy.settings import Settings
from smime_proxy.settings.connections import Upstream
from smime_proxy.smtp.admission import ListenerOptions
from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.relay import DEFAULT_TIMEOUTS, Relay
from smime_proxy.smtp.upstream import SmtpUpstream

UPSTREAMS = {"one": {"url": "maildir:///one"}, "two": {"url": "maildir:///two"}}
OUT = {"role": "outbound", "bind": "127.0.0.1:1", "upstream": "one"}
IN = {"role": "inbound", "bind": "127.0.0.1:2", "upstream": "two", "domains": ["example.test"]}


def test_a_password_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xff\n")
    relay = {"url": "smtp://relay.example.com:587", "username": "us", "password_file": str(file)}
    settings = Settings.model_validate({"upstreams": {"relay": relay}})
    with pytest.raises(SmtpError, match="password: the password is not UTF-8"):
        upstream_makers(settings)


def test_an_upstream_is_waited_for_as_long_as_the_settings_say() -> None:
    relay = {"url": "smtp://relay.example.com:587", "tls": "never"}
    quick = relay | {"timeouts": {"dot": 7, "mail": 0.5}}
    settings = Settings.model_validate({"upstreams": {"relay": relay, "quick": quick}})
    made = {name: make() for name, make in upstream_makers(settings).items()}
    assert isinstance(made["relay"], SmtpUpstream)
    assert isinstance(made["quick"], SmtpUpstream)
    assert made["relay"]._timeouts == DEFAULT_TIMEOUTS
    assert made["quick"]._timeouts == replace(DEFAULT_TIMEOUTS, dot=7.0, mail=0.5)


@pytest.mark.parametrize("way", ["none", "xforward", "xclient", "proxy"])
def test_an_upstream_is_told_of_clients_as_the_settings_say(way: str) -> None:
    table = Upstream.model_validate({"url": "smtp://r.example", "tls": "never", "client_info": way})
    place = find_place(table)
    assert isinstance(place, Relay)
    assert place.client_info == way


def test_listeners_carry_their_settings() -> None:
    behind = IN | {"trusted_peers": ["192.0.2.0/24"], "proxy_protocol": True}
    tables = {"upstreams": UPSTREAMS, "listeners": {"a": OUT, "b": behind}}
    settings = Settings.model_validate(tables | {"service": {"max_message_size": "10MB"}})
    submission, mx = listener_options(settings)
    assert (submission.name, submission.role, submission.bind) == (
        "a",
        Role.OUTBOUND,
        "127.0.0.1:1",
    )
    assert (mx.trusted_peers, mx.proxy_protocol) == ((ip_network("192.0.2.0/24"),), True)
    assert (submission.trusted_peers, submission.proxy_protocol) == ((), False)
    assert submission.max_message_size == 10_000_000
    assert submission.trusted_networks == settings.listeners["a"].relaying_networks
    assert mx.domains == {"example.test"}


def test_listeners_carry_the_limits() -> None:
    limits = {
        "sessions": 2,
        "sessions_per_address": 3,
        "sessions_per_login": 4,
        "memory": "5MB",
        "min_rate": 6,
        "behind": 7,
        "idle": 8,
        "stress_idle": 9,
        "command": 10,
        "lag": 11,
    }
    listener = OUT | {"bare_line_ends": "refuse"}
    tables = {"upstreams": UPSTREAMS, "listeners": {"a": listener, "b": IN}, "limits": limits}
    first, second = listener_options(Settings.model_validate(tables))
    assert (first.max_sessions, first.max_sessions_per_address) == (2, 3)
    assert (first.max_sessions_per_login, first.max_octets_held) == (4, 5_000_000)
    assert (first.min_rate, first.behind_seconds, first.idle_seconds) == (6, 7, 8)
    assert (first.stress_seconds, first.line_seconds, first.max_lag) == (9, 10, 11)
    assert (first.bare_line_ends, second.bare_line_ends) == ("refuse", "")


def test_the_limits_of_the_settings_are_those_of_a_listener() -> None:
    (said,) = listener_options(
        Settings.model_validate({"upstreams": UPSTREAMS, "listeners": {"a": OUT}})
    )
    plain = ListenerOptions(
        "a", Role.OUTBOUND, said.bind, trusted_networks=said.trusted_networks, prdr=True
    )
    assert replace(said, wording=plain.wording, max_octets_held=plain.max_octets_held) == plain
    assert said.max_octets_held == 512_000_000
