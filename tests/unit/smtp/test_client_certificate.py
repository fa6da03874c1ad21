"""What certificates of clients stand for."""

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.smtp.client_certificate import ClientCertificates, names_of
from tests.tls_files import make_tls_files


def certificate(folder: Path, *names: str) -> bytes:
    files = make_tls_files(folder, names)
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_bytes(Encoding.DER)


def test_names_are_those_of_the_alternative_name_and_never_the_subjects(tmp_path: Path) -> None:
    der = certificate(tmp_path, "App.example.com", "*.example.org", "Eve@Example.com", "192.0.2.1")
    assert names_of(der) == {"app.example.com", "*.example.org", "eve@example.com"}


@pytest.mark.parametrize("der", [b"", b"x", b"0\x03\x02\x01\x01"])
def test_what_cannot_be_read_is_nobody(der: bytes) -> None:
    assert names_of(der) == frozenset()
    clients = ClientCertificates({hashlib.sha256(b"").hexdigest(): "eve"}, frozenset({"a.example"}))
    assert clients.login_of(der) is None
    assert not clients.trusts(der)


def test_a_name_or_the_fingerprint_stands_for_a_login(tmp_path: Path) -> None:
    der = certificate(tmp_path, "app.example.com", "erp.example.com")
    fingerprint = hashlib.sha256(der).hexdigest()
    for logins, login in (
        ({"app.example.com": "app"}, "app"),
        ({"app.example.com": "app", "erp.example.com": "app"}, "app"),
        ({"app.example.com": "app", "erp.example.com": "erp"}, None),
        ({"app.example.com": "app", fingerprint: "both"}, "both"),
        ({"example.com": "app", "b.example.com": "b", "a" * 64: "c"}, None),
        ({"tls server": "cn"}, None),
        ({}, None),
    ):
        assert ClientCertificates(logins).login_of(der) == login


def test_a_wildcard_is_a_name_like_any_other(tmp_path: Path) -> None:
    der = certificate(tmp_path, "*.example.com")
    assert ClientCertificates({"app.example.com": "app"}).login_of(der) is None


def test_only_clients_with_such_a_name_are_trusted(tmp_path: Path) -> None:
    der = certificate(tmp_path, "mail.example.com")
    fingerprint = hashlib.sha256(der).hexdigest()
    assert ClientCertificates().trusts(b"")
    for name, trusted in (("mail.example.com", True), (fingerprint, True), ("b.example", False)):
        clients = ClientCertificates(names=frozenset({name}))
        assert clients.trusts(der) is trusted
        assert not clients.trusts(b"")
