"""Clients that prove themselves by a TLS certificate: logins, names asked for, and reloads.

RFC 8446 4.4.2, RFC 4422 A (EXTERNAL); rows A02, A03, E01.
"""

import hashlib
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.e2e.client import Client, Lost, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, TEAM, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.peers import require
from tests.ports import free_port
from tests.postfix import filtering
from tests.sink import Sink, running
from tests.tls_files import TlsFiles, make_tls_files

pytestmark = pytest.mark.e2e

BOB = "bob@example.test"
PASSWORD = "canary-of-alices-login"


@dataclass(frozen=True, slots=True)
class Site:
    """A service whose listeners ask for certificates; those of `people` are told by their names."""

    proxy: Proxy
    sink: Sink
    trusting: Path
    people: dict[str, TlsFiles]

    def client(self, listener: str, person: str = "") -> Client:
        """Connect, turn to TLS with somebody's certificate or none, and say EHLO."""
        context = ssl.create_default_context(cafile=self.trusting)
        if person:
            context = self.people[person].client(self.trusting)
        if listener == "smtps":
            client = Client(self.proxy.ports[listener], context)
        else:
            client = Client(self.proxy.ports[listener])
            client.say("EHLO client.example.test")
            assert client.say("STARTTLS").code == 220
            client.secure(context)
        return client


