"""Settings that change while the service runs (R31, I19): whole, at once, or not at all."""

import os
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.ports import HOST
from tests.sink import Sink, running
from tests.tls_files import TlsFiles, make_tls_files

pytestmark = pytest.mark.e2e

STRANGER = "stranger@firm.example"
MAIL = f"From: {ALICE}\r\nTo: {STRANGER}\r\nSubject: x\r\n\r\ntext\r\n".encode()


@dataclass(frozen=True)
class Service:
    proxy: Proxy
    first: Sink
    second: Sink

    def settings(self, upstream: str, more: str = "") -> None:
        """Write other settings, and tell the service."""
        proxy = self.proxy
        text = proxy.design.toml(proxy.state, proxy.ports)
        changed = text.replace('upstream = "first"', f'upstream = "{upstream}"') + more
        proxy.config.write_text(changed)

    def hup(self, outcome: str) -> None:
        wanted = self.count(outcome) + self.proxy.design.workers
        assert self.proxy.process is not None
        self.proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.count(outcome) == wanted, self.proxy.log)

    def count(self, outcome: str) -> float:
        _, text = self.proxy.get("/metrics")
        name = f'smime_proxy_reloads_total{{outcome="{outcome}"}} '
        return sum(float(line[len(name) :]) for line in text.splitlines() if line.startswith(name))

    def send(self) -> Answer:
        return deliver(self.proxy.ports["out"], ALICE, (STRANGER,), MAIL)


@pytest.fixture(params=[1, 2])
def service(request: pytest.FixtureRequest, tmp_path: Path, made: Made) -> Iterator[Service]:
    with running(Sink()) as first, running(Sink()) as second:
        upstreams = {"first": to_sink(first.port), "second": to_sink(second.port)}
        listeners = {"out": Listener("outbound", "first")}
        design = Design(upstreams, listeners, workers=request.param)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            yield Service(proxy, first, second)


def test_r31_good_settings_are_taken_and_bad_ones_are_not(service: Service) -> None:
    assert service.send().code == 250
    assert (len(service.first.messages), len(service.second.messages)) == (1, 0)

    with Client(service.proxy.ports["out"]) as client:
        assert client.say("EHLO client.example.test").code == 250
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 250
        service.settings("second", '[policy]\nencrypt = "required"\n')
        service.hup("done")
        assert client.say(f"RCPT TO:<{STRANGER}>").code == 250
        assert client.say("DATA").code == 354
        assert client.content(MAIL).code == 250  # it began by the old settings
    assert (len(service.first.messages), len(service.second.messages)) == (2, 0)

    assert service.send().code == 550
    service.settings("second")
    service.hup("done")
    assert service.send().code == 250
    assert (len(service.first.messages), len(service.second.messages)) == (2, 1)

    for bad, reason in (
        ("[policy\n", "smime-proxy.toml"),
        ('[policy]\nencrypt = "perhaps"\n', "policy.encrypt"),
        (f'[upstreams.third]\nurl = "smtps://{HOST}"\ntls_ca_file = "/nowhere"\n', "/nowhere"),
        ('[revocation]\nmode = "hard"\n', "revocation: a change needs a restart"),
    ):
        service.settings("first", bad)
        service.hup("failed")
        assert reason in service.proxy.log()
        assert service.send().code == 250
    assert (len(service.first.messages), len(service.second.messages)) == (2, 5)

    service.settings("first")
    service.hup("done")
    assert service.send().code == 250
    assert len(service.first.messages) == 3
    assert "Traceback" not in service.proxy.log()


def test_a_process_that_is_started_anew_goes_by_the_new_settings(
    tmp_path: Path, made: Made
) -> None:
    with running(Sink()) as first, running(Sink()) as second:
        upstreams = {"first": to_sink(first.port), "second": to_sink(second.port)}
        design = Design(upstreams, {"out": Listener("outbound", "first")}, workers=2)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            service = Service(proxy, first, second)
            service.settings("second")
            service.hup("done")
            listening = proxy.log().count("listening")
            for number, pid in enumerate(proxy.children()[:2]):
                os.kill(pid, signal.SIGKILL)
                eventually(
                    lambda wanted=listening + number + 1: proxy.log().count("listening") >= wanted  # type: ignore[misc]
                )
            assert service.send().code == 250
            assert (len(first.messages), len(second.messages)) == (0, 1)


def test_a_sent_copy_whose_upstream_is_gone_stops_the_mail_and_nothing_is_sent(
    tmp_path: Path, made: Made
) -> None:
    """The account is in the store, where no check of the settings looks."""
    with running(Sink()) as sink, running(Sink()) as copies:
        upstreams = {"first": to_sink(sink.port), "copies": to_sink(copies.port)}
        design = Design(upstreams, {"out": Listener("outbound", "first")})
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            proxy.done("account", "set", ALICE, "--sent-copy", "upstream:copies")
            service = Service(proxy, sink, copies)
            content = f"From: {ALICE}\r\nTo: {PARTNER}\r\nSubject: x\r\n\r\ntext\r\n".encode()

            def send() -> Answer:
                return deliver(proxy.ports["out"], ALICE, (PARTNER,), content)

            eventually(lambda: send().code == 250 and bool(copies.messages), proxy.log)
            sent, filed = len(sink.messages), len(copies.messages)
            text = proxy.config.read_text()
            table = f"[upstreams.copies]\n{upstreams['copies']}\n"
            assert table in text
            proxy.config.write_text(text.replace(table, ""))
            service.hup("done")
            assert send().code == 451
            assert (len(sink.messages), len(copies.messages)) == (sent, filed)
            proxy.config.write_text(text)
            service.hup("done")
            assert send().code == 250
            assert (len(sink.messages), len(copies.messages)) == (sent + 1, filed + 1)
            assert "Traceback" not in proxy.log()


def greeted(port: int, files: TlsFiles, *, implicit: bool) -> bool:
    """Tell whether the listener shows a certificate of this authority."""
    context = ssl.create_default_context(cafile=files.ca)
    try:
        with Client(port, context if implicit else None) as client:
            if not implicit:
                client.say("EHLO client.example.test")
                assert client.say("STARTTLS").code == 220
                client.secure(context)
            return client.say("EHLO client.example.test").code == 250
    except ssl.SSLCertVerificationError:
        return False


def test_a_renewed_certificate_is_shown_after_a_reload_and_no_session_ends(
    tmp_path: Path, made: Made
) -> None:
    before = make_tls_files(tmp_path, label="before")
    after = make_tls_files(tmp_path, label="after")
    tls = f'tls_certificate = "{before.certificate}"\ntls_key = "{before.key}"'
    with running(Sink()) as sink:
        listeners = {
            "starttls": Listener("outbound", "sink", tls),
            "smtps": Listener("outbound", "sink", f'{tls}\nprotocol = "smtps"'),
        }
        design = Design({"sink": to_sink(sink.port)}, listeners)
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            service = Service(proxy, sink, sink)
            ways = {proxy.ports["starttls"]: False, proxy.ports["smtps"]: True}
            old = ssl.create_default_context(cafile=before.ca)
            with Client(proxy.ports["smtps"], old) as client:
                assert all(greeted(port, before, implicit=way) for port, way in ways.items())
                before.certificate.write_bytes(after.certificate.read_bytes())
                before.key.write_bytes(after.key.read_bytes())
                service.hup("done")
                assert all(greeted(port, after, implicit=way) for port, way in ways.items())
                assert not any(greeted(port, before, implicit=way) for port, way in ways.items())
                assert client.say("EHLO client.example.test").code == 250
