"""The status endpoint: /livez, /readyz, /metrics and the authority's /crl, nothing else.

RFC 9110, RFC 9112 (HTTP/1.1). Read-only and without names of people, so it asks for no login.
"""

import asyncio
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath

from smime_proxy import __version__
from smime_proxy.admin.metrics import MARK, render
from smime_proxy.admin.publication import MEDIA_TYPES, Publication
from smime_proxy.gateway.modes import Mode
from smime_proxy.smtp.service import Overview
from smime_proxy.stores.errors import StoreError

MAX_HEADER_OCTETS = 8192  # probes and Prometheus send a few hundred
HEADER_SECONDS = 5  # from connecting to the end of the header; probes are near
MAX_CLIENTS = 50  # at once; a probe and a few scrapers
CACHE_SECONDS = 3600  # of lists and certificates; a list holds for days
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: HTTPStatus
    content: bytes
    content_type: str = _TEXT
    caching: str = "no-store"

    def encode(self, *, head: bool) -> bytes:
        """Give the wire form; to HEAD without the content (RFC 9110 9.3.2)."""
        allow = "Allow: GET, HEAD\r\n" if self.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
        header = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.content)}\r\n"
            f"{allow}Cache-Control: {self.caching}\r\nConnection: close\r\n\r\n"
        )
        return header.encode("ascii") + (b"" if head else self.content)


async def serve_status(
    sock: socket.socket, overview: Overview, publication: Publication | None = None
) -> None:
    """Answer on a listening socket until cancelled."""
    clients: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) >= MAX_CLIENTS:
            writer.close()
            return
        clients.add(writer)
        try:
            async with asyncio.timeout(HEADER_SECONDS):
                writer.write(await _respond(reader, overview, publication))
                await writer.drain()
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        finally:
            clients.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, sock=sock, limit=MAX_HEADER_OCTETS)
    try:
        await server.serve_forever()
    finally:
        for writer in clients:
            writer.transport.abort()


async def _respond(
    reader: asyncio.StreamReader, overview: Overview, publication: Publication | None
) -> bytes:
    try:
        header = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        too_large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return Answer(too_large, b"header too large\n").encode(head=False)
    except asyncio.IncompleteReadError:
        return b""
    words = header.partition(b"\r\n")[0].split(b" ")
    said = answer(words, overview)
    if said.status is HTTPStatus.NOT_FOUND and publication is not None:
        prefix, _, name = words[1].partition(b"?")[0].rpartition(b"/")
        if prefix == b"/crl":
            said = await _answer_published(name.decode("ascii", "replace"), publication)
    return said.encode(head=words[0] == b"HEAD")


async def _answer_published(name: str, publication: Publication) -> Answer:
    try:
        content = await publication.find(name)
    except StoreError:  # says where the store lies, which is nobody's business here
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the store cannot be read\n")
    if content is None:
        return Answer(HTTPStatus.NOT_FOUND, b"not found\n")
    media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
    return Answer(HTTPStatus.OK, content, media_type, f"max-age={CACHE_SECONDS}")


def answer(words: list[bytes], overview: Overview) -> Answer:
    """Answer a request line split at its blanks (RFC 9112 3)."""
    match words:
        case [b"GET" | b"HEAD", target, b"HTTP/1.1" | b"HTTP/1.0"]:
            return _answer_path(target.partition(b"?")[0], overview)
        case [_, _, b"HTTP/1.1" | b"HTTP/1.0"]:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n")
        case _:
            return Answer(HTTPStatus.BAD_REQUEST, b"not a request\n")


def _answer_path(path: bytes, overview: Overview) -> Answer:
    match path:
        case b"/livez":
            return Answer(HTTPStatus.OK, b"ok\n")
        case b"/readyz":
            reason = overview.not_ready()
            if reason:
                return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n".encode())
            return Answer(HTTPStatus.OK, f"ok\n{_not_enforced(overview)}".encode())
        case b"/metrics":
            ready = not overview.not_ready()
            seen = overview.counts(), overview.measured()
            shown = render(*seen, ready=ready, version=__version__, at=time.time())
            return Answer(HTTPStatus.OK, shown, _METRICS)
        case _:
            return Answer(HTTPStatus.NOT_FOUND, b"not found\n")


def _not_enforced(overview: Overview) -> str:
    """Give a line for each listener that does not enforce what is decided."""
    names = {name for process in overview.measured() for name in process}
    found = (full.split(MARK) for full in sorted(names) if full.startswith(f"mode{MARK}"))
    enforced = Mode.ENFORCE.value
    return "".join(f"listener {name}: {mode}\n" for _, name, mode in found if mode != enforced)
