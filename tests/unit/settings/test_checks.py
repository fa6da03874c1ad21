from pathlib import Path
from typing import Any

import pytest

from smime_proxy.gateway.modes import Mode
from smime_proxy.settings import Settings
from smime_proxy.settings.checks import (
    check,
    check_serving,
    encrypts,
    mode_of,
    notices,
    reports_upstream,
    sent_copy_upstream,
    signs_opaque,
)

RELAY: dict[str, Any] = {"url": "smtp://relay.example"}
OUT: dict[str, Any] = {"role": "outbound", "bind": "127.0.0.1:2525", "upstream": "relay"}
IN: dict[str, Any] = {
    "role": "inbound",
    "bind": "127.0.0.1:2526",
    "upstream": "relay",
    "domains": ["example.com"],
}


def built(**tables: Any) -> Settings:
    return Settings.model_validate(
        {"upstreams": {"relay": RELAY}, "listeners": {"out": OUT, "mx": IN}} | tables
    )


def faults(**tables: Any) -> list[str]:
    return [str(fault) for fault in check(built(**tables))]


def test_a_sound_setting_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("listener", "start"),
    [
        (OUT | {"upstream": "x"}, "listeners.l.upstream: there is no upstream 'x' (known: relay)"),
        (IN | {"reports": "x"}, "listeners.l.reports: there is no upstream 'x'"),
        (IN | {"domains": []}, "listeners.l.domains: must be set on an inbound listener"),
        (OUT | {"domains": ["a.b"]}, "listeners.l.domains: belongs to inbound"),
        (OUT | {"reports": "relay"}, "listeners.l.reports: belongs to inbound"),
        (OUT | {"tls_key": "/k"}, "listeners.l.tls_certificate: must be set with tls_key"),
        (OUT | {"tls_certificate": "/k"}, "listeners.l.tls_key: must be set with tls_cert"),
        (OUT | {"protocol": "lmtp", "prdr": True}, "listeners.l.prdr: belongs to SMTP: LMTP has"),
        (OUT | {"protocol": "smtps"}, "listeners.l.tls_certificate: must be set with protocol"),
        (OUT | {"trusted_networks": ["0.0.0.0/0"]}, "listeners.l.trusted_networks: covers all of"),
        (OUT | {"trusted_networks": ["::/0"]}, "listeners.l.trusted_networks: covers all of IPv6"),
        (
            OUT | {"trusted_networks": ["0.0.0.0/1", "128.0.0.0/1"]},
            "listeners.l.trusted_networks: covers all of IPv4: an open relay",
        ),
    ],
)
def test_a_listener_that_cannot_work_is_named(listener: dict[str, Any], start: str) -> None:
    found = faults(listeners={"l": listener})
    assert len(found) == 1
    assert found[0].startswith(start)


@pytest.mark.parametrize(
    ("upstream", "start"),
    [
        (RELAY | {"username": "u"}, "upstreams.relay.password_file: must be set"),
        (RELAY | {"password_file": "/p"}, "upstreams.relay.username: must be set"),
        (
            RELAY | {"username": "u", "password_file": "/p", "tls": "never"},
            "upstreams.relay.tls: must be required with a username",
        ),
        (
            {"url": "maildir:///m", "username": "u", "password_file": "/p"},
            "upstreams.relay.username: means nothing",
        ),
        (
            {"url": "lmtp:///run/lmtp", "username": "u", "password_file": "/p"},
            "upstreams.relay.username: means nothing with lmtp:///path",
        ),
        ({"url": "smtps://relay", "tls": "never"}, "upstreams.relay.tls: must be required"),
    ],
)
def test_an_upstream_that_cannot_work_is_named(upstream: dict[str, Any], start: str) -> None:
    found = faults(upstreams={"relay": upstream})
    assert len(found) == 1
    assert found[0].startswith(start)


@pytest.mark.parametrize(
    ("partners", "fault"),
    [
        ({"a.org": {"gateway_signer": "Gate@A.org", "gateway_trusted": True}}, ""),
        ({"a.org": {"gateway_trusted": True}}, 'partners."a.org".gateway_trusted: means nothing'),
        (
            {"a.org": {"gateway_signer": "gate@b.org"}},
            'partners."a.org".gateway_signer: must be an address in a.org',
        ),
        (
            {"a.org": {"gateway_signer": "gate@sub.a.org"}},
            'partners."a.org".gateway_signer: must be an address in a.org',
        ),
        (
            {"x@a.org": {"gateway_signer": "gate@a.org"}},
            'partners."x@a.org".gateway_signer: belongs to a domain',
        ),
    ],
)
def test_a_gateway_speaks_for_the_domain_it_is_in(partners: dict[str, Any], fault: str) -> None:
    found = faults(partners=partners)
    assert (len(found), fault in "".join(found)) == (bool(fault), True)


def test_sent_copies_go_to_a_known_upstream() -> None:
    found = faults(domains={"a.b": {"sent_copy": "upstream:x"}})
    assert found == ["domains.\"a.b\".sent_copy: there is no upstream 'x' (known: relay)"]
    assert sent_copy_upstream("upstream:x") == "x"
    assert sent_copy_upstream("maildir:///x") == ""


