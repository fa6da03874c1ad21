"""Upstreams looked at over a real connection: nothing is sent, every fault has its line."""

import os
from pathlib import Path

import pytest

from smime_proxy.certs.certificate import Certificate
from smime_proxy.smtp.probe import probe
from smime_proxy.smtp.relay import Relay
from smime_proxy.smtp.tls import client_context
from tests.ports import free_port
from tests.sink import Fault, Hang, Say, Sink, Step
from tests.tls_files import TlsFiles, make_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


async def test_a_good_relay_has_no_fault_and_gets_no_mail() -> None:
    async with Sink() as sink:
        found = await probe(Relay("127.0.0.1", sink.port, tls="never"), "mail.example.test")
        assert (found.fault, found.certificate) == ("", b"")
        assert sink.messages == []
        said = [e.raw.partition(b" ")[0].strip() for e in sink.journal if e.event == "command"]
        assert said == [b"EHLO", b"QUIT"]


async def test_with_tls_the_certificate_of_the_server_is_seen(files: TlsFiles) -> None:
    async with Sink(tls=files.server()) as sink:
        relay = Relay("127.0.0.1", sink.port, tls_context=client_context(files.ca))
        found = await probe(relay, "mail.example.test")
    assert found.fault == ""
    assert Certificate.from_der(found.certificate).subject == "CN=tls server"


async def test_a_server_whose_certificate_nobody_vouches_for_is_a_fault(files: TlsFiles) -> None:
    async with Sink(tls=files.server()) as sink:
        relay = Relay("127.0.0.1", sink.port, tls_context=client_context())
        assert "certificate" in (await probe(relay, "mail.example.test")).fault


async def test_a_port_where_nobody_is_is_a_fault() -> None:
    relay = Relay("127.0.0.1", free_port(), tls="never")
    assert "Connect call failed" in (await probe(relay, "mail.example.test")).fault


async def test_a_refusal_is_told_in_its_words() -> None:
    async with Sink(faults=[Fault(Step.BANNER, Say(b"554 5.3.2 go away\r\n"))]) as sink:
        relay = Relay("127.0.0.1", sink.port, tls="never")
        assert "go away" in (await probe(relay, "mail.example.test")).fault


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async with Sink(faults=[Fault(Step.BANNER, Hang())]) as sink:
        relay = Relay("127.0.0.1", sink.port, tls="never")
        assert "in time" in (await probe(relay, "mail.example.test", 0.2)).fault


async def test_a_maildir_that_can_be_made_is_good(tmp_path: Path) -> None:
    assert (await probe(tmp_path / "one" / "two", "mail.example.test")).fault == ""
    assert not (tmp_path / "one").exists()


async def test_a_maildir_below_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no directory" in (await probe(tmp_path / "file" / "new", "mail.example.test")).fault


async def test_a_maildir_that_may_not_be_written_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert "may not be written" in (await probe(tmp_path / "new", "mail.example.test")).fault
