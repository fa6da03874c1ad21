"""Logins checked by an upstream that speaks, over TLS it must prove itself by."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.envelope import ForwardPath
from smime_proxy.reply import Reply
from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.sasl import Credentials
from smime_proxy.smtp.tls import client_context
from smime_proxy.smtp.upstream_login import UpstreamAuthenticator, UpstreamIdentity
from tests.sink import Fault, Say, Sink, Step
from tests.tls_files import TlsFiles, make_tls_files

SECRET = "canary-of-eve"
LOGINS = {"eve": SECRET, "adam": "other"}
TIMES = Timeouts(connect=10, greeting=10, command=10)
SOMEBODY: Mailbox = parse_mailbox("somebody@example.org")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def asking(sink: Sink, files: TlsFiles) -> UpstreamAuthenticator:
    relay = Relay("127.0.0.1", sink.port, tls_context=client_context(files.ca))
    return UpstreamAuthenticator(relay, "proxy.example", TIMES)


async def send(identity: UpstreamIdentity) -> None:
    transaction = await identity.open()
    assert (await transaction.mail(SOMEBODY, ())).is_positive
    assert (await transaction.rcpt(ForwardPath(SOMEBODY))).is_positive
    assert await transaction.prepare([b"x\r\n"]) is None
    assert all(reply.is_positive for reply in await transaction.commit())


async def test_mail_goes_over_the_session_that_was_let_in(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins=LOGINS) as sink:
        identity = await asking(sink, files).judge(Credentials("eve", SECRET))
        assert isinstance(identity, UpstreamIdentity)
        assert identity.login == "eve"
        await send(identity.upstream)
        assert sink.connections == 1
        assert (sink.messages[0].login, sink.messages[0].tls) == ("eve", True)
        await identity.close()


async def test_each_connection_logs_in_and_none_is_shared(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins=LOGINS) as sink:
        judge = asking(sink, files)
        eve = await judge.judge(Credentials("eve", SECRET))
        adam = await judge.judge(Credentials("adam", "other"))
        assert isinstance(eve, UpstreamIdentity)
        assert isinstance(adam, UpstreamIdentity)
        both = [await eve.open(), await eve.open()]
        assert sink.connections == 3
        for transaction in both:
            await transaction.abort()
        await send(adam)
        await send(eve)
        assert [message.login for message in sink.messages] == ["adam", "eve"]
        await eve.close()
        await adam.close()


async def test_a_closed_identity_sends_no_more(files: TlsFiles) -> None:
    async with Sink(tls=files.server(), logins=LOGINS) as sink:
        identity = await asking(sink, files).judge(Credentials("eve", SECRET))
        assert isinstance(identity, UpstreamIdentity)
        await identity.close()
        assert sink.commands()[-1] == b"QUIT"
        with pytest.raises(SmtpError):
            await identity.open()
        assert SECRET not in str(vars(identity))
        await identity.close()


@pytest.mark.parametrize(
    ("said", "passed_on"),
    [
        (b"535 5.7.8 wrong: canary-of-eve\r\n", "535 5.7.8"),
        (b"535 no\r\n", "535 5.7.8"),
        (b"534 5.7.9 too weak\r\n", "534 5.7.9"),
        (b"454 4.7.0 later\r\n", "454 4.7.0"),
        (b"421 4.3.2 Bye\r\n", "454 4.7.0"),
        (b"250 2.0.0 what\r\n", "454 4.7.0"),
        (b"what, canary-of-eve?\r\n", "454 4.7.0"),
        (b"535-canary-of-eve\r\nwhat, canary-of-eve?\r\n", "454 4.7.0"),
    ],
)
async def test_the_verdict_is_passed_on_with_its_code(
    files: TlsFiles, said: bytes, passed_on: str
) -> None:
    faults = [Fault(Step.AUTH, Say(said))]
    async with Sink(tls=files.server(), logins=LOGINS, faults=faults) as sink:
        with capture_logs() as logs:
            reply = await asking(sink, files).judge(Credentials("eve", SECRET))
    assert isinstance(reply, Reply)
    assert str(reply).startswith(passed_on)
    assert SECRET not in str(reply) + str(logs)


async def test_the_password_is_never_sent_in_clear_or_to_somebody_else(
    files: TlsFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Row R32."""
    stranger = make_tls_files(tmp_path_factory.mktemp("stranger"))
    for sink in (Sink(logins=LOGINS), Sink(tls=stranger.server(), logins=LOGINS)):
        async with sink:
            reply = await asking(sink, files).judge(Credentials("eve", SECRET))
            assert isinstance(reply, Reply)
            assert str(reply).startswith("454 4.7.0 ")
            assert {line.partition(b" ")[0] for line in sink.commands()} <= {b"EHLO", b"STARTTLS"}


def test_the_same_relay_judges_alike_whatever_context_was_made_for_it(files: TlsFiles) -> None:
    one, same = (Relay("a.example", 25, tls_context=client_context(files.ca)) for _ in range(2))
    other = replace(one, host="b.example")
    judges = [UpstreamAuthenticator(relay, "proxy.example", TIMES) for relay in (one, same, other)]
    assert judges[0] == judges[1]
    assert judges[0] != judges[2]


def test_only_a_relay_with_verified_tls_and_no_login_of_its_own_will_do(files: TlsFiles) -> None:
    good = Relay("127.0.0.1", 25, tls_context=client_context(files.ca))
    for relay in (Relay("127.0.0.1", 25, tls="never"), replace(good, username="service")):
        with pytest.raises(SmtpError, match="cannot check logins"):
            UpstreamAuthenticator(relay, "proxy.example", TIMES)
