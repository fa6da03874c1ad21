import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from smime_proxy.smtp.errors import TlsSetupError
from smime_proxy.smtp.tls import client_context, server_context
from tests.tls_files import TlsFiles, make_tls_files


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return make_tls_files(tmp_path)


def test_upstreams_are_verified_by_certificate_and_host_name(files: TlsFiles) -> None:
    for context in (client_context(), client_context(files.ca)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_private_authority_is_the_only_one_trusted(files: TlsFiles) -> None:
    assert len(client_context(files.ca).get_ca_certs()) == 1


def test_listeners_start_at_tls_1_2(files: TlsFiles) -> None:
    context = server_context(files.certificate, files.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE


def one_line(error: pytest.ExceptionInfo[TlsSetupError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_missing_file_is_named(files: TlsFiles) -> None:
    missing = files.ca.with_name("nowhere.pem")
    with pytest.raises(TlsSetupError) as caught:
        client_context(missing)
    assert one_line(caught) == f"{missing}: No such file or directory"
    for pair in ((missing, files.key), (files.certificate, missing)):
        with pytest.raises(TlsSetupError) as caught:
            server_context(*pair)
        assert one_line(caught) == f"{missing}: No such file or directory"


@pytest.mark.parametrize("content", [b"", b"no certificate\n"])
def test_a_ca_file_without_certificates_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(TlsSetupError) as caught:
        client_context(path)
    assert one_line(caught) == f"{path}: holds no certificates in PEM form"


def test_the_key_of_another_certificate_is_refused(tmp_path: Path, files: TlsFiles) -> None:
    other = make_tls_files(tmp_path, label="other")
    with pytest.raises(TlsSetupError) as caught:
        server_context(files.certificate, other.key)
    assert "is not the key of the certificate" in one_line(caught)


def test_what_is_no_pem_is_refused(tmp_path: Path, files: TlsFiles) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x30\x82\x00\x00")
    for pair in ((junk, files.key), (files.certificate, junk)):
        with pytest.raises(TlsSetupError) as caught:
            server_context(*pair)
        assert "unencrypted key in PEM form" in one_line(caught)


def test_an_encrypted_key_is_refused_without_asking(tmp_path: Path, files: TlsFiles) -> None:
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsSetupError) as caught:
        server_context(files.certificate, locked)
    assert "unencrypted key in PEM form" in one_line(caught)
