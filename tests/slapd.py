"""OpenLDAP's server on free loopback ports, with entries of the test's own and TLS if wanted.

    with slapd(folder, [Entry("pat@example.org", certificates=(der,))], tls=files) as directory:
        ...  # ldap://127.0.0.1:{directory.port}, StartTLS; ldaps://localhost:{directory.tls_port}

It runs as the test's user on a database in the test's folder, and is ended with the block.
"""

import base64
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import require
from tests.ports import free_port
from tests.tied import tied
from tests.tls_files import TlsFiles

HOST = "127.0.0.1"
SUFFIX = "dc=example,dc=org"
READER, PASSWORD = f"cn=reader,{SUFFIX}", "canary-of-the-directory"
SECONDS = 30  # until it listens, on a busy machine

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
{tls}
{access}
database mdb
suffix "{suffix}"
rootdn "{reader}"
rootpw {password}
directory {folder}/database
maxsize 67108864
"""
_TLS = """
TLSCACertificateFile {files.ca}
TLSCertificateFile {files.certificate}
TLSCertificateKeyFile {files.key}
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A person: `certificates` are X.509, `pkcs7` values of userSMIMECertificate, all in DER.

    With `referral` it is no person but points to another server.
    """

    mail: str
    certificates: Sequence[bytes] = ()
    pkcs7: Sequence[bytes] = ()
    name: str = ""
    referral: str = ""

    def ldif(self) -> str:
        name = self.name or self.mail.encode().hex()
        if self.referral:
            kind = "objectClass: referral\nobjectClass: extensibleObject"
            return f"dn: cn={name},{SUFFIX}\n{kind}\ncn: {name}\nref: {self.referral}\n"
        lines = [f"dn: cn={name},{SUFFIX}", "objectClass: inetOrgPerson", f"cn: {name}", "sn: x"]
        lines.append(f"mail:: {_base64(self.mail.encode())}")
        lines += [f"userCertificate;binary:: {_base64(der)}" for der in self.certificates]
        lines += [f"userSMIMECertificate:: {_base64(der)}" for der in self.pkcs7]
        return "\n".join(lines) + "\n"


@dataclass
class Directory:
    """A running server; `stop` and `start` as an administrator would."""

    folder: Path
    port: int
    tls_port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        urls = f"ldap://{HOST}:{self.port}"
        if self.tls_port:
            urls += f" ldaps://{HOST}:{self.tls_port}"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    own_copy("slapd", self.folder),
                    "-f",
                    self.folder / "slapd.conf",
                    "-h",
                    urls,
                    "-d",
                    "0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=tied(),
            )
        until = time.monotonic() + SECONDS
        while not listens(self.port):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "slapd does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(SECONDS)
            self.process = None


@contextlib.contextmanager
def slapd(
    folder: Path,
    entries: Sequence[Entry],
    *,
    tls: TlsFiles | None = None,
    anonymous: bool = True,
) -> Iterator[Directory]:
    """Run a server with these entries; without `anonymous` only `READER` may look."""
    require("slapd")
    (folder / "database").mkdir(parents=True)
    configuration = _CONFIGURATION.format(
        folder=folder,
        suffix=SUFFIX,
        reader=READER,
        password=PASSWORD,
        tls=_TLS.format(files=tls) if tls else "",
        access="" if anonymous else "access to * by users read by anonymous auth",
    )
    (folder / "slapd.conf").write_text(configuration)
    top = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n"
    ldif = folder / "entries.ldif"
    ldif.write_text("\n".join((top, *(entry.ldif() for entry in entries))))
    done = subprocess.run(
        [own_copy("slapd", folder, "slapadd"), "-f", folder / "slapd.conf", "-l", ldif],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    directory = Directory(folder, free_port(), free_port() if tls else 0)
    try:
        directory.start()
        yield directory
    finally:
        directory.stop()


def own_copy(peer: str, folder: Path, name: str = "") -> Path:
    """Copy a program into the test's folder: AppArmor keeps the original in folders of its own."""
    copy = folder / (name or peer)
    if not copy.exists():
        shutil.copy(require(peer), copy)
    return copy


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
