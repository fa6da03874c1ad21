"""Settings that say who may send, and those that would not keep to it."""

from typing import Any

import pytest

from smime_proxy.settings import Settings
from smime_proxy.settings.admission import auth_faults
from smime_proxy.settings.checks import check

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
