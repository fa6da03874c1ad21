"""What the pods of the overlays do: an application's mail is signed, and keys are exchanged.

The settings are those of the overlays; the Secret is laid as the kubelet lays it.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pki
from tests.deploy.objects import Rendering, read, rendering
from tests.deploy.pods import place, put, run, serving
from tests.deploy.test_kubernetes import FOLDER, kustomize
from tests.e2e.client import deliver
from tests.e2e.proxy import Proxy, eventually
from tests.peers import require
from tests.sink import Sink, running
from tests.tls_files import make_tls_files

INVOICES, ALICE = "invoices@example.com", "alice@example.com"
NOTE = f"From: {INVOICES}\r\nTo: pat@example.org\r\nSubject: Invoice\r\n\r\n119 EUR\r\n".encode()
HERE = {"tls": "never", "username": "", "password_file": ""}


def overlay(use: str) -> Rendering:
    return rendering(read(kustomize(FOLDER / "overlays" / use)))


@pytest.fixture(scope="module")
def root() -> pki.Identity:
    return pki.root("Test Issuing CA")


def secret(identity: pki.Identity) -> dict[str, bytes]:
    """Give the files that docs/kubernetes.md has put into the Secret."""
    return {
        "invoices.p12": identity.pkcs12(b"secret"),
        "invoices.password": b"secret\n",
        "relay.password": b"hush\n",
    }


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with running(Sink()) as found:
        yield found


@pytest.fixture(scope="module")
def sidecar(
    tmp_path_factory: pytest.TempPathFactory, sink: Sink, root: pki.Identity
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("sidecar")
    put(folder / "mounts" / "keys", secret(pki.person(root, INVOICES)))
    url = {"url": f"smtp://127.0.0.1:{sink.port}", **HERE}
    moved = {f"UPSTREAMS__RELAY__{key.upper()}": value for key, value in url.items()}
    with serving(place(overlay("sidecar"), folder, moved)) as proxy:
        yield proxy


def signer(content: bytes, root: pki.Identity, folder: Path) -> bytes:
    """Give the certificate (PEM) a mail is signed with; OpenSSL verifies it, and who may not be."""
    (folder / "root.pem").write_bytes(root.pem())
    line: list[str | Path] = [
        "cms",
        "-verify",
        "-CAfile",
        folder / "root.pem",
        "-signer",
        folder / "signer.pem",
    ]
    done = subprocess.run(
        [require("openssl"), *line], input=content, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return (folder / "signer.pem").read_bytes()


def signed_by(proxy: Proxy, sink: Sink, root: pki.Identity) -> bytes:
    """Send as the application does; gives who signed what came to the upstream."""
    answer = deliver(proxy.ports["submission"], INVOICES, ("pat@example.org",), NOTE)
    assert answer.code == 250, answer
    return signer(sink.messages[-1].content, root, proxy.folder)


def test_an_application_s_mail_is_signed_and_a_new_secret_is_taken_while_it_runs(
    sidecar: Proxy, sink: Sink, root: pki.Identity
) -> None:
    first = signed_by(sidecar, sink, root)
    renewed = pki.person(root, INVOICES, label="renewed")
    put(sidecar.folder / "mounts" / "keys", secret(renewed))
    assert first != renewed.pem()
    eventually(lambda: signed_by(sidecar, sink, root) == renewed.pem(), sidecar.log)
    assert sidecar.counter("key_files") == 1


def test_a_secret_that_cannot_be_used_leaves_the_key_of_before(
    sidecar: Proxy, sink: Sink, root: pki.Identity
) -> None:
    before = signed_by(sidecar, sink, root)
    broken = secret(pki.person(root, INVOICES)) | {"invoices.password": b"wrong\n"}
    put(sidecar.folder / "mounts" / "keys", broken)
    eventually(lambda: "key_file_broken" in sidecar.log(), sidecar.log)
    assert "smime_proxy_key_files_broken 1" in sidecar.get("/metrics")[1]
    assert sidecar.get("/readyz")[0] == 200
    assert signed_by(sidecar, sink, root) == before


def test_a_relay_with_its_secrets_would_start(tmp_path: Path, root: pki.Identity) -> None:
    relay = place(overlay("relay"), tmp_path, {})
    put(tmp_path / "mounts" / "keys", secret(pki.person(root, INVOICES)))
    tls = make_tls_files(tmp_path)
    pair = {"tls.crt": tls.certificate.read_bytes(), "tls.key": tls.key.read_bytes()}
    code, _, said = run(relay, "check-config")
    assert (code, "listeners.submission.tls_key" in said) == (1, True)
    put(tmp_path / "mounts" / "tls", pair)
    code, _, said = run(relay, "check-config")
    assert (code, said) == (0, "")


def test_an_mx_trusts_whom_its_config_map_holds(tmp_path: Path, root: pki.Identity) -> None:
    mx = place(overlay("mx"), tmp_path, {})
    alice = {"alice.p12": pki.person(root, ALICE).pkcs12(b"secret"), "alice.password": b"secret"}
    put(tmp_path / "mounts" / "keys", alice)
    put(tmp_path / "mounts" / "anchors", {"anchors.pem": root.pem() + pki.root("Other").pem()})
    assert run(mx, "check-config")[0] == 0
    assert run(mx, "trust", "list")[1].count("settings") == 2
