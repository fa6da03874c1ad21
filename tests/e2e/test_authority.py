"""The running service publishes the authority's lists, keeps them signed, shows what is revoked."""

import shutil
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.conftest import Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually
from tests.ports import HOST

pytestmark = pytest.mark.e2e

ANYWHERE = Design({"out": "url = 'maildir:///dev/null'"}, {"out": Listener("outbound", "out")})


def fetch(proxy: Proxy, name: str) -> tuple[str, bytes]:
    """Give the media type and the octets of what is published under a name."""
    url = f"http://{HOST}:{proxy.ports['status']}/crl/{name}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read()


def names(proxy: Proxy) -> list[str]:
    """Give the ids of the authority's certificates, the root's first."""
    with closing(sqlite3.connect(proxy.state / "store.sqlite")) as connection:
        rows = connection.execute(
            "SELECT fingerprint FROM certificate JOIN authority ON certificate_id = certificate.id"
            " ORDER BY authority.id"
        )
        return [fingerprint[:16] for (fingerprint,) in rows]


def crl(proxy: Proxy, name: str) -> x509.CertificateRevocationList:
    media_type, der = fetch(proxy, f"{name}.crl")
    assert media_type == "application/pkix-crl"
    return x509.load_der_x509_crl(der)


def number(found: x509.CertificateRevocationList) -> int:
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@pytest.mark.parametrize("workers", [1, 2])
def test_lists_and_certificates_are_published(tmp_path: Path, made: Made, workers: int) -> None:
    """Revoked before the first request: what was shown already may be half a minute old."""
    proxy = Proxy(tmp_path / "proxy", Design(ANYWHERE.upstreams, ANYWHERE.listeners, workers))
    shutil.copytree(made.state, proxy.state)
    alice = x509.load_pem_x509_certificate((made.files / "alice.pem").read_bytes())
    try:
        proxy.start()
        proxy.done("ca", "revoke", f"{alice.serial_number:x}", "--reason", "keyCompromise")
        root, below = names(proxy)
        media_type, der = fetch(proxy, f"{below}.cer")
        assert media_type == "application/pkix-cert"
        issuer = x509.load_der_x509_certificate(der)
        alice.verify_directly_issued_by(issuer)
        shown = crl(proxy, below)
        public = issuer.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        assert shown.is_signature_valid(public)
        assert shown.get_revoked_certificate_by_serial_number(alice.serial_number)
        assert list(crl(proxy, root)) == []
        assert proxy.get("/crl/0123456789abcdef.crl")[0] == 404
        assert "Traceback" not in proxy.log()
    finally:
        proxy.end()


def test_the_service_signs_a_list_that_is_about_to_end(tmp_path: Path, made: Made) -> None:
    proxy = Proxy(tmp_path / "proxy", Design(ANYWHERE.upstreams, ANYWHERE.listeners, 2))
    shutil.copytree(made.state, proxy.state)
    with closing(sqlite3.connect(proxy.state / "store.sqlite")) as connection, connection:
        connection.execute("UPDATE authority SET crl_until = '2020-01-01', crl_number = 41")
    try:
        proxy.start()
        eventually(lambda: "revocation_lists_signed" in proxy.log(), proxy.log)
        assert {number(crl(proxy, name)) for name in names(proxy)} == {42}
    finally:
        proxy.end()
