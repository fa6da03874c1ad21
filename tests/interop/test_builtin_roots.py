"""Our list of Mozilla's roots for mail against what NSS's own tools say of the same module."""

import hashlib
import re
import subprocess
import warnings
from pathlib import Path

import pytest

from smime_proxy.certs.certificate import read_certificates
from smime_proxy.lookup.builtin_roots import read_builtin_roots
from tests.peers import locate, require

TOKEN = "Builtin Object Token"
MAIL = re.compile(r"^(.*?)\s+([^\s,]*),([^\s,]*),([^\s,]*)\s*$")  # nickname, SSL, S/MIME, JAR

pytestmark = pytest.mark.interop


def certutil(folder: Path, *arguments: str) -> str:
    command = [str(locate("certutil")), *arguments, "-d", f"sql:{folder}"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of NSS that has loaded the module of built-in roots."""
    require("nss")
    roots = require("nss-roots")
    folder = tmp_path_factory.mktemp("nssdb")
    certutil(folder, "-N", "--empty-password")
    command = [str(locate("modutil")), "-dbdir", f"sql:{folder}", "-add", "Roots"]
    subprocess.run(
        [*command, "-libfile", str(roots), "-force"], capture_output=True, check=True, timeout=60
    )
    return folder


def trusted_for_mail(folder: Path) -> list[str]:
    """Give the nicknames with a C in the column of S/MIME."""
    rows = map(MAIL.match, certutil(folder, "-L", "-h", TOKEN).splitlines())
    return [row[1] for row in rows if row and "C" in row[3]]


def test_our_list_is_exactly_nss_own(database: Path) -> None:
    theirs = trusted_for_mail(database)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography on serial numbers that are not positive
        ours = read_builtin_roots().roots
        named = {
            hashlib.sha256(found.der).hexdigest()
            for name in theirs
            for found in read_certificates(
                certutil(database, "-L", "-h", TOKEN, "-n", name, "-a").encode()
            )
        }
    assert len(ours) == len(theirs)
    assert {root.certificate.fingerprint for root in ours} == named
    print(f"{len(ours)} roots of Mozilla's are trusted for mail, by NSS and by us")
