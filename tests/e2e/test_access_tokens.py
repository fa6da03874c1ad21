"""A service that logs in at its upstream with access tokens of a real token endpoint.

RFC 6749 4.4, RFC 7628; row A19 for what is secret.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.canary import files, leaks
from tests.e2e.client import Answer, deliver
from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving
from tests.sink import Sink, running
from tests.tls_files import TlsFiles
from tests.token_server import Client, TokenServer, serving_tokens

pytestmark = pytest.mark.e2e

USER = "service@example.test"
SECRET = "canary-of-the-client"
ANOTHER = "canary-of-its-successor"
TOKENS = [f"canary-token-{number}" for number in range(4)]
RECIPIENTS = (PARTNER, FRIEND, OUTSIDE)
MAIL = f"From: {ALICE}\r\nTo: {PARTNER}, {OUTSIDE}\r\nSubject: x\r\n\r\nHello\r\n".encode()


@dataclass(frozen=True, slots=True)
class Site:
    """A service, its upstream, its token endpoint, and the file of its secret."""

    proxy: Proxy
    sink: Sink
    tokens: TokenServer
    secret: Path

    def send(self) -> Answer:
        return deliver(self.proxy.ports["out"], ALICE, RECIPIENTS, MAIL)

    def begin_anew(self) -> None:
        """Reload: the connections that were let in are closed, tokens are forgotten."""
        done = self.proxy.log().count(" reloaded")
        assert self.proxy.process is not None
        self.proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.proxy.log().count(" reloaded") > done, self.proxy.log)


@pytest.fixture(params=["XOAUTH2", "OAUTHBEARER"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, made: Made, tls: TlsFiles
) -> Iterator[Site]:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    tokens = TokenServer(Client("proxy", SECRET), list(TOKENS))
    sink = Sink(tls=tls.server(), logins={USER: TOKENS[0]}, mechanisms=["PLAIN", request.param])
    with running(sink), serving_tokens(tls, tokens):
        oauth = (
            f'oauth = {{token_url = "{tokens.url}", client_id = "proxy", scope = "send", '
            f'client_secret_file = "{secret}", tls_ca_file = "{tls.ca}"}}'
        )
        relay = (
            f'url = "smtp://localhost:{sink.port}"\ntls_ca_file = "{tls.ca}"\n'
            f'username = "{USER}"\n{oauth}'
        )
        design = Design({"relay": relay}, {"out": Listener("outbound", "relay")})
        with serving(tmp_path / "proxy", made.state, design) as proxy:
            yield Site(proxy, sink, tokens, secret)
            _, metrics = proxy.get("/metrics")
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()
            assert not any(line.startswith(b"AUTH PLAIN") for line in sink.commands())
            places = [proxy.log().encode(), metrics.encode(), *files(proxy.state)]
            for canary in (SECRET, ANOTHER, "canary-token"):
                assert leaks(canary.encode(), places) == []


def test_every_connection_logs_in_with_the_token_until_it_is_revoked(site: Site) -> None:
    assert site.send().code == 250
    messages = list(site.sink.messages)
    assert len({message.connection for message in messages}) > 1
    assert {message.login for message in messages} == {USER}
    assert [asked.form.get("scope") for asked in site.tokens.asked] == ["send"]
    site.begin_anew()
    site.sink.logins[USER] = TOKENS[2]  # the next one is no good either: another is asked for
    assert site.send().code == 250
    assert len(site.tokens.asked) == 3


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ((503, b"", {}), "503 in answer"),
        ((302, b"", {"Location": "https://localhost/canary-token"}), "302 in answer"),
        (
            (200, b'{"access_token": "canary-token-9\\r\\n", "token_type": "Bearer"}', {}),
            "no usable access_token",
        ),
    ],
)
def test_without_a_token_no_mail_is_sent(
    site: Site, instead: tuple[int, bytes, dict[str, str]], reason: str
) -> None:
    site.tokens.instead = instead
    for _ in range(2):
        answer = site.send()
        assert (answer.code, answer.status) == (451, "4.7.0")
    assert site.sink.messages == []
    verbs = {line.partition(b" ")[0] for line in site.sink.commands()}
    assert verbs <= {b"EHLO", b"STARTTLS", b"QUIT"}
    assert reason in site.proxy.log()
    doctor = site.proxy.command("doctor")
    assert (doctor.returncode, reason in doctor.stdout) == (1, True)
    site.tokens.instead, site.tokens.client = None, Client("proxy", ANOTHER)
    assert site.send().code == 451
    site.secret.write_text(f"{ANOTHER}\n")
    site.begin_anew()
    assert site.send().code == 250