def people(folder: Path) -> dict[str, TlsFiles]:
    """Make certificates, each of an authority of its own."""
    past, client = datetime(2021, 1, 1, tzinfo=UTC), ExtendedKeyUsageOID.CLIENT_AUTH
    return {
        "alice": make_tls_files(folder, ("other.example", ALICE), "alice", usage=client),
        "bob": make_tls_files(folder, ("bob.example",), "bob", usage=client),
        "both": make_tls_files(folder, (ALICE, "team.example"), "both", usage=client),
        "nobody": make_tls_files(folder, ("nobody.example",), "nobody", usage=client),
        "service": make_tls_files(folder, ("mail.example.test",), "service", usage=client),
        "server": make_tls_files(folder, (ALICE,), "server"),
        "expired": make_tls_files(folder, (ALICE,), "expired", usage=client, until=past),
        "unknown": make_tls_files(folder, (ALICE,), "unknown", usage=client),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certified")
    known = people(folder)
    bundle = folder / "clients.pem"
    trusted = [files.ca.read_text() for name, files in known.items() if name != "unknown"]
    bundle.write_text("".join(trusted))
    der = x509.load_pem_x509_certificate(known["bob"].certificate.read_bytes())
    fingerprint = hashlib.sha256(der.public_bytes(Encoding.DER)).hexdigest().upper()
    asking = (
        f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"\n'
        f'tls_client_ca = "{bundle}"\n'
    )
    logins = f'{{"{ALICE}" = "{ALICE}", "{fingerprint}" = "{BOB}", "team.example" = "{TEAM}"}}'
    certified = f"{asking}tls_client_logins = {logins}\n"
    listeners = {
        "certified": Listener("outbound", "sink", f"{certified}trusted_networks = []"),
        "smtps": Listener(
            "outbound", "sink", f'{certified}trusted_networks = []\nprotocol = "smtps"'
        ),
        "local": Listener("outbound", "sink", f'{certified}auth = "local"'),
        "named": Listener("outbound", "sink", f'{asking}tls_client_names = ["mail.example.test"]'),
        "front": Listener(
            "outbound", "sink", f'{certified}trusted_networks = []\ntrusted_peers = ["127.0.0.1"]'
        ),
    }
    with running(Sink()) as sink:
        design = Design({"sink": to_sink(sink.port)}, listeners)
        with serving(folder / "proxy", made.state, design) as proxy:
            file = folder / "password"
            file.write_text(f"{PASSWORD}\n")
            proxy.done("account", "password", ALICE, "--password-file", file)
            yield Site(proxy, sink, tls.ca, known)
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()


def mail(sender: str) -> bytes:
    return f"From: {sender}\r\nTo: {OUTSIDE}\r\nSubject: x\r\n\r\nHello\r\n".encode()


def ehlo(client: Client) -> tuple[str, ...]:
    answer = client.say("EHLO client.example.test")
    assert answer.code == 250
    return answer.lines


@pytest.mark.parametrize("listener", ["certified", "smtps", "local"])
@pytest.mark.parametrize("external", ["", "=", "YWxpY2VAZXhhbXBsZS50ZXN0"])
def test_a_certificate_is_a_login(site: Site, listener: str, external: str) -> None:
    before = len(site.sink.messages)
    with site.client(listener, "alice") as client:
        (offer,) = [line for line in ehlo(client) if line.startswith("AUTH")]
        passwords = " PLAIN LOGIN" if listener == "local" else ""
        assert offer == f"AUTH{passwords} EXTERNAL"
        if external:
            assert client.say(f"AUTH EXTERNAL {external}").code == 235
            assert client.say("AUTH EXTERNAL =").code == 503
        answer = client.transaction(ALICE, (OUTSIDE,), mail(TEAM))
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert f"login {ALICE} was not granted {TEAM}" in answer.text
        assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    (message,) = site.sink.messages[before:]
    assert b"multipart/signed" in message.content
    word = b"ESMTPSA" if external else b"ESMTPS"
    assert b" with " + word + b" id " in message.content


@pytest.mark.parametrize("announced", ["ADDR=192.0.2.7", "LOGIN=somebody", "NAME=c.example"])
def test_the_certificate_of_a_server_in_front_is_no_login_of_its_clients(
    site: Site, announced: str
) -> None:
    before = len(site.sink.messages)
    with site.client("front", "alice") as client:
        assert [line for line in ehlo(client) if line.startswith("AUTH")] == ["AUTH EXTERNAL"]
        assert client.say(f"XCLIENT {announced}").code == 220
        assert [line for line in ehlo(client) if line.startswith("AUTH")] == []
        assert client.say("AUTH EXTERNAL =").code == 500
        answer = client.transaction(ALICE, (OUTSIDE,), mail(ALICE))
        assert (answer.code, answer.status) == (550, "5.7.1")
    assert len(site.sink.messages) == before


def test_a_fingerprint_is_a_login_that_may_use_nothing_of_others(site: Site) -> None:
    before = len(site.sink.messages)
    with site.client("certified", "bob") as client:
        ehlo(client)
        assert client.say("AUTH EXTERNAL").code == 334
        assert client.say("").code == 235
        assert client.transaction(BOB, (OUTSIDE,), mail(ALICE)).code == 550
        assert client.transaction(BOB, (OUTSIDE,), mail(BOB)).code == 250
    (message,) = site.sink.messages[before:]
    assert b"multipart/signed" not in message.content


@pytest.mark.parametrize("person", ["", "nobody", "both", "service"])
@pytest.mark.parametrize("listener", ["certified", "smtps", "local"])
def test_without_a_certificate_that_stands_for_one_login_nobody_is_anybody(
    site: Site, listener: str, person: str
) -> None:
    """`both` has names of two logins: which of them is never guessed."""
    before = len(site.sink.messages)
    with site.client(listener, person) as client:
        offers = [line for line in ehlo(client) if line.startswith("AUTH")]
        assert offers == (["AUTH PLAIN LOGIN"] if listener == "local" else [])
        assert client.say("AUTH EXTERNAL =").code == (504 if listener == "local" else 500)
        refused = client.say(f"MAIL FROM:<{ALICE}>")
        assert refused.code == (530 if listener == "local" else 550)
    assert len(site.sink.messages) == before


@pytest.mark.parametrize("person", ["unknown", "expired", "server"])
@pytest.mark.parametrize("listener", ["certified", "smtps", "named"])
def test_who_shows_a_certificate_that_does_not_verify_is_not_let_in(
    site: Site, listener: str, person: str
) -> None:
    with pytest.raises((Lost, OSError)), site.client(listener, person) as client:
        ehlo(client)
    with site.client(listener, "alice") as client:
        ehlo(client)


def test_nobody_acts_as_somebody_else(site: Site) -> None:
    with site.client("certified", "bob") as client:
        ehlo(client)
        answer = client.say("AUTH EXTERNAL YWxpY2VAZXhhbXBsZS50ZXN0")  # alice
        assert (answer.code, answer.status) == (535, "5.7.8")
        assert client.transaction(BOB, (OUTSIDE,), mail(ALICE)).code == 550
        assert client.say("AUTH EXTERNAL *").code == 501
        assert client.say("AUTH EXTERNAL").code == 334
        assert client.say("*").code == 501


def test_no_certificate_without_tls(site: Site) -> None:
    with Client(site.proxy.ports["certified"]) as client:
        assert not any(line.startswith("AUTH") for line in ehlo(client))
        assert client.say("AUTH EXTERNAL =").code == 500
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 550


def test_who_says_a_password_is_who_it_proves(site: Site) -> None:
    before = len(site.sink.messages)
    with site.client("local", "bob") as client:
        ehlo(client)
        secret = "AGFsaWNlQGV4YW1wbGUudGVzdABjYW5hcnktb2YtYWxpY2VzLWxvZ2lu"
        assert client.say(f"AUTH PLAIN {secret}").code == 235
        assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    assert b"multipart/signed" in site.sink.messages[before].content


@pytest.mark.parametrize(
    ("person", "code"), [("clear", 550), ("", 550), ("alice", 550), ("service", 250)]
)
def test_a_shared_network_sends_only_with_the_name_that_is_asked_for(
    site: Site, person: str, code: int
) -> None:
    """Row A03: before any key is used, and before anything is said upstream."""
    before = len(site.sink.messages)
    commands = len(site.sink.commands())
    if person == "clear":
        client = Client(site.proxy.ports["named"])
    else:
        client = site.client("named", person)
    with client:
        ehlo(client)
        answer = client.transaction(ALICE, (OUTSIDE,), mail(ALICE))
    assert answer.code == code
    messages = site.sink.messages[before:]
    if code == 550:
        assert "has no name that is asked for" in answer.text
        assert messages == []
        assert b"MAIL" not in {line[:4] for line in site.sink.commands()[commands:]}
    else:
        assert b"multipart/signed" in messages[0].content


@pytest.mark.parametrize(
    ("listener", "person", "arrives"),
    [("named", "service", True), ("named", "alice", False), ("certified", "alice", True)],
)
def test_postfix_proves_itself_by_its_certificate(
    site: Site, listener: str, person: str, arrives: bool
) -> None:
    require("postfix")
    files, before = site.people[person], len(site.sink.messages)
    tls = (
        "smtp_tls_security_level = encrypt\n"
        f"smtp_tls_cert_file = {files.certificate}\nsmtp_tls_key_file = {files.key}\n"
    )
    back = free_port()
    with filtering(free_port(), back, site.proxy.ports[listener], tls) as postfix:
        assert deliver(back, ALICE, (OUTSIDE,), mail(ALICE)).code == 250
        outcome = "status=sent" if arrives else "status=bounced"
        eventually(lambda: outcome in postfix.log(), postfix.log)
    messages = site.sink.messages[before:]
    assert [b"multipart/signed" in message.content for message in messages] == [True] * arrives


def test_a_reload_takes_logins_from_sessions_that_are_open(
    tmp_path: Path, made: Made, tls: TlsFiles
) -> None:
    """What was begun is finished; the next transaction goes by the new settings."""
    known = people(tmp_path)
    pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"\n'
    granted = (
        f'tls_client_ca = "{known["alice"].ca}"\n'
        f'tls_client_logins = {{"{ALICE}" = "{ALICE}"}}\ntrusted_networks = []'
    )
    trusting = 'trusted_networks = ["127.0.0.1"]'
    with running(Sink()) as sink:
        listeners = {
            "certified": Listener("outbound", "sink", pair + granted),
            "trusting": Listener("outbound", "sink", trusting),
            "smtps": Listener("outbound", "sink", f'{pair}{granted}\nprotocol = "smtps"'),
        }
        design = Design({"sink": to_sink(sink.port)}, listeners)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            site = Site(proxy, sink, tls.ca, known)
            with (
                site.client("certified", "alice") as client,
                Client(proxy.ports["trusting"]) as other,
            ):
                for one in (client, other):
                    ehlo(one)
                    assert one.say(f"MAIL FROM:<{ALICE}>").code == 250
                text = proxy.config.read_text()
                proxy.config.write_text(
                    text.replace(f'= "{ALICE}"}}', '= "other"}', 1).replace(
                        trusting, "trusted_networks = []"
                    )
                )
                assert proxy.process is not None
                proxy.process.send_signal(signal.SIGHUP)
                eventually(lambda: "reloaded" in proxy.log(), proxy.log)
                for one in (client, other):
                    assert one.say(f"RCPT TO:<{OUTSIDE}>").code == 250
                    assert one.say("DATA").code == 354
                    assert one.content(mail(ALICE)).code == 250
                assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 550
                assert other.say(f"MAIL FROM:<{ALICE}>").code == 550
            assert len(sink.messages) == 2
            bundle = f'tls_client_ca = "{known["bob"].ca}"'
            before, after = f'tls_client_ca = "{known["alice"].ca}"', bundle
            proxy.config.write_text(text.replace(before, after))
            proxy.process.send_signal(signal.SIGHUP)
            wanted = "listeners.smtps.tls_client_ca: a change needs a restart"
            eventually(lambda: wanted in proxy.log(), proxy.log)
            proxy.config.write_text(text.replace(before, after, 1))
            proxy.process.send_signal(signal.SIGHUP)
            eventually(lambda: proxy.log().count(" reloaded\n") == 2, proxy.log)
            with pytest.raises((Lost, OSError)), site.client("certified", "alice") as client:
                ehlo(client)
            with site.client("smtps", "alice") as client:
                assert client.say("EHLO x").code == 250
            assert "Traceback" not in proxy.log()
