"""Who may send: logins checked by the upstream, and whose keys they may use.

Rows A02, A19, R32, E01; RFC 4954.
"""

import ssl
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.canary import files, leaks
from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.proxy import Design, Listener, Proxy, serving, to_sink
from tests.ports import HOST
from tests.sink import Fault, Say, Sink, Step, running
from tests.tls_files import TlsFiles, make_tls_files

pytestmark = pytest.mark.e2e

SECRET = "canary-of-alices-login"
GUESS = "canary-that-was-wrong"
BOB = "bob@example.test"
MARK = 'require_header = {"X-OriginatorOrg" = ["example.test"]}'


@dataclass(frozen=True, slots=True)
class Submission:
    """A service whose clients log in; the upstream knows alice and bob, bob may use nothing."""

    proxy: Proxy
    sink: Sink
    bare: Sink  # offers no TLS
    trusting: ssl.SSLContext

    def client(self, listener: str = "submission") -> Client:
        """Connect, and turn to TLS."""
        client = Client(self.proxy.ports[listener])
        client.say("EHLO client.example.test")
        assert client.say("STARTTLS").code == 220
        client.secure(self.trusting)
        assert client.say("EHLO client.example.test").code == 250
        return client


@pytest.fixture(scope="module")
def submission(
    tmp_path_factory: pytest.TempPathFactory, made: Made, tls: TlsFiles
) -> Iterator[Submission]:
    folder = tmp_path_factory.mktemp("submission")
    stranger = make_tls_files(folder, label="stranger")
    sink = Sink(tls=tls.server(), logins={ALICE: SECRET, BOB: SECRET, "proxy": "of the service"})
    bare = Sink(logins={ALICE: SECRET})
    with running(sink), running(bare):
        pair = f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"\n'
        secured = f'url = "smtp://localhost:{sink.port}"\n'
        upstreams = {
            "relay": f'{secured}tls_ca_file = "{tls.ca}"',
            "distrusted": f'{secured}tls_ca_file = "{stranger.ca}"',
            "bare": f'url = "smtp://{HOST}:{bare.port}"\ntls_ca_file = "{tls.ca}"',
        }
        password = folder / "password"
        password.write_text("of the service\n")
        upstreams["service"] = (
            f'{upstreams["relay"]}\nusername = "proxy"\npassword_file = "{password}"'
        )
        auth = f'auth = "upstream"\n{pair}'
        listeners = {
            "submission": Listener("outbound", "relay", auth),
            "distrusted": Listener("outbound", "distrusted", auth),
            "bare": Listener("outbound", "bare", auth),
            "shared": Listener("outbound", "service", MARK),
            "local": Listener("outbound", "service", f'auth = "local"\n{pair}'),
            "lmtp": Listener("outbound", "relay", f'protocol = "lmtp"\n{auth}'),
        }
        with serving(folder / "proxy", made.state, Design(upstreams, listeners)) as proxy:
            yield Submission(proxy, sink, bare, ssl.create_default_context(cafile=tls.ca))
            _, metrics = proxy.get("/metrics")
            assert proxy.stop() == 0, proxy.log()
            assert "Traceback" not in proxy.log()
            places = [proxy.log().encode(), metrics.encode(), *files(proxy.state)]
            for secret in (SECRET, GUESS):
                assert leaks(secret.encode(), places) == []


def log_in(client: Client, login: str, password: str = SECRET) -> Answer:
    secret = b64encode(f"\0{login}\0{password}".encode()).decode()
    return client.say(f"AUTH PLAIN {secret}")


def mail(sender: str) -> bytes:
    return f"From: {sender}\r\nTo: {OUTSIDE}\r\nSubject: x\r\n\r\nHello\r\n".encode()


def test_who_logged_in_sends_signed_mail_as_himself(submission: Submission) -> None:
    with submission.client() as client:
        assert client.say(f"MAIL FROM:<{ALICE}>").text == "5.7.0 Authentication required"
        assert log_in(client, ALICE).code == 235
        assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    message = submission.sink.messages[-1]
    assert message.login == ALICE
    assert b"multipart/signed" in message.content
    assert b" with ESMTPSA id " in message.content


