"""The built-in authority's chains and lists as others judge them: OpenSSL, NSS, GnuPG.

NSS is what Thunderbird validates with. Each takes what `ca` makes, and refuses what is revoked.
"""

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from smime_proxy.address import parse_mailbox
from smime_proxy.admin.cli.ca_issue import mint_issuing, mint_root, published_at
from smime_proxy.certs.authority import Issuer, KeyUses, issue
from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.crl import Reason, Revoked, sign_crl
from smime_proxy.cms.sign import CmsSigner, sign
from tests import pki
from tests.interop.gpgsm import OPTIONS, Gpgsm
from tests.peers import locate, require

pytestmark = pytest.mark.interop

BASE = "http://pki.example.test"
USES = {"both": KeyUses.BOTH, "sign": KeyUses.SIGNING, "encrypt": KeyUses.ENCRYPTION}


@dataclass(frozen=True)
class Made:
    """A folder with an authority, a certificate of each use, and lists before and after."""

    folder: Path
    people: dict[str, Certificate]
    limited: bool

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a peer's tool in the folder."""
        command = [str(locate(tool)), *arguments]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, check=False, text=True, timeout=60
        )

    def der(self, name: str) -> bytes:
        """Give a certificate of the folder."""
        return read_certificates((self.folder / f"{name}.pem").read_bytes())[0].der


def pem(certificate: Certificate) -> bytes:
    return certificate.x509().public_bytes(Encoding.PEM)


@pytest.fixture(scope="module", params=["open", "limited"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An authority, with and without name constraints."""
    folder, now = tmp_path_factory.mktemp("authority"), datetime.now(UTC)
    domains = ["example.test"] if request.param == "limited" else []
    root = mint_root("Interop CA", now)
    below = mint_issuing(root, "Interop CA issuing 1", now, domains, BASE)
    above = Issuer(below.certificate, below.private_key, published_at(below.certificate, BASE))
    people = {}
    for serial, (name, uses) in enumerate(USES.items(), 0x1000):
        mailbox, public = parse_mailbox(f"{name}@example.test"), pki.rsa_key(name).public_key()
        people[name] = issue(above, mailbox, public, now, 730, serial=serial, uses=uses)
        (folder / f"{name}.pem").write_bytes(pem(people[name]))
    (folder / "root.pem").write_bytes(pem(root.certificate))
    (folder / "below.pem").write_bytes(pem(below.certificate))
    entry = Revoked(people["both"].serial, now, Reason.KEY_COMPROMISE)
    for name, number, entries in (("before", 1, []), ("after", 2, [entry])):
        at = now + timedelta(seconds=number)  # NSS takes none that is not later than the last
        crl = sign_crl(below.certificate, below.private_key, number, entries, at)
        (folder / f"{name}.crl").write_bytes(crl)
    (folder / "root.crl").write_bytes(sign_crl(root.certificate, root.private_key, 1, [], now))
    return Made(folder, people, bool(domains))


@pytest.mark.parametrize("name", USES)
def test_openssl_verifies_chain_and_lists(made: Made, name: str) -> None:
    require("openssl")
    purpose = "smimeencrypt" if name == "encrypt" else "smimesign"
    lists: list[str] = []
    for crl in ("before", "root"):
        done = made.run(
            "openssl", "crl", "-inform", "DER", "-in", f"{crl}.crl", "-out", f"{crl}.pem1"
        )
        assert done.returncode == 0
        lists += ["-CRLfile", f"{crl}.pem1"]
    strict = ["-x509_strict", "-purpose", purpose, "-crl_check_all", *lists]
    done = made.run(
        "openssl",
        "verify",
        *strict,
        "-CAfile",
        "root.pem",
        "-untrusted",
        "below.pem",
        f"{name}.pem",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_openssl_refuses_what_is_revoked_or_for_another_use(made: Made) -> None:
    require("openssl")
    made.run("openssl", "crl", "-inform", "DER", "-in", "after.crl", "-out", "after.pem1")
    chain = ["-CAfile", "root.pem", "-untrusted", "below.pem"]
    revoked = made.run(
        "openssl", "verify", "-crl_check", "-CRLfile", "after.pem1", *chain, "both.pem"
    )
    assert "certificate revoked" in revoked.stderr
    other = made.run("openssl", "verify", "-purpose", "smimesign", *chain, "encrypt.pem")
    assert "unsuitable certificate purpose" in other.stderr


def test_nss_takes_each_for_its_use_and_no_other(made: Made) -> None:
    """`certutil -V`: S signs mail, R receives encrypted mail, as Thunderbird asks."""
    require("nss")
    made.run("mkdir", "-p", "nssdb")
    assert made.run("certutil", "-N", "-d", "sql:nssdb", "--empty-password").returncode == 0
    for name, trust in (("root", ",C,"), ("below", ",,"), *((name, ",,") for name in USES)):
        line = ["-A", "-d", "sql:nssdb", "-n", name, "-t", trust, "-i", f"{name}.pem"]
        assert made.run("certutil", *line).returncode == 0
    judged = {
        (name, usage): made.run("certutil", "-V", "-d", "sql:nssdb", "-e", "-n", name, "-u", usage)
        for name in USES
        for usage in "SR"
    }
    valid = {key for key, done in judged.items() if done.stdout.strip().endswith("is valid")}
    assert valid == {("both", "S"), ("both", "R"), ("sign", "S"), ("encrypt", "R")}
    for crl in ("root", "before", "after"):
        done = made.run("crlutil", "-I", "-d", "sql:nssdb", "-i", f"{crl}.crl")
        assert done.returncode == 0, done.stderr
        state = made.run("certutil", "-V", "-d", "sql:nssdb", "-e", "-n", "both", "-u", "S")
        said = state.stdout + state.stderr
        assert ("revoked" in said) is (crl == "after"), said


def test_gpgsm_verifies_a_signature_that_brings_the_issuing_authority(made: Made) -> None:
    require("gpgsm")
    signer = CmsSigner.build(
        pki.rsa_key("sign"),
        made.people["sign"].der,
        (made.der("below"),),
        capabilities=False,
    )
    signed = sign(b"hello\r\n", signer, signing_time=datetime.now(UTC), detached=False)
    with tempfile.TemporaryDirectory(prefix="gpgsm") as folder:  # a socket's path is short
        home = Path(folder)
        home.chmod(0o700)
        (home / "gpgsm.conf").write_text(OPTIONS)
        thumb = hashlib.sha1(made.der("root"), usedforsecurity=False).hexdigest().upper()
        (home / "trustlist.txt").write_text(f"{thumb} S relax\n")
        peer = Gpgsm(home)
        try:
            peer("--import", given=(made.folder / "root.pem").read_bytes())
            for name in USES:
                below = (made.folder / "below.pem").read_bytes()
                peer("--import", given=below + (made.folder / f"{name}.pem").read_bytes())
                listed = peer("--with-validation", "--list-keys", f"{name}@example.test").decode()
                assert ("certificate is good" in listed) is not made.limited
                # GnuPG 2.2 knows no name constraints, and they are critical (RFC 5280 4.2.1.10).
                assert ("2.5.29.30 is not supported" in listed) is made.limited
            status = peer.status(signed)
            assert "GOODSIG" in status
            assert ("TRUST_FULLY" in status) is not made.limited
        finally:
            line = [str(locate("gpgconf")), "--homedir", folder, "--kill", "all"]
            subprocess.run(line, check=False)
