"""Sockets are bound once, and the state directory has one service."""

import os
from pathlib import Path

import pytest

from smime_proxy.smtp import sockets
from smime_proxy.smtp.errors import SmtpError
from smime_proxy.smtp.sockets import bind, claim, split_address


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PATIENCE_SECONDS", 0.1)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("[::1]:2525", ("::1", 2525)),
        (":25", ("", 25)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses_are_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "x:smtp", "x:70000", "x:-1", "x:²"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(SmtpError, match="is not host:port"):
        split_address(address)


def test_a_port_is_bound_once() -> None:
    with bind("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
        with pytest.raises(SmtpError) as caught:
            bind(f"127.0.0.1:{port}")
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    bind(f"127.0.0.1:{port}").close()


def test_an_address_that_is_not_ours_is_said_at_once() -> None:
    with pytest.raises(SmtpError, match=r"^cannot listen on 192\.0\.2\.1:2525: [A-Za-z ]+$"):
        bind("192.0.2.1:2525")


def test_a_state_directory_has_one_service(tmp_path: Path) -> None:
    first = claim(tmp_path)
    with pytest.raises(SmtpError) as caught:
        claim(tmp_path)
    assert str(caught.value) == f"{tmp_path}: in use by another service, process {os.getpid()}"
    os.close(first)
    os.close(claim(tmp_path))


def test_a_state_directory_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SmtpError, match="No such file or directory"):
        claim(tmp_path / "none")