def test_an_lmtp_client_logs_in_like_any_other(submission: Submission) -> None:
    with Client(submission.proxy.ports["lmtp"]) as client:
        client.say("LHLO filter.example.test")
        assert client.say("STARTTLS").code == 220
        client.secure(submission.trusting)
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 503
        assert "AUTH PLAIN LOGIN" in client.say("LHLO filter.example.test").lines
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 530
        assert log_in(client, BOB, GUESS).code == 535
        assert log_in(client, ALICE).code == 235
        assert client.transaction(ALICE, (OUTSIDE,), mail(TEAM)).code == 550
        assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    message = submission.sink.messages[-1]
    assert message.login == ALICE
    assert b" with LMTPSA id " in message.content


def test_every_copy_of_a_split_is_sent_with_the_senders_own_login(submission: Submission) -> None:
    before = len(submission.sink.messages)
    recipients = (PARTNER, FRIEND, OUTSIDE)
    content = f"From: {ALICE}\r\nTo: {PARTNER}, {OUTSIDE}\r\nSubject: x\r\n\r\nHello\r\n".encode()
    with submission.client() as client:
        assert log_in(client, ALICE).code == 235
        assert client.transaction(ALICE, recipients, content).code == 250
    messages = submission.sink.messages[before:]
    assert len({message.connection for message in messages}) > 1
    assert {message.login for message in messages} == {ALICE}


def test_no_connection_of_one_login_carries_the_mail_of_another(submission: Submission) -> None:
    before = len(submission.sink.messages)
    with submission.client() as alice, submission.client() as bob:
        assert log_in(alice, ALICE).code == 235
        assert log_in(bob, BOB).code == 235
        for _ in range(2):
            assert bob.transaction(BOB, (OUTSIDE,), mail(BOB)).code == 250
            assert alice.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    messages = submission.sink.messages[before:]
    assert [message.login for message in messages] == [BOB, ALICE, BOB, ALICE]


@pytest.mark.parametrize("sender", [ALICE, TEAM])
def test_the_address_of_an_account_that_was_not_granted_is_refused(
    submission: Submission, sender: str
) -> None:
    """Rows A02, E01: the upstream vouches for the login, the grants decide on From."""
    before = len(submission.sink.messages)
    with submission.client() as client:
        assert log_in(client, BOB).code == 235
        answer = client.transaction(BOB, (OUTSIDE,), mail(sender))
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert f"login {BOB} was not granted {sender}" in answer.text
        assert client.transaction(BOB, (OUTSIDE,), mail(BOB)).code == 250
    (message,) = submission.sink.messages[before:]
    assert b"multipart/signed" not in message.content


def test_a_refusal_keeps_its_code_and_nothing_is_sent(submission: Submission) -> None:
    with submission.client() as client:
        answer = log_in(client, ALICE, GUESS)
        assert (answer.code, answer.status) == (535, "5.7.8")
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 530
        submission.sink.faults = [Fault(Step.AUTH, Say(b"454 4.7.0 canary-of-alices-login\r\n"))]
        answer = log_in(client, ALICE)
        submission.sink.faults = []
        assert (answer.code, answer.status) == (454, "4.7.0")
        assert SECRET not in answer.text
        assert log_in(client, ALICE).code == 235


@pytest.mark.parametrize("listener", ["distrusted", "bare"])
def test_a_password_is_never_sent_to_an_upstream_that_did_not_prove_itself(
    submission: Submission, listener: str
) -> None:
    """Row R32."""
    sink = submission.bare if listener == "bare" else submission.sink
    before = len(sink.journal)
    with submission.client(listener) as client:
        answer = log_in(client, ALICE)
        assert (answer.code, answer.status) == (454, "4.7.0")
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 530
    said = [entry.raw for entry in sink.journal[before:] if entry.event == "command"]
    assert said
    assert all(line.partition(b" ")[0] in {b"EHLO", b"STARTTLS", b"QUIT"} for line in said)


