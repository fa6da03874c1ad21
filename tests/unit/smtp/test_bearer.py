"""Logging in with a token: what is sent to an upstream that speaks, and what is not."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from smime_proxy.gateway.ports import UpstreamError
from smime_proxy.smtp.access_token import AccessTokens
from smime_proxy.smtp.bearer import oauthbearer, xoauth2
from smime_proxy.smtp.errors import TokenError
from smime_proxy.smtp.handshake import connect
from smime_proxy.smtp.relay import Relay, Timeouts
from smime_proxy.smtp.tls import client_context
from tests.sink import Close, Fault, Say, Sink, Step
from tests.tls_files import TlsFiles, make_tls_files

USER = "in,voices=@example.test"
TIMES = Timeouts(connect=10, greeting=10, command=10)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


class Endpoint:
    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked = 0

    async def ask(self) -> bytes:
        self.asked += 1
        if not self.tokens:
            raise TokenError("away")
        return f'{{"access_token": "{self.tokens.pop(0)}", "token_type": "Bearer"}}'.encode()


def relay(sink: Sink, files: TlsFiles, endpoint: Endpoint) -> Relay:
    tokens = AccessTokens(endpoint.ask)
    context = client_context(files.ca)
    return Relay("127.0.0.1", sink.port, tls_context=context, username=USER, tokens=tokens)


def asking(files: TlsFiles, token: str, mechanisms: Sequence[str], *faults: Fault) -> Sink:
    logins = {USER: token}
    return Sink(tls=files.server(), logins=logins, mechanisms=mechanisms, faults=list(faults))


def test_the_messages_are_those_of_the_mechanisms() -> None:
    """RFC 7628 4.1 and Microsoft's documentation have these."""
    token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    assert oauthbearer("user@example.com", token, "server.example.com", 143) == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    assert xoauth2("a@b.example", "t") == b"user=a@b.example\x01auth=Bearer t\x01\x01"


@pytest.mark.parametrize("token", ["short", "long" * 500])
@pytest.mark.parametrize(
    ("mechanisms", "used"),
    [
        (["XOAUTH2"], b"XOAUTH2"),
        (["PLAIN", "LOGIN", "XOAUTH2"], b"XOAUTH2"),
        (["XOAUTH2", "OAUTHBEARER"], b"OAUTHBEARER"),
    ],
)
async def test_the_upstreams_mechanism_is_used(
    files: TlsFiles, mechanisms: list[str], used: bytes, token: str
) -> None:
    """What is longer than a command line may be follows it (RFC 4954 4)."""
    endpoint = Endpoint(token)
    async with asking(files, token, mechanisms) as sink:
        known = relay(sink, files, endpoint)
        for _ in range(2):
            (await connect(known, "p", TIMES)).quit()
        said = [line for line in sink.commands() if line.startswith(b"AUTH ")]
        assert all(line.startswith(b"AUTH " + used) and len(line) <= 510 for line in said)
        assert (len(said), endpoint.asked) == (2, 1)
        assert not any(line.startswith(b"AUTH PLAIN") for line in sink.commands())


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_another_token_is_fetched_once_when_one_is_refused(
    files: TlsFiles, mechanism: str
) -> None:
    endpoint = Endpoint("old", "new", "newer")
    async with asking(files, "new", [mechanism]) as sink:
        (await connect(relay(sink, files, endpoint), "p", TIMES)).quit()
        assert (endpoint.asked, sink.connections) == (2, 1)
    endpoint = Endpoint("old", "new", "newer")
    async with asking(files, "other", [mechanism]) as sink:
        assert await refused(relay(sink, files, endpoint)) == "451 4.4.1"
        assert endpoint.asked == 2
        assert not any(line.startswith(b"MAIL") for line in sink.commands())


async def refused(known: Relay) -> str:
    with capture_logs() as logs, pytest.raises(UpstreamError) as error:
        await connect(known, "p", TIMES)
    assert not any(word in str(logs) for word in ("old", "new"))
    assert error.value.__suppress_context__
    return f"{error.value.reply.code} {error.value.reply.enhanced}"


async def test_without_a_token_nobody_logs_in(files: TlsFiles) -> None:
    async with asking(files, "new", ["XOAUTH2", "PLAIN"]) as sink:
        assert await refused(relay(sink, files, Endpoint())) == "451 4.7.0"
        assert await refused(relay(sink, files, Endpoint("old"))) == "451 4.7.0"
        assert not any(line.startswith((b"MAIL", b"AUTH PLAIN")) for line in sink.commands())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Step.AUTH, Say(b"454 4.7.0 later\r\n")),
        Fault(Step.AUTH, Say(b"334 b2xk\r\n")),
        Fault(Step.AUTH, Say(b"what, new?\r\n")),
        Fault(Step.AUTH, Close()),
    ],
    ids=str,
)
async def test_every_fault_is_451(files: TlsFiles, fault: Fault) -> None:
    async with asking(files, "new", ["XOAUTH2"], fault) as sink:
        assert await refused(relay(sink, files, Endpoint("new"))) == "451 4.4.1"


async def test_no_token_is_shown_where_no_mechanism_for_it_is_offered(files: TlsFiles) -> None:
    async with asking(files, "new", ["PLAIN", "LOGIN"]) as sink:
        assert await refused(relay(sink, files, Endpoint("new"))) == "451 4.4.1"
        assert not any(line.startswith(b"AUTH") for line in sink.commands())
