"""`cert import-all`: everybody in the files of a directory, and a word on each that was not."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import pki

from .conftest import Cli

ISSUER = pki.intermediate(pki.root(kind="p256"), kind="p256")


def person(name: str) -> pki.Identity:
    return pki.person(ISSUER, f"{name}@example.org", kind="p256")


@pytest.fixture
def directory(cli: Cli) -> Path:
    """Make a directory with PEM, DER and PKCS #7 files and some that are no good."""
    folder = cli.directory / "partners"
    folder.mkdir()
    (folder / "a.pem").write_bytes(person("a").chain_pem())
    (folder / "b.der").write_bytes(person("b").der)
    both = folder / "c.pem"
    both.write_bytes(person("c").chain_pem() + person("d").pem())
    p7b = ["openssl", "crl2pkcs7", "-nocrl", "-certfile", str(both), "-outform", "DER"]
    subprocess.run([*p7b, "-out", str(folder / "c.p7b")], check=True, capture_output=True)
    (folder / "root.crt").write_bytes(pki.root(kind="p256").pem())
    (folder / "broken.cer").write_bytes(b"nothing")
    (folder / "readme.txt").write_bytes(b"no certificate at all")
    return folder


def test_everybody_is_taken_in_and_the_rest_is_told(cli: Cli, directory: Path) -> None:
    result = cli("cert", "import-all", directory)
    assert result.code == 1
    assert result.out == "certificates: 4 imported, 2 known, 2 refused\n"
    assert "broken.cer: refused: the file is neither PEM nor DER" in result.err
    assert "root.crt: refused: no certificate in it carries an e-mail address" in result.err
    listed = cli.done("cert", "list", "--json").json
    found = {view["addresses"][0] for view in listed if "@example.org" in view["addresses"][0]}
    assert {f"{name}@example.org" for name in "abcd"} <= found


def test_without_a_fault_it_is_done(cli: Cli, directory: Path) -> None:
    for name in ("root.crt", "broken.cer"):
        (directory / name).unlink()
    said = cli.done("cert", "import-all", directory, "--json").json
    assert (said["imported"], said["known"], said["refused"]) == (4, 2, 0)
    assert [line["file"] for line in said["files"]] == sorted(
        line["file"] for line in said["files"]
    )
    again = cli.done("cert", "import-all", directory, "--json").json
    assert (again["imported"], again["known"]) == (0, 6)
    chain = cli.done("cert", "export", "a@example.org").out
    assert chain.count("BEGIN CERTIFICATE") == 2


def test_a_file_that_cannot_be_read_stops_no_other(cli: Cli, directory: Path) -> None:
    (directory / "a.pem").unlink()
    os.mkfifo(directory / "pipe.pem")  # no file
    (directory / "gone.pem").symlink_to(directory / "nowhere")
    assert "3 imported" in cli("cert", "import-all", directory).out


def test_what_is_no_directory_is_told(cli: Cli) -> None:
    assert "not a directory" in cli.refused("cert", "import-all", cli.file("a.pem", ""))
    (cli.directory / "empty").mkdir()
    assert "no file there" in cli.refused("cert", "import-all", cli.directory / "empty")
