"""Asking for a token over verified TLS, and every way it can go wrong."""

import ssl
from dataclasses import replace

import pytest

from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.token_endpoint import MAX_ANSWER, TokenEndpoint
from tests.ports import free_port
from tests.tls_files import TlsFiles, make_tls_files
from tests.token_server import Client, TokenServer, serving_tokens

SECRET = "canary: +&=%~ü"
CLIENT = Client("the/client id", SECRET)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


def endpoint(server: TokenServer, files: TlsFiles) -> TokenEndpoint:
    trusting = ssl.create_default_context(cafile=files.ca)
    return TokenEndpoint(server.url, CLIENT.name, SECRET, "mail send", trusting)


async def test_the_client_proves_itself_and_says_what_it_wants(files: TlsFiles) -> None:
    with serving_tokens(files, TokenServer(CLIENT)) as server:
        assert b'"token-1"' in await endpoint(server, files).ask()
        await replace(endpoint(server, files), scope="").ask()
    first, second = server.asked
    assert first.known
    assert first.content_type == "application/x-www-form-urlencoded"
    assert first.form == {"grant_type": "client_credentials", "scope": "mail send"}
    assert second.form == {"grant_type": "client_credentials"}


@pytest.mark.parametrize(
    "instead",
    [
        (401, b'{"error": "invalid_client", "secret": "canary"}', {}),
        (500, b"", {}),
        (302, b"", {"Location": "https://localhost/canary"}),
        (307, b"", {"Location": "/token"}),
        (200, b"x" * (MAX_ANSWER + 1), {}),
    ],
)
async def test_everything_but_a_small_200_is_a_failure_that_tells_no_secret(
    files: TlsFiles, instead: tuple[int, bytes, dict[str, str]]
) -> None:
    with serving_tokens(files, TokenServer(CLIENT, instead=instead)) as server:
        with pytest.raises(LookupFailed) as failure:
            await endpoint(server, files).ask()
        assert len(server.asked) == 1
    assert "canary" not in str(failure.value)


async def test_the_secret_goes_only_to_a_server_that_proves_itself(
    files: TlsFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = make_tls_files(tmp_path_factory.mktemp("stranger"))
    other_name = make_tls_files(tmp_path_factory.mktemp("other"), ("other.example",))
    for shown, trusted in ((stranger, files), (other_name, other_name)):
        with serving_tokens(shown, TokenServer(CLIENT)) as server:
            with pytest.raises(LookupFailed):
                await endpoint(server, trusted).ask()
            with pytest.raises(LookupFailed):
                await replace(endpoint(server, trusted), tls=None).ask()
            assert server.asked == []


async def test_nobody_there_is_a_failure(files: TlsFiles) -> None:
    away = TokenServer(CLIENT, url=f"https://localhost:{free_port()}/token")
    with pytest.raises(LookupFailed):
        await endpoint(away, files).ask()


def test_the_secret_is_not_shown(files: TlsFiles) -> None:
    assert "canary" not in repr(endpoint(TokenServer(CLIENT), files))