@pytest.mark.parametrize("bind", ["127.0.0.1:2525", "0.0.0.0:2525"])
def test_a_port_taken_twice_is_named(bind: str) -> None:
    found = faults(listeners={"out": OUT, "mx": IN | {"bind": bind}})
    assert found == [f"listeners.mx.bind: {bind} is taken by listeners.out.bind"]
    assert faults(status={"bind": "127.0.0.1:2525"}) == [
        "status.bind: 127.0.0.1:2525 is taken by listeners.out.bind"
    ]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [("0.0.0.0", "[::1]", False), ("[::]", "127.0.0.1", True), ("[::]", "0.0.0.0", True)],  # noqa: S104 - compared, not bound
)
def test_wildcards_claim_their_addresses(one: str, other: str, clash: bool) -> None:
    pair = {"a": OUT | {"bind": f"{one}:25"}, "b": OUT | {"bind": f"{other}:25"}}
    assert bool(faults(listeners=pair)) is clash


def test_a_service_without_listeners_does_not_run() -> None:
    assert [str(fault) for fault in check_serving(Settings())] == [
        "listeners: there is none; the service would take no mail"
    ]


def test_files_that_are_not_there_keep_the_service_from_running(tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    certificate.touch()
    listener = OUT | {"tls_certificate": certificate, "tls_key": tmp_path / "server.key"}
    upstream = RELAY | {"tls_ca_file": tmp_path}
    settings = built(listeners={"out": listener}, upstreams={"relay": upstream})
    assert [str(fault) for fault in check_serving(settings)] == [
        f"upstreams.relay.tls_ca_file: {tmp_path}: not a file",
        f"listeners.out.tls_key: {tmp_path / 'server.key'}: no such file",
    ]


def test_the_closed_admin_port_is_said() -> None:
    assert "stays closed" in notices(Settings())[0]
    assert notices(built(admin={"bind": ""})) == []


def test_reports_go_through_the_only_outbound_listener() -> None:
    settings = built()
    assert reports_upstream(settings, settings.listeners["mx"]) == "relay"
    two = built(listeners={"a": OUT, "b": OUT | {"bind": "127.0.0.1:1"}, "mx": IN})
    assert reports_upstream(two, two.listeners["mx"]) == ""
    said = built(listeners={"mx": IN | {"reports": "relay"}})
    assert reports_upstream(said, said.listeners["mx"]) == "relay"


def test_opaque_anywhere_is_found() -> None:
    assert not signs_opaque(Settings())
    for tables in (
        {"policy": {"opaque": True}},
        {"domains": {"a.b": {}, "c.d": {"opaque": True}}},
        {"partners": {"a.b": {"opaque": False}, "c.d": {"opaque": True}}},
    ):
        assert signs_opaque(Settings.model_validate(tables))


def test_a_service_encrypts_as_soon_as_one_table_has_it_so() -> None:
    never = {"policy": {"encrypt": "never"}}
    assert encrypts(Settings())
    assert not encrypts(Settings.model_validate(never))
    for tables in (
        {"domains": {"a.b": {}, "c.d": {"encrypt": "on_request"}}},
        {"partners": {"a.b": {"encrypt": "never"}, "c.d": {"encrypt": "required"}}},
    ):
        assert encrypts(Settings.model_validate(never | tables))
    assert not encrypts(Settings.model_validate(never | {"domains": {"a.b": {}}}))


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"pkcs11": {"token": "t"}}, "pkcs11.token: means nothing without pkcs11.module"),
        ({"keys": {"master_key": "pkcs11:object=k"}}, "keys.master_key: lies on a token"),
        ({"pkcs11": {"module": "/m.so"}}, "pkcs11.token: must be set with module"),
        (
            {
                "pkcs11": {"module": "/m.so", "token": "t", "pin_file": "/pin"},
                "keys": {"master_key": "pkcs11:object=k", "master_key_file": "/key"},
            },
            "keys.master_key_file: must be empty with master_key",
        ),
    ],
)
def test_a_token_is_set_as_a_whole(tables: dict[str, Any], told: str) -> None:
    assert any(fault.startswith(told) for fault in faults(**tables)), faults(**tables)


def test_a_token_that_is_set_has_no_fault_but_files_that_are_not_there() -> None:
    whole = {"module": "/no/module.so", "token": "t", "pin_file": "/no/pin"}
    assert faults(pkcs11=whole, keys={"master_key": "pkcs11:object=k"}) == []
    told = [str(fault) for fault in check_serving(built(pkcs11=whole))]
    assert "pkcs11.module: /no/module.so: no such file" in told
    assert "pkcs11.pin_file: /no/pin: no such file" in told


def test_listeners_that_do_not_enforce_are_told_of_in_one_line() -> None:
    out = {"role": "outbound", "bind": "127.0.0.1:1", "upstream": "relay"}
    listeners = {
        "out": out,
        "mx": out | {"bind": "127.0.0.1:2", "mode": "observe"},
        "other": out | {"bind": "127.0.0.1:3", "mode": "soft"},
    }
    upstreams = {"relay": {"url": "maildir:///x"}}
    settings = built(listeners=listeners, upstreams=upstreams, admin={"bind": ""})
    assert mode_of(settings, settings.listeners["out"]) is Mode.ENFORCE
    (line,) = notices(settings)
    assert line == (
        "mode soft on other: refusals of ours are temporary; "
        "observe on mx: mail is relayed unchanged, whatever is decided"
    )
    softer = built(listeners=listeners, upstreams=upstreams, service={"mode": "soft"})
    assert mode_of(softer, softer.listeners["out"]) is Mode.SOFT
    assert mode_of(softer, softer.listeners["mx"]) is Mode.OBSERVE