def test_passwords_of_the_store_let_in_and_the_mail_takes_the_usual_way(
    submission: Submission, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    with submission.client("local") as client:
        assert log_in(client, ALICE).code == 535
        submission.proxy.done("account", "password", ALICE, "--password-file", file)
        assert log_in(client, BOB).code == 535
        assert log_in(client, ALICE, GUESS).code == 535
        assert client.say(f"MAIL FROM:<{ALICE}>").code == 530
        assert log_in(client, ALICE).code == 235
        answer = client.transaction(ALICE, (OUTSIDE,), mail(TEAM))
        assert (answer.code, answer.status) == (550, "5.7.1")
        assert client.transaction(ALICE, (OUTSIDE,), mail(ALICE)).code == 250
    message = submission.sink.messages[-1]
    assert message.login == "proxy"
    assert b"multipart/signed" in message.content
    submission.proxy.done("account", "password", ALICE, "--remove")
    with submission.client("local") as client:
        assert log_in(client, ALICE).code == 535


@pytest.mark.parametrize("listener", ["submission", "local"])
def test_guessing_is_slowed_down(submission: Submission, listener: str) -> None:
    """Row A19: of a thousand guesses few are listened to; others are not slowed down by it."""
    codes: list[int] = []
    victim = "victim@example.test"
    before = sum(line.startswith(b"AUTH") for line in submission.sink.commands())
    while len(codes) < 1000:
        with submission.client(listener) as client:
            codes += [log_in(client, victim, GUESS).code for _ in range(90)]
    tried = sum(line.startswith(b"AUTH") for line in submission.sink.commands()) - before
    assert codes[:10] == [535] * 10
    assert set(codes) == {535, 454}
    assert codes.count(535) < 25
    if listener == "submission":
        assert tried == codes.count(535)
        with submission.client() as client:
            assert log_in(client, ALICE).code == 235


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (b"", 550),
        (b"X-OriginatorOrg: evil.example\r\n", 550),
        (b"X-OriginatorOrg: evil.example\r\nX-OriginatorOrg: example.test\r\n", 550),
        (b"X-OriginatorOrg: Example.test\r\n", 250),
    ],
)
def test_a_shared_network_sends_only_what_bears_our_mark(
    submission: Submission, field: bytes, code: int
) -> None:
    """Row A03: another tenant of the same mail service with our From."""
    before = len(submission.sink.messages)
    answer = deliver(submission.proxy.ports["shared"], ALICE, (OUTSIDE,), field + mail(ALICE))
    assert answer.code == code
    messages = submission.sink.messages[before:]
    assert len(messages) == (code == 250)
    if code == 550:
        assert (answer.status, "X-OriginatorOrg" in answer.text) == ("5.7.1", True)
    else:
        assert b"multipart/signed" in messages[0].content


@pytest.mark.parametrize("verb", ["check-config", "serve"])
def test_an_open_relay_does_not_start(tmp_path: Path, verb: str) -> None:
    lines = 'trusted_networks = ["40.92.0.0/15"]'
    design = Design({"sink": to_sink(25)}, {"out": Listener("outbound", "sink", lines)})
    proxy = Proxy(tmp_path, design)
    text = proxy.config.read_text()
    port = proxy.ports["out"]
    proxy.config.write_text(text.replace(f"{HOST}:{port}", f"0.0.0.0:{port}"))
    result = proxy.command(verb)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "listeners.out.trusted_networks: 40.92.0.0/15 is public" in result.stderr


def test_settings_that_would_send_passwords_in_clear_are_refused(tmp_path: Path) -> None:
    design = Design(
        {"sink": to_sink(25)}, {"out": Listener("outbound", "sink", 'auth = "upstream"')}
    )
    result = Proxy(tmp_path, design).command("check-config")
    assert result.returncode == 1
    assert "listeners.out.auth: upstream: upstreams.sink.tls must be required" in result.stderr
