"""An OAuth 2 token endpoint over HTTPS: gives tokens to one client, and can answer anything else.

    with serving_tokens(files, Client("id", "secret")) as server:
        ...  # POST to server.url
        assert server.asked[0].form == {"grant_type": "client_credentials"}

RFC 6749 4.4, 5.1, 5.2.
"""

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_plus

from tests.tls_files import TlsFiles


@dataclass(frozen=True, slots=True)
class Client:
    """Who gets tokens."""

    name: str
    secret: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    content_type: str
    form: dict[str, str]
    known: bool  # the client proved himself


@dataclass
class TokenServer:
    """What the endpoint gives: the next of `tokens` (the last one for ever), or `instead`."""

    client: Client
    tokens: list[str] = field(default_factory=lambda: ["token-1"])
    expires_in: object = 3600
    instead: tuple[int, bytes, dict[str, str]] | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def answer(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        """Decide on one request."""
        self.asked.append(asked)
        if self.instead is not None:
            return self.instead
        if not asked.known or asked.form.get("grant_type") != "client_credentials":
            return 401, b'{"error": "invalid_client"}', {}
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        given = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        return 200, json.dumps(given).encode(), {"Content-Type": "application/json"}


@contextmanager
def serving_tokens(files: TlsFiles, server: TokenServer) -> Iterator[TokenServer]:
    """Serve on a free port of the loopback interface, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = Asked(
                self.path,
                self.headers["Content-Type"],
                dict(parse_qsl(content)),
                _basic(self.headers["Authorization"] or "") == server.client,
            )
            code, raw, headers = server.answer(asked)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.socket = files.server().wrap_socket(
        listening.socket, server_side=True, do_handshake_on_connect=False
    )
    server.url = f"https://localhost:{listening.server_address[1]}/token"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def _basic(field: str) -> Client | None:
    scheme, _, encoded = field.partition(" ")
    if scheme != "Basic":
        return None
    name, _, secret = b64decode(encoded).decode().partition(":")
    return Client(unquote_plus(name), unquote_plus(secret))
