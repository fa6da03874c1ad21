"""Settings that say who may send, and those that would not keep to it."""

import re
import tomllib
from typing import Any

import pytest

from smime_proxy.settings import Settings
from smime_proxy.settings.admission import (
    auth_faults,
    client_certificate_faults,
    oauth_faults,
    relay_faults,
)
from smime_proxy.settings.checks import check
from tests.house.source import ROOT

RELAY: dict[str, Any] = {"url": "smtp://relay.example"}
OUT: dict[str, Any] = {
    "role": "outbound",
    "bind": "127.0.0.1:2525",
    "upstream": "relay",
    "auth": "upstream",
}
PAIR = {"tls_certificate": "/c", "tls_key": "/k"}
ABROAD = {"bind": "0.0.0.0:587"}


def built(listener: dict[str, Any], relay: dict[str, Any]) -> Settings:
    return Settings.model_validate({"upstreams": {"relay": relay}, "listeners": {"l": listener}})


@pytest.mark.parametrize(
    ("listener", "relay"),
    [
        (OUT, RELAY),
        (OUT | ABROAD | PAIR, RELAY),
        (OUT | {"bind": "[::1]:587"}, RELAY),
        (OUT | {"bind": "localhost:587"}, {"url": "smtps://relay.example"}),
    ],
)
def test_sound_settings_have_no_fault(listener: dict[str, Any], relay: dict[str, Any]) -> None:
    assert check(built(listener, relay)) == []


@pytest.mark.parametrize(
    ("listener", "relay", "key", "says"),
    [
        (OUT, RELAY | {"tls": "never"}, "auth", "upstreams.relay.tls must be required"),
        (OUT, {"url": "maildir:///m"}, "auth", "is no SMTP server"),
        (OUT, {"url": "lmtp://relay.example:24"}, "auth", "is no SMTP server"),
        (OUT, RELAY | {"username": "u", "password_file": "/p"}, "auth", "has a username"),
        (OUT | ABROAD, RELAY, "tls_certificate", "no password in clear text"),
        (OUT | {"bind": "mail.example:587"}, RELAY, "tls_certificate", "no password in clear"),
        (OUT | {"role": "inbound", "domains": ["a.example"]}, RELAY, "auth", "belongs to outb"),
    ],
)
def test_what_cannot_check_logins_is_named(
    listener: dict[str, Any], relay: dict[str, Any], key: str, says: str
) -> None:
    settings = built(listener, relay)
    ((found, text),) = auth_faults(settings, settings.listeners["l"])
    assert (found, says in text) == (key, True)
    assert [str(fault) for fault in check(settings)] == [f"listeners.l.{key}: {text}"]


OPEN: dict[str, Any] = {"role": "outbound", "bind": "0.0.0.0:25", "upstream": "relay"}
NAMED: dict[str, Any] = PAIR | {"tls_client_names": ["mail.example.com"]}
ORG = {"require_header": {"X-OriginatorOrg": ["example.com"]}}


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        ({"trusted_networks": ["0.0.0.0/0"]}, "covers all of IPv4: an open relay"),
        ({"trusted_networks": ["::/0"]}, "covers all of IPv6: an open relay"),
        ({"trusted_networks": ["0.0.0.0/1", "128.0.0.0/1"]}, "covers all of IPv4"),
        ({"trusted_networks": ["::ffff:0:0/96"]}, "covers all of IPv4"),
        ({"trusted_networks": ["::/1", "8000::/1"]}, "covers all of IPv6"),
        ({"trusted_networks": ["0.0.0.0/1"]}, "0.0.0.0/1 is public"),
        ({"trusted_networks": ["2000::/3"]}, "2000::/3 is public"),
        ({"trusted_networks": ["2002::/16"]}, "2002::/16 is public"),
        ({"trusted_networks": ["2001::/23"]}, "2001::/23 is public"),
        ({"trusted_networks": ["::ffff:40.92.0.0/111"]}, "40.92.0.0/15 is public"),
        ({"trusted_networks": ["0.0.0.0/0"], "bind": "127.0.0.1:25"}, "covers all of IPv4"),
        (ORG | {"trusted_networks": ["0.0.0.0/0"]}, "covers all of IPv4"),
        ({"trusted_networks": ["40.92.0.0/15"]}, "40.92.0.0/15 is public"),
        ({"trusted_networks": ["10.0.0.0/7"]}, "10.0.0.0/7 is public"),
        ({"trusted_networks": ["10.0.0.0/8", "2a01:111::/32"]}, "2a01:111::/32 is public"),
        ({"trusted_networks": ["40.92.0.0", "40.92.0.1"]}, "40.92.0.0/31 is public"),
        (PAIR | {"auth": "local", "trusted_networks": ["40.92.0.0/15"]}, "is public"),
    ],
)
def test_an_open_relay_is_refused_and_named(listener: dict[str, Any], says: str) -> None:
    settings = built(OPEN | listener, RELAY)
    ((key, text),) = relay_faults(settings.listeners["l"])
    assert (key, says in text) == ("trusted_networks", True), text
    assert [str(fault) for fault in check(settings)] == [f"listeners.l.trusted_networks: {text}"]


