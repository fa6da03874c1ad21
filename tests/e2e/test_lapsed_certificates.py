"""Certificates that end and certificates of domains, from the command to what openssl can open."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import pki
from tests.e2e.client import Answer, deliver
from tests.e2e.conftest import ALICE, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

PERSON = "person@firm.example"
TEXT = "The offer is 1000 crowns."
GATE = pki.person(None, "domain-confidentiality-authority@firm.example")
EXPIRED = pki.person(None, PERSON, not_after=pki.NOT_BEFORE.replace(year=2021))


@dataclass(frozen=True)
class Service:
    """A running service, the sink behind it and a folder for files."""

    proxy: Proxy
    sink: Sink
    folder: Path

    def import_(self, identity: pki.Identity, *options: str) -> None:
        """Import a certificate and wait until the service reads it."""
        path = self.folder / "imported.pem"
        path.write_bytes(identity.pem())
        self.proxy.changed("cert", "import", path, "--trust", *options)

    def send(self, subject: str, *to: str) -> Answer:
        head = f"From: {ALICE}\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\n"
        content = f"{head}Message-ID: <1@client.example>\r\n\r\n{TEXT}\r\n".encode()
        return deliver(self.proxy.ports["out"], ALICE, to, content)


@pytest.fixture
def service(tmp_path: Path, made: Made) -> Iterator[Service]:
    with running(Sink()) as sink:
        listeners = {"out": Listener("outbound", "sink")}
        design = Design({"sink": to_sink(sink.port)}, listeners)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            yield Service(proxy, sink, tmp_path)


def opened(service: Service, identity: pki.Identity) -> str:
    """Decrypt what left last with openssl and the key of somebody; "" when that cannot be done."""
    folder = service.folder
    (folder / "mail.eml").write_bytes(service.sink.messages[-1].content)
    (folder / "reader.pem").write_bytes(identity.pem())
    (folder / "reader.key").write_bytes(identity.key_pem())
    line = [str(require("openssl")), "cms", "-decrypt", "-in", "mail.eml", "-inkey", "reader.key"]
    done = subprocess.run(
        [*line, "-recip", "reader.pem"], cwd=folder, capture_output=True, check=False, timeout=60
    )
    return done.stdout.decode() if done.returncode == 0 else ""


def test_mail_to_everybody_of_a_domain_is_opened_with_the_key_of_its_gateway(
    service: Service,
) -> None:
    own = pki.person(None, "boss@firm.example")
    service.import_(GATE, "--domain", "firm.example")
    service.import_(own)
    assert service.send("Offer", PERSON, "other@firm.example").code == 250
    assert len(service.sink.messages) == 1
    assert TEXT in opened(service, GATE)
    assert service.send("Offer", "boss@firm.example").code == 250
    assert TEXT in opened(service, own)
    assert opened(service, GATE) == ""
    assert service.send("Offer", "person@sub.firm.example").code == 250
    assert TEXT in service.sink.messages[-1].content.decode()


def test_encryption_does_not_just_stop_when_a_certificate_expired(service: Service) -> None:
    service.import_(EXPIRED)
    refused = service.send("Offer", PERSON)
    assert (refused.code, refused.status) == (550, "5.7.5")
    assert f"{PERSON}: its certificate expired on 2021-01-01" in refused.text
    assert "[plain]" in refused.text
    assert service.sink.messages == []
    assert service.proxy.counter("refused") == 1
    assert "on_lapsed_certificate: policy.on_lapsed_certificate" in service.proxy.log()
    assert service.send("[plain] Offer", PERSON).code == 250
    assert TEXT in service.sink.messages[-1].content.decode()
    service.import_(GATE, "--domain", "firm.example")
    assert service.send("Offer", PERSON).code == 250
    assert TEXT in opened(service, GATE)
    assert f"domain certificate: {PERSON}: its certificate expired" in service.proxy.log()
