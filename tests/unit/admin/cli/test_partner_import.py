import pytest

from smime_proxy.admin.cli.partner_import import read_certificate_file
from smime_proxy.certs.errors import CertificateError

from .conftest import Cli


def test_a_directory_is_imported_and_the_failures_named(cli: Cli) -> None:
    folder = cli.directory / "partners"
    folder.mkdir()
    (folder / "good.pem").write_bytes((cli.directory / "partner.pem").read_bytes())
    (folder / "bad.crt").write_text("nothing")
    result = cli("cert", "import", folder)
    assert result.code == 1
    assert "for partner@example.org: imported" in result.out
    assert "bad.crt: " in result.err
    assert result.err.endswith("smime-proxy: 1 of 2 files were not imported\n")


def test_a_file_that_cannot_be_read_is_named(cli: Cli) -> None:
    path = cli.file("x.pem", "nothing")
    with pytest.raises(CertificateError, match=str(path)):
        read_certificate_file(path)