@pytest.mark.parametrize(
    "listener",
    [
        {"trusted_networks": ["10.0.0.0/8", "fd00::/8", "100.64.0.0/10"]},
        {"trusted_networks": ["40.92.0.1", "2a01:111::1"]},
        {"trusted_networks": []},
        {"trusted_networks": ["40.92.0.0/15"], "bind": "127.0.0.1:25"},
        ORG | {"trusted_networks": ["40.92.0.0/15"]},
        NAMED | {"trusted_networks": ["40.92.0.0/15"]},
        PAIR | {"auth": "local"},
    ],
)
def test_what_lets_in_no_strangers_is_left_alone(listener: dict[str, Any]) -> None:
    assert check(built(OPEN | listener, RELAY)) == []


def test_a_required_field_belongs_to_outbound_listeners() -> None:
    inbound = {"role": "inbound", "domains": ["a.example"], "trusted_networks": ["0.0.0.0/0"]}
    settings = built(OPEN | inbound | ORG, RELAY)
    assert [key for key, _ in relay_faults(settings.listeners["l"])] == ["require_header"]


LOGINS: dict[str, Any] = {"tls_client_logins": {"App.example": "app"}}
CA = {"tls_client_ca": "/ca"}


def test_certificates_of_clients_are_named_by_fingerprint_host_or_address() -> None:
    colons = ":".join(["AB"] * 32)
    logins = {colons: "a", "App.Example": "b", "Eve@Example.com": "c"}
    listener = built(OUT | PAIR | CA | {"auth": "local", "tls_client_logins": logins}, RELAY)
    assert check(listener) == []
    folded = {"ab" * 32: "a", "app.example": "b", "eve@example.com": "c"}
    assert listener.listeners["l"].tls_client_logins == folded
    for bad in (["*.example.com"], ["CN=eve"], [""], ["ab" * 31], ["a.example", "A.example"]):
        with pytest.raises(ValueError, match=r"must be|twice"):
            built(OUT | {"tls_client_logins": dict.fromkeys(bad, "a")}, RELAY)


@pytest.mark.parametrize(
    ("listener", "keys"),
    [
        (PAIR | CA | LOGINS | {"auth": "none"}, []),
        (PAIR | CA | LOGINS | {"auth": "local"}, []),
        (NAMED | CA | {"auth": "none"}, []),
        (NAMED | {"auth": "none"}, []),
        (CA | LOGINS | {"auth": "none"}, ["tls_certificate"]),
        (PAIR | CA, ["tls_client_ca"]),
        (PAIR | LOGINS | {"auth": "none"}, ["tls_client_ca"]),
        (PAIR | CA | LOGINS, ["tls_client_logins"]),
        (NAMED | {"auth": "local"}, ["tls_client_names"]),
        (
            NAMED | CA | LOGINS | {"role": "inbound", "auth": "none", "domains": ["a.example"]},
            ["tls_client_ca", "tls_client_logins", "tls_client_names"],
        ),
    ],
)
def test_what_makes_no_sense_of_client_certificates_is_named(
    listener: dict[str, Any], keys: list[str]
) -> None:
    settings = built(OUT | listener, RELAY)
    found = [key for key, _ in client_certificate_faults(settings.listeners["l"])]
    assert found == keys
    assert [fault.path[-1] for fault in check(settings)] == keys


TOKENS = {"token_url": "https://t.example/x", "client_id": "c", "client_secret_file": "/s"}


@pytest.mark.parametrize(
    ("relay", "keys"),
    [
        (RELAY | {"username": "u", "oauth": TOKENS}, []),
        (RELAY | {"oauth": TOKENS}, ["username"]),
        (RELAY | {"username": "u", "oauth": TOKENS, "password_file": "/p"}, ["password_file"]),
        (RELAY | {"username": "u", "tls": "never", "oauth": TOKENS}, ["tls"]),
        (
            RELAY | {"username": "u", "oauth": {"token_url": "https://t.example"}},
            ["oauth.client_id", "oauth.client_secret_file"],
        ),
        (
            RELAY | {"oauth": TOKENS | {"token_url": ""}},
            ["oauth.client_id", "oauth.client_secret_file"],
        ),
        (
            {"url": "lmtp://relay.example", "username": "u", "oauth": TOKENS},
            ["oauth.token_url"],
        ),
        (RELAY | {"username": "u"}, ["password_file"]),
    ],
)
def test_what_keeps_us_from_using_tokens_is_named(relay: dict[str, Any], keys: list[str]) -> None:
    settings = built(OUT | {"auth": "none"}, relay)
    found = [key for key, _ in oauth_faults(settings.upstreams["relay"])]
    assert [key for key in keys if "oauth" in key] == [key for key in found if "oauth" in key]
    faults = [".".join(fault.path[2:]) for fault in check(settings)]
    assert faults == keys


@pytest.mark.parametrize(
    "url",
    ["http://t.example/", "https:///x", "https://u:p@t.example/", "https://t.example/#x", "t"],
)
def test_tokens_are_fetched_over_verified_tls_only(url: str) -> None:
    with pytest.raises(ValueError, match=r"https|credentials") as refused:
        built(OUT, RELAY | {"oauth": TOKENS | {"token_url": url}})
    assert ":p@" not in str(refused.value.errors()[0]["ctx"]["error"])  # type: ignore[attr-defined]


def test_the_examples_of_the_document_are_sound() -> None:
    text = (ROOT / "docs" / "logins.md").read_text(encoding="utf-8")
    listener, clients, upstream = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    known = clients.replace("2F:1C:…:9B", "2F" * 32)
    settings = Settings.model_validate(tomllib.loads(listener + known + upstream))
    assert check(settings) == []
    assert len(settings.listeners["from365"].tls_client_logins) == 2
