"""Every example of settings loads, and the service started with it does what the example says.

The files are used as they are; addresses, ports and files come from the environment, over them.
"""

import contextlib
import json
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime_proxy.settings.loading import load
from tests import pki
from tests.e2e.client import Answer, Client, deliver
from tests.e2e.proxy import ROOT, Design, Listener, Proxy
from tests.peers import require
from tests.ports import HOST
from tests.sink import Message, Sink, running
from tests.tls_files import TlsFiles, make_tls_files

pytestmark = pytest.mark.e2e

EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.toml"))
ALICE, INVOICES, OUTSIDE = "alice@example.com", "invoices@example.com", "someone@example.net"
PASSWORD = "canary-of-the-examples"
ISSUER = pki.intermediate(pki.root(label="examples root"), label="examples middle")
LOCAL = "XFORWARD NAME=pc.example.com ADDR=192.0.2.5 SOURCE=LOCAL"
REMOTE = "XFORWARD NAME=far.example.net ADDR=198.51.100.5 SOURCE=REMOTE"


@dataclass
class Site:
    """Where examples are tried: keys, TLS files, and upstreams of each kind."""

    folder: Path
    tls: TlsFiles
    client: TlsFiles
    relay: Sink  # STARTTLS with logins
    store: Sink  # LMTP in clear text
    clear: Sink

    def upstream(self, url: str, table: dict[str, Any]) -> dict[str, str]:
        """Say where an upstream of an example is here."""
        if url.startswith("lmtp:"):
            return {"URL": f"lmtp://{HOST}:{self.store.port}"}
        if table.get("tls") == "never":
            return {"URL": f"smtp://{HOST}:{self.clear.port}"}
        files = {"URL": f"smtp://localhost:{self.relay.port}", "TLS_CA_FILE": str(self.tls.ca)}
        if "username" in table:
            files |= {"USERNAME": "proxy", "PASSWORD_FILE": str(self.folder / "password")}
        return files

    def listener(self, port: int, table: dict[str, Any]) -> dict[str, str]:
        """Say where a listener of an example is here, and that we may play its clients."""
        files = {"BIND": f"{HOST}:{port}"}
        if "tls_certificate" in table:
            files |= {"TLS_CERTIFICATE": str(self.tls.certificate), "TLS_KEY": str(self.tls.key)}
        if "trusted_networks" in table:
            files["TRUSTED_NETWORKS"] = json.dumps([HOST])
        if "tls_client_names" in table:
            files["TLS_CLIENT_CA"] = str(self.client.ca)
        if "trusted_peers" in table:
            files["TRUSTED_PEERS"] = json.dumps([HOST])
        return files

    def accounts(self) -> str:
        """Declare the accounts with the keys made here."""
        said: dict[str, dict[str, str]] = {}
        for address in (ALICE, INVOICES):
            said[address] = {"key_file": str(self.folder / f"{address}.pem"), "password_file": ""}
        return json.dumps(said)

    def read(self, message: Message) -> bytes:
        """Verify a signature as its recipient does; gives what was signed."""
        line = ("openssl", "cms", "-verify", "-CAfile", str(self.folder / "root.pem"))
        done = subprocess.run(line, input=message.content, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sealed(self) -> bytes:
        """Encrypt a mail to Alice as a stranger does."""
        line = ("openssl", "cms", "-encrypt", "-aes256", "-from", OUTSIDE, "-to", ALICE)
        inner = b"Content-Type: text/plain\r\n\r\nFor your eyes only\r\n"
        done = subprocess.run(
            [*line, self.folder / f"{ALICE}.crt"], input=inner, capture_output=True, check=True
        )
        return done.stdout.replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("openssl")
    folder = tmp_path_factory.mktemp("examples")
    tls = make_tls_files(folder)
    client = make_tls_files(
        folder,
        ("mail.protection.outlook.com",),
        "client",
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
    )
    (folder / "root.pem").write_bytes(pki.root(label="examples root").pem())
    (folder / "password").write_text(f"{PASSWORD}\n")
    for address in (ALICE, INVOICES):
        owner = pki.person(ISSUER, address, label=f"examples {address}")
        (folder / f"{address}.pem").write_bytes(owner.key_pem() + owner.chain_pem())
        (folder / f"{address}.crt").write_bytes(owner.pem())
    relay = Sink(tls=tls.server(), logins={"proxy": PASSWORD, ALICE: PASSWORD})
    store, clear = Sink(lmtp=True), Sink()
    with running(relay), running(store), running(clear):
        yield Site(folder, tls, client, relay, store, clear)


@contextlib.contextmanager
def example(site: Site, name: str) -> Iterator[Proxy]:
    """Run the service with an example until the block ends."""
    text = (ROOT / "config" / "examples" / f"{name}.toml").read_text()
    tables = tomllib.loads(text)
    names = tables["listeners"]
    proxy = Proxy(site.folder / name, Design({}, {one: Listener("outbound", "") for one in names}))
    proxy.config.write_text(text)
    said = {
        "SERVICE__STATE_DIR": str(proxy.state),
        "STATUS__BIND": f"{HOST}:{proxy.ports['status']}",
        "ACCOUNTS": site.accounts(),
    }
    for one, table in tables["upstreams"].items():
        for key, value in site.upstream(table["url"], table).items():
            said[f"UPSTREAMS__{one.upper()}__{key}"] = value
    for one, table in names.items():
        for key, value in site.listener(proxy.ports[one], table).items():
            said[f"LISTENERS__{one.upper()}__{key}"] = value
    proxy.wrapper = ("env", *(f"SMIME_PROXY_{key}={value}" for key, value in said.items()))
    proxy.state.mkdir()
    try:
        proxy.start()
        yield proxy
        assert proxy.stop() == 0, proxy.log()
    finally:
        proxy.end()


def mail(sender: str = ALICE, more: str = "") -> bytes:
    return f"From: {sender}\r\nTo: {OUTSIDE}\r\nSubject: x\r\n{more}\r\nHello\r\n".encode()


def by_lmtp(port: int, sender: str, to: str, content: bytes, said: str) -> Answer:
    """Send one message as Postfix's lmtp client does."""
    with Client(port) as client:
        client.say("LHLO postfix.example.com")
        assert client.say(said).code == 250
        return client.transaction(sender, (to,), content)


def swaks(port: int, *more: str | Path) -> str:
    """Send a mail of Alice with swaks; gives the dialogue."""
    line = (require("swaks-tls"), "--server", f"{HOST}:{port}", "--from", ALICE, "--to", OUTSIDE)
    done = subprocess.run(
        [*line, "--body", "Hello", *more], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_is_short(path: Path) -> None:
    assert load(path, {}).listeners
    assert len(path.read_text().splitlines()) <= 50


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert [one.stem for one in EXAMPLES if f'example(site, "{one.stem}")' not in text] == []


def test_the_relay_of_mail_programs_wants_a_login_and_signs(site: Site) -> None:
    trusting = ssl.create_default_context(cafile=site.tls.ca)
    login = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", PASSWORD)
    with example(site, "client-relay") as proxy:
        port = proxy.ports["submission"]
        assert "<~* 530 5.7.0 " in swaks(port, "--tls")
        assert "<~  250 2.0.0 " in swaks(port, "--tls", *login)
        with Client(proxy.ports["submissions"], trusting) as client:
            assert any(line.startswith("AUTH") for line in client.say("EHLO x").lines)
    assert b"Hello" in site.read(site.relay.messages[-1])


def test_a_sidecar_signs_for_its_account_and_for_no_other(site: Site) -> None:
    with example(site, "sidecar") as proxy:
        port = proxy.ports["application"]
        for bounces in (INVOICES, "bounces@example.com"):
            assert deliver(port, bounces, (OUTSIDE,), mail(INVOICES)).code == 250
            assert b"Hello" in site.read(site.relay.messages[-1])
        assert deliver(port, ALICE, (OUTSIDE,), mail()).code == 250
    assert b"multipart/signed" not in site.relay.messages[-1].content


def test_behind_the_mx_mail_is_opened_by_lmtp(site: Site) -> None:
    with example(site, "mx-hook") as proxy:
        port = proxy.ports["mx"]
        assert by_lmtp(port, OUTSIDE, ALICE, site.sealed(), REMOTE).code == 250
        refused = by_lmtp(port, OUTSIDE, OUTSIDE, site.sealed(), REMOTE)
    assert (refused.code, refused.status) == (550, "5.7.1")
    (message,) = site.store.messages
    assert b"For your eyes only" in message.content
    assert b"\r\nX-SMIME-Lock: green\r\n" in message.content


def test_a_content_filter_signs_what_postfix_says_is_ours(site: Site) -> None:
    with example(site, "content-filter") as proxy:
        port = proxy.ports["outgoing"]
        assert by_lmtp(port, ALICE, OUTSIDE, mail(), LOCAL).code == 250
        assert b"Hello" in site.read(site.clear.messages[-1])
        assert by_lmtp(port, ALICE, OUTSIDE, mail(), REMOTE).code == 250
        assert b"multipart/signed" not in site.clear.messages[-1].content
        port = proxy.ports["incoming"]
        assert by_lmtp(port, OUTSIDE, ALICE, site.sealed(), REMOTE).code == 250
        assert b"For your eyes only" in site.clear.messages[-1].content


def test_of_microsofts_customers_only_ours_is_signed_for(site: Site) -> None:
    shown = ("--tls", "--tls-cert", site.client.certificate, "--tls-key", site.client.key)
    with example(site, "microsoft-365") as proxy:
        port = proxy.ports["outgoing"]
        assert "<~  250 2.0.0 " in swaks(port, *shown, "--h-X-OriginatorOrg", "example.com")
        assert b"Hello" in site.read(site.relay.messages[-1])
        assert "<~* 550 5.7.1 " in swaks(port, *shown, "--h-X-OriginatorOrg", "other.example")
        assert "<~* 550 5.7.1 " in swaks(port, *shown)
        assert "<~* 550 5.7.1 " in swaks(port, "--tls", "--h-X-OriginatorOrg", "example.com")
        assert "<** 550 5.7.1 " in swaks(port, "--h-X-OriginatorOrg", "example.com")
        before = len(site.relay.messages)
        assert deliver(proxy.ports["incoming"], OUTSIDE, (ALICE,), site.sealed()).code == 250
    (message,) = site.relay.messages[before:]
    assert b"For your eyes only" in message.content


def test_of_googles_customers_only_who_knows_the_field_is_signed_for(site: Site) -> None:
    known = ("--h-X-Example-Gateway", "put-32-random-characters-here")
    with example(site, "google-workspace") as proxy:
        port = proxy.ports["outgoing"]
        assert "<~  250 2.0.0 " in swaks(port, "--tls", *known)
        assert b"Hello" in site.read(site.clear.messages[-1])
        assert "<~* 550 5.7.1 " in swaks(port, "--tls", "--h-X-Example-Gateway", "guessed")
        assert "<~* 550 5.7.1 " in swaks(port, "--tls")
