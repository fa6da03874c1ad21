"""What people read when mail is refused: in the languages set, with contact and the team's text."""

import base64
import email
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Answer, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, TEAM, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

INSTEAD = "Bitte für Vertrauliches das Portal https://portal.example.test nutzen"
TEXTS = '[texts]\nlanguages = ["de", "en"]\ncontact = "Büro +49 30 1234"\n'
SEALED = (
    "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"\r\n'
)


@dataclass(frozen=True)
class Service:
    """A running service and the sink behind it."""

    proxy: Proxy
    sink: Sink
    sealed: str

    def send(self, *to: str) -> Answer:
        head = f"From: {OUTSIDE}\r\nTo: {', '.join(to)}\r\nSubject: Offer\r\n"
        content = f"{head}Message-ID: <1@client.example>\r\n{self.sealed}".encode()
        return deliver(self.proxy.ports["in"], OUTSIDE, to, content)


@pytest.fixture
def service(tmp_path: Path, made: Made) -> Iterator[Service]:
    with running(Sink()) as sink:
        mx = 'domains = ["example.test"]\nreports = "sink"'
        listeners = {
            "in": Listener("inbound", "sink", mx),
            "stranger": Listener("outbound", "sink", "trusted_networks = []"),
        }
        design = Design({"sink": to_sink(sink.port)}, listeners, more=TEXTS)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            proxy.changed("account", "set", TEAM, "--refusal-text", INSTEAD)
            yield Service(proxy, sink, sealed_for_alice(made))


def sealed_for_alice(made: Made) -> str:
    """Encrypt a text to alice as an outside program does."""
    line = [str(require("openssl")), "cms", "-encrypt", "-outform", "DER", "-aes256"]
    plain = b"Content-Type: text/plain\r\n\r\nThe offer.\r\n"
    done = subprocess.run(
        [*line, str(made.files / "alice.pem")], input=plain, capture_output=True, check=True
    )
    lines = base64.encodebytes(done.stdout).decode().splitlines()
    return "\r\n".join((SEALED, *lines, ""))


def test_encrypted_mail_to_a_team_is_refused_in_the_first_language_with_the_teams_text(
    service: Service,
) -> None:
    answer = service.send(TEAM)
    assert (answer.code, answer.status) == (550, "5.7.4")
    assert answer.text == (
        f"5.7.4 {TEAM} ist ein Teamkonto. Bitte fuer Vertrauliches das Portal"
        " https://portal.example.test nutzen. Kontakt: Buero +49 30 1234"
    )
    assert service.sink.messages == []


def test_with_persons_the_report_has_both_languages_and_the_teams_text(service: Service) -> None:
    assert service.send(ALICE, TEAM).code == 250
    (report,) = [one for one in service.sink.messages if one.reverse_path == ""]
    message: Any = email.message_from_bytes(report.content, policy=policy.default)
    assert message["To"] == OUTSIDE
    assert message["Subject"] == "Ihre Nachricht wurde nicht zugestellt"
    text = " ".join(message.get_payload(0).get_content().split())
    german, english = text.split("This is the mail system")
    for part, said in ((german, "ist ein Teamkonto"), (english, "is a team account")):
        assert f"<{TEAM}> (5.7.4) {TEAM} {said}. {INSTEAD}" in part
    assert "Kontakt: Büro +49 30 1234" in german
    assert "Contact: Büro +49 30 1234" in english
    assert message.get_payload(1).get_payload(1)["Status"] == "5.7.4"
    assert [one.reverse_path for one in service.sink.messages].count(OUTSIDE) == 1


def test_the_settings_show_and_the_account_shows_what_is_said(service: Service) -> None:
    assert 'contact = "Büro +49 30 1234"' in service.proxy.done("check-config")
    shown = service.proxy.done("account", "show", TEAM, "--json")
    assert json.loads(shown)["refusal_text"] == INSTEAD


def test_a_stranger_reads_german_too(service: Service) -> None:
    content = f"From: {OUTSIDE}\r\nTo: {ALICE}\r\n\r\nHello\r\n".encode()
    answer = deliver(service.proxy.ports["stranger"], OUTSIDE, (ALICE,), content)
    assert (answer.code, answer.status) == (550, "5.7.1")
    assert "Dieser Server leitet fuer Sie nichts weiter" in answer.text
