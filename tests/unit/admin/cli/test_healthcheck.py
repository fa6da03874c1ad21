import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from .conftest import Cli


class Readiness(BaseHTTPRequestHandler):
    code = 200

    def do_GET(self) -> None:
        self.send_response(self.code if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Readiness) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("code", [200, 503])
def test_it_says_what_the_service_says(
    empty: Cli, server: HTTPServer, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Readiness, "code", code)
    bind = f"0.0.0.0:{server.server_port}"
    empty.environment["SMIME_PROXY_STATUS__BIND"] = bind
    if code == 200:
        empty.done("healthcheck")
    else:
        assert f"{bind} answers 503" in empty.refused("healthcheck")


def test_no_service_is_no_health(empty: Cli) -> None:
    empty.environment["SMIME_PROXY_STATUS__BIND"] = "127.0.0.1:2"
    assert "no answer from 127.0.0.1:2" in empty.refused("healthcheck")


def test_without_a_status_port_it_cannot_be_asked(empty: Cli) -> None:
    empty.environment["SMIME_PROXY_STATUS__BIND"] = ""
    assert "cannot be asked" in empty.refused("healthcheck")
