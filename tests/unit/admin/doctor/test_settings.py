"""What doctor says of settings: clear text, names for demonstrations, TLS that ends."""

from datetime import timedelta

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher

from smime_proxy.admin.doctor.finding import Severity
from smime_proxy.admin.doctor.settings import (
    is_local,
    is_reserved,
    listener_findings,
    program_findings,
    settings_findings,
    upstream_findings,
)
from smime_proxy.settings import Settings
from tests import pki
from tests.pki import NOW

DAY = timedelta(days=1)


def where(**tables: object) -> list[tuple[Severity, str]]:
    settings = Settings.model_validate({"service": {"hostname": "mail.firma.de"}, **tables})
    return [(one.severity, one.where) for one in settings_findings(settings)]


def test_sound_settings_are_no_finding() -> None:
    relay = {"relay": {"url": "smtp://relay.firma.de:587"}}
    assert where(upstreams=relay) == []


def test_a_name_of_the_demo_is_a_note() -> None:
    found = where(service={"hostname": "mail.example.test"})
    assert found == [(Severity.NOTE, "service.hostname")]


def test_a_maildir_is_a_note() -> None:
    found = where(upstreams={"out": {"url": "maildir:///tmp/out"}})
    assert found == [(Severity.NOTE, "upstreams.out")]


def test_what_is_not_enforced_is_a_note() -> None:
    relay = {"relay": {"url": "smtp://relay.firma.de:587"}}
    out = {"role": "outbound", "bind": "127.0.0.1:1", "upstream": "relay"}
    assert where(upstreams=relay, listeners={"out": out}) == []
    found = where(upstreams=relay, listeners={"out": out | {"mode": "observe"}})
    assert found == [(Severity.NOTE, "service.mode")]


@pytest.mark.parametrize(("host", "number"), [("relay.firma.de", 1), ("127.0.0.1", 0)])
def test_clear_text_over_a_network_is_told(host: str, number: int) -> None:
    found = where(upstreams={"relay": {"url": f"smtp://{host}:25", "tls": "never"}})
    assert found == [(Severity.WARNING, "upstreams.relay.tls")] * number


@pytest.mark.parametrize(
    ("days", "severities"), [(31, []), (29, [Severity.WARNING]), (-1, [Severity.ERROR])]
)
def test_a_server_certificate_that_ends_is_told(days: int, severities: list[Severity]) -> None:
    certificate = pki.certify(None, not_after=NOW + days * DAY).certificate
    found = listener_findings({"mx": certificate}, NOW)
    assert [one.severity for one in found] == severities


@pytest.mark.parametrize(("days", "number"), [(31, 0), (29, 1)])
def test_a_certificate_of_an_upstream_that_ends_is_told(days: int, number: int) -> None:
    certificate = pki.certify(None, not_after=NOW + days * DAY).certificate
    assert len(list(upstream_findings("relay", certificate, NOW))) == number


def test_legacy_ciphers_are_there() -> None:
    assert list(program_findings()) == []


def test_legacy_ciphers_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise UnsupportedAlgorithm("no legacy provider")

    monkeypatch.setattr(Cipher, "encryptor", refuse)
    (found,) = program_findings()
    assert found.severity is Severity.NOTE


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("mail.example.test", True),
        ("example.com", True),
        ("a.example.org.", True),
        ("firma.de", False),
        ("myexample.com", False),
        ("latest", False),
    ],
)
def test_names_nobody_has(name: str, reserved: bool) -> None:
    assert is_reserved(name) is reserved


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
)
def test_hosts_that_are_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local
