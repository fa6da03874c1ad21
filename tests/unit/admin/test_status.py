"""The status endpoint answers probes, and nothing but probes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from socket import create_server

import pytest

from smime_proxy.admin.publication import Publication
from smime_proxy.admin.status import MAX_HEADER_OCTETS, serve_status
from smime_proxy.stores.errors import StoreError


class Seen:
    """An overview that says what it is told."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self.modes: dict[str, float] = {}

    def not_ready(self) -> str:
        return self.reason

    def counts(self) -> Mapping[str, int]:
        return {"partly_sent": 7}

    def measured(self) -> Sequence[Mapping[str, float]]:
        return [{"expiry_seconds\tsigning": 4e9, "mode\tout\tenforce": 1.0, **self.modes}]


@asynccontextmanager
async def served(overview: Seen, publication: Publication | None = None) -> AsyncIterator[int]:
    sock = create_server(("127.0.0.1", 0))
    task = asyncio.ensure_future(serve_status(sock, overview, publication))
    try:
        yield sock.getsockname()[1]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ask(
    request: bytes, overview: Seen | None = None, publication: Publication | None = None
) -> str:
    async with served(overview or Seen(), publication) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        text = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    return text.decode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_a_living_service_says_so() -> None:
    assert (await ask(get("/livez"), Seen("starting"))).startswith("HTTP/1.1 200 OK\r\n")


async def test_readiness_comes_with_its_reason() -> None:
    assert (await ask(get("/readyz"))).startswith("HTTP/1.1 200 ")
    answer = await ask(get("/readyz"), Seen("shutting down"))
    assert answer.startswith("HTTP/1.1 503 ")
    assert answer.endswith("\r\n\r\nshutting down\n")


async def test_a_service_that_does_not_enforce_is_ready_and_says_so() -> None:
    overview = Seen()
    assert (await ask(get("/readyz"), overview)).endswith("\r\n\r\nok\n")
    overview.modes["mode\tin\tobserve"] = 1.0
    answer = await ask(get("/readyz"), overview)
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("\r\n\r\nok\nlistener in: observe\n")


async def test_metrics_are_shown() -> None:
    answer = await ask(get("/metrics?x=1"))
    assert "Content-Type: text/plain; version=0.0.4" in answer
    assert "\nsmime_proxy_partly_sent_total 7.0\n" in answer
    assert "\nsmime_proxy_ready 1.0\n" in answer


async def test_head_is_get_without_content() -> None:
    answer = await ask(b"HEAD /livez HTTP/1.0\r\n\r\n")
    assert "Content-Length: 3\r\n" in answer
    assert answer.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), "404"),
        (get("/livez/"), "404"),
        (get("/api/v1/accounts"), "404"),
        (b"POST /livez HTTP/1.1\r\n\r\n", "405"),
        (b"GET /livez\r\n\r\n", "400"),
        (b"GET  /livez HTTP/1.1\r\n\r\n", "400"),
        (b"\x00\xff\r\n\r\n", "400"),
        (get("/" + "x" * 2 * MAX_HEADER_OCTETS), "431"),
    ],
)
async def test_all_else_is_refused(request_: bytes, status: str) -> None:
    assert (await ask(request_)).startswith(f"HTTP/1.1 {status} ")


async def test_half_a_request_gets_no_answer() -> None:
    async with served(Seen()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


def shown() -> Publication:
    return Publication(lambda: {"ab12.crl": b"list", "ab12.cer": b"certificate"})


@pytest.mark.parametrize(
    ("path", "media_type", "content"),
    [
        ("/crl/ab12.crl", "application/pkix-crl", "list"),
        ("/crl/ab12.crl?x=1", "application/pkix-crl", "list"),
        ("/crl/ab12.cer", "application/pkix-cert", "certificate"),
    ],
)
async def test_lists_and_certificates_come_as_what_they_are(
    path: str, media_type: str, content: str
) -> None:
    answer = await ask(get(path), publication=shown())
    assert answer.startswith("HTTP/1.1 200 ")
    assert f"Content-Type: {media_type}\r\n" in answer
    assert "Cache-Control: max-age=3600\r\n" in answer
    assert answer.endswith(f"\r\n\r\n{content}")
    head = await ask(get(path).replace(b"GET", b"HEAD"), publication=shown())
    assert head.endswith(f"Content-Length: {len(content)}\r\n" + head[head.index("Cache-") :])
    assert head.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    "path", ["/crl", "/crl/", "/crl/none.crl", "/crl/../livez", "/crl/x/ab12.crl", "/ab12.crl"]
)
async def test_no_other_file_is_shown(path: str) -> None:
    assert (await ask(get(path), publication=shown())).startswith("HTTP/1.1 404 ")
    assert (await ask(get("/crl/ab12.crl"))).startswith("HTTP/1.1 404 ")
    posted = get("/crl/ab12.crl").replace(b"GET", b"PUT")
    assert (await ask(posted, publication=shown())).startswith("HTTP/1.1 405 ")


async def test_an_unreadable_store_says_nothing_of_itself() -> None:
    def broken() -> Mapping[str, bytes]:
        raise StoreError("/secret/place")

    answer = await ask(get("/crl/ab12.crl"), publication=Publication(broken))
    assert answer.startswith("HTTP/1.1 503 ")
    assert "secret" not in answer
