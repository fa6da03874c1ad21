"""A key on a token signs and decrypts the mail of its account, and mail waits while it is away."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11 import MechanismFlag

from tests import hsm, pki
from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, OUTSIDE, Made
from tests.e2e.proxy import Design, Listener, Proxy, to_sink
from tests.hsm import SoftHsm
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

TEXT = b"canary of the token\r\n"
KEYS = {
    "rsa": ("rsa", MechanismFlag.SIGN | MechanismFlag.DECRYPT),
    "curve": ("p256", MechanismFlag.SIGN | MechanismFlag.DERIVE),
}


@pytest.fixture(params=KEYS)
def identity(request: pytest.FixtureRequest) -> pki.Identity:
    return pki.person(pki.root(), ALICE, kind=KEYS[request.param][0], label="on a token")


@pytest.fixture
def token(tmp_path: Path, identity: pki.Identity) -> Iterator[SoftHsm]:
    folder = tmp_path / "hsm"
    folder.mkdir()
    usage = KEYS["rsa" if identity.certificate.key_type == "rsa" else "curve"][1]
    with hsm.present(folder) as made:
        made.put(identity.key, "alice", usage)
        made.make_master_key("master")
        yield made


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running(Sink()) as made:
        yield made


@pytest.fixture
def proxy(
    tmp_path: Path, made: Made, token: SoftHsm, sink: Sink, identity: pki.Identity
) -> Iterator[Proxy]:
    """A service whose master key and whose only key of alice are on the token."""
    design = Design(
        {"sink": to_sink(sink.port)},
        {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", 'domains = ["example.test"]\nreports = "sink"'),
        },
        more=f'{token.toml()}[keys]\nmaster_key = "pkcs11:object=master"\n'
        '[policy]\non_missing_key = "send_unsigned"\n',
    )
    service = Proxy(tmp_path / "proxy", design)
    files = tmp_path / "alice.pem"
    files.write_bytes(identity.chain_pem())
    service.done("account", "add", ALICE)
    service.done("account", "import-key", ALICE, files, "--token-key", "pkcs11:object=alice")
    service.start()
    yield service
    service.end()


def mail(sender: str, to: str) -> bytes:
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: x\r\nMessage-ID: <1@client>\r\n\r\n"
    return head.encode() + TEXT


def encrypted(folder: Path, identity: pki.Identity) -> bytes:
    """Encrypt to the account with OpenSSL."""
    openssl = f"{require('openssl')}"
    certificate, text = folder / "to.pem", folder / "text"
    certificate.write_bytes(identity.pem())
    text.write_bytes(b"Content-Type: text/plain\r\n\r\n" + TEXT)
    line = [openssl, "cms", "-encrypt", "-aes256", "-in", str(text), "-from", OUTSIDE, "-to", ALICE]
    made = subprocess.run(
        [*line, str(certificate)], capture_output=True, check=True, timeout=60
    ).stdout
    return made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_it_signs_and_decrypts_and_mail_waits_while_it_is_away(
    tmp_path: Path, proxy: Proxy, token: SoftHsm, sink: Sink, identity: pki.Identity
) -> None:
    out, into = proxy.ports["out"], proxy.ports["in"]
    assert deliver(out, ALICE, (OUTSIDE,), mail(ALICE, OUTSIDE)).code == 250
    signed = tmp_path / "signed.eml"
    signed.write_bytes(sink.messages[-1].content)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root().pem())
    verify = [f"{require('openssl')}", "cms", "-verify", "-in", f"{signed}", "-CAfile", f"{roots}"]
    assert TEXT.strip() in subprocess.run(verify, capture_output=True, check=True).stdout

    sealed = encrypted(tmp_path, identity)
    assert TEXT.strip() not in sealed
    assert deliver(into, OUTSIDE, (ALICE,), sealed).code == 250
    assert TEXT.strip() in sink.messages[-1].content

    seen = len(sink.messages)
    with token.away():
        for port, sender, to, content in (
            (out, ALICE, OUTSIDE, mail(ALICE, OUTSIDE)),
            (into, OUTSIDE, ALICE, sealed),
        ):
            answer = deliver(port, sender, (to,), content)
            assert (answer.code, answer.status) == (451, "4.7.5"), answer.text
    assert len(sink.messages) == seen

    assert deliver(out, ALICE, (OUTSIDE,), mail(ALICE, OUTSIDE)).code == 250
    assert b"multipart/signed" in sink.messages[-1].content
    assert hsm.PIN not in proxy.log()
    assert "Traceback" not in proxy.log()
