"""Mail to people whose certificates only a directory or the DNS knows, with real ones behind."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.association import Association, Matching, Selector, Usage, owner_name
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from tests import pki
from tests.e2e.client import Answer, deliver
from tests.e2e.conftest import ALICE, Made, command
from tests.e2e.proxy import Design, Listener, Proxy, eventually, to_sink
from tests.sink import Sink, running
from tests.slapd import PASSWORD, READER, SUFFIX, Directory, Entry, slapd
from tests.tls_files import TlsFiles
from tests.zones import HOST, Zone, resolver

PAT = "pat@example.org"  # in the LDAP directory, certified by whom the store trusts
SAM = "sam@example.org"  # in the LDAP directory, certified by himself
ZOE = "zoe@example.com"  # in a signed zone, certified by herself
UNSIGNED = "una@example.net"  # in a zone nobody signed
BOGUS = "bob@tampered.example"  # in a zone that was changed after it was signed
NOBODY = "nobody@example.org"  # nowhere


@dataclass(frozen=True, slots=True)
class Outside:
    """The service, its sink, and the directory that can be stopped."""

    proxy: Proxy
    sink: Sink
    directory: Directory

    def send(self, recipient: str, *, demand: bool = False) -> Answer:
        asks = "X-SMIME-Encrypt: yes\r\n" if demand else ""
        head = f"From: {ALICE}\r\nTo: {recipient}\r\nSubject: Hello\r\n{asks}\r\n"
        return deliver(
            self.proxy.ports["out"], ALICE, (recipient,), f"{head}canary-text\r\n".encode()
        )

    def arrived(self, recipient: str) -> list[Protection]:
        """Tell how what this recipient got was protected."""
        got = [one for one in self.sink.messages if recipient in one.recipients]
        return [classify(parse(one.content)) for one in got]


def records(address: str, certificate: Certificate) -> list[str]:
    record = Association.of(certificate, Usage.DANE_EE, Selector.CERTIFICATE, Matching.FULL)
    return [f"{owner_name(parse_mailbox(address))}. IN SMIMEA {record.text}"]


def self_made(address: str) -> Certificate:
    return pki.person(None, address).certificate


def zones() -> list[Zone]:
    return [
        Zone("example.com", records(ZOE, self_made(ZOE))),
        Zone("example.net", records(UNSIGNED, self_made(UNSIGNED)), signed=False),
        Zone("tampered.example", records(BOGUS, self_made(BOGUS)), tampered=True),
        Zone("example.org", []),
    ]


@pytest.fixture(scope="module")
def outside(
    tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles
) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    design = Design({"sink": to_sink(1)}, {"out": Listener("outbound", "sink")})
    issuing = Proxy(folder / "issuing", design)
    shutil.copytree(made.state, issuing.state)
    (pat, *_) = read_certificates(
        command(issuing, "ca", "issue", PAT, "--out", str(folder / "pat.key")).encode()
    )
    entries = [Entry(PAT, (pat.der,)), Entry(SAM, (self_made(SAM).der,))]
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    with (
        slapd(folder / "slapd", entries, tls=tls, anonymous=False) as directory,
        resolver(folder / "dns", zones()) as dns,
        running(Sink()) as sink,
    ):
        discovery = f"""
[discovery]
sources = ["ldap:corp", "smimea"]
budget = 20
[discovery.ldap.corp]
url = "ldap://localhost:{directory.port}"
tls_ca_file = "{tls.ca}"
base = "{SUFFIX}"
bind_dn = "{READER}"
password_file = "{password}"
domains = ["example.org"]
[discovery.smimea]
resolver = "{HOST}:{dns.port}"
timeout = 15
"""
        listeners = {"out": Listener("outbound", "sink")}
        design = Design({"sink": to_sink(sink.port)}, listeners, more=discovery)
        proxy = Proxy(folder / "proxy", design)
        shutil.copytree(made.state, proxy.state)
        try:
            proxy.start()
            yield Outside(proxy, sink, directory)
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()
            assert PASSWORD not in proxy.log()
        finally:
            proxy.end()


def test_mail_to_who_is_only_in_the_directory_goes_encrypted(outside: Outside) -> None:
    assert outside.send(PAT).code == 250
    assert outside.arrived(PAT) == [Protection.ENVELOPED_DATA]
    log = outside.proxy.log()
    assert "source=ldap:corp" in log


def test_what_the_directory_gives_unproven_is_not_used(outside: Outside) -> None:
    assert outside.send(SAM, demand=True).status == "5.7.5"
    assert outside.send(SAM).code == 250
    assert outside.arrived(SAM) == [Protection.CLEAR_SIGNED]


def test_e84_mail_to_who_is_in_a_signed_zone_goes_encrypted(outside: Outside) -> None:
    """E84."""
    assert outside.send(ZOE, demand=True).code == 250
    assert outside.arrived(ZOE) == [Protection.ENVELOPED_DATA]


def test_e84_an_unsigned_zone_is_not_believed(outside: Outside) -> None:
    """E84."""
    answer = outside.send(UNSIGNED, demand=True)
    assert (answer.code, answer.status) == (550, "5.7.5")
    assert outside.arrived(UNSIGNED) == []


def test_e84_a_zone_that_was_tampered_with_means_later_and_never_clear(outside: Outside) -> None:
    """E84."""
    answer = outside.send(BOGUS, demand=True)
    assert (answer.code, answer.status) == (451, "4.4.3")
    assert "smimea: the resolver answers SERVFAIL" in answer.text
    assert outside.arrived(BOGUS) == []


def test_a_directory_that_is_stopped_means_later_and_never_clear(outside: Outside) -> None:
    assert outside.send(PAT).code == 250
    before = outside.proxy.counter("lookups")
    outside.directory.stop()
    try:
        answer = outside.send(NOBODY, demand=True)
        assert (answer.code, answer.status) == (451, "4.4.3")
        assert f"{NOBODY}: ldap:corp: it cannot be reached" in answer.text
        assert outside.arrived(NOBODY) == []
        # Who was found before is still known, and what is only possible is not held up.
        assert outside.send(PAT, demand=True).code == 250
        assert outside.send(NOBODY).code == 250
        assert outside.arrived(NOBODY) == [Protection.CLEAR_SIGNED]
    finally:
        outside.directory.start()
    eventually(lambda: outside.proxy.counter("lookups") > before)


def test_what_was_found_is_kept_over_a_restart(outside: Outside) -> None:
    assert outside.send(PAT).code == 250
    assert outside.proxy.stop() == 0
    outside.directory.stop()
    outside.proxy.start()
    assert outside.send(PAT, demand=True).code == 250
    assert outside.arrived(PAT)[-1] is Protection.ENVELOPED_DATA
    outside.directory.start()
