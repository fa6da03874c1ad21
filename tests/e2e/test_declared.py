"""Accounts as data: signed with by real SMTP, followed while mail flows, and without any store."""

import base64
import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests import pki
from tests.e2e import contained
from tests.e2e.client import Answer, deliver
from tests.e2e.proxy import PROGRAM, Design, Listener, Proxy, eventually, to_sink
from tests.peers import require
from tests.pki import Identity
from tests.sink import Message, Sink, running

pytestmark = pytest.mark.e2e

PARTNER = "partner@example.org"
ROOT = pki.root(label="declared root")
MIDDLE = pki.intermediate(ROOT, label="declared middle")


def identity(address: str, label: str = "") -> Identity:
    return pki.person(MIDDLE, address, label=f"declared {address} {label}")


def pem(owner: Identity) -> bytes:
    return owner.key_pem() + owner.chain_pem()


BILLS, SHOP, DESK = "bills@firm.example", "shop@firm.example", "desk@firm.example"
FIRST = {address: identity(address) for address in (BILLS, SHOP, DESK)}


@dataclass
class Office:
    """A service with declared accounts and an empty state directory, contained where it can be.

    The account of BILLS comes with a directory of secrets as Kubernetes makes them, the others with
    the settings file.
    """

    folder: Path
    workers: int
    sink: Sink
    proxy: Proxy = field(init=False)

    def __post_init__(self) -> None:
        self.secrets = self.folder / "secrets"
        self.secrets.mkdir()
        said = {BILLS: {"key_file": str(self.secrets / "bills.p12"), "password_file": "PW"}}
        said[BILLS]["password_file"] = str(self.secrets / "password")
        self.switch(
            {
                "SMIME_PROXY_ACCOUNTS": json.dumps(said).encode() + b"\r\n",
                "bills.p12": FIRST[BILLS].pkcs12(b"secret"),
                "password": b"secret\n",
            }
        )
        (self.folder / "root.pem").write_bytes(ROOT.pem())
        for address in (SHOP, DESK):
            self.file(address).write_bytes(pem(FIRST[address]))
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", 'domains = ["firm.example"]'),
        }
        trust = f'[trust]\nown_anchor_files = ["{self.folder}/root.pem"]\n'
        more = trust + "".join(map(self.table, (SHOP, DESK)))
        design = Design({"sink": to_sink(self.sink.port)}, listeners, self.workers, more)
        variables = {"SMIME_PROXY_SECRETS": str(self.secrets), **contained.SERVICES}
        self.variables = variables
        self.proxy = Proxy(self.folder / "proxy", design)
        self.proxy.state.mkdir()
        self.proxy.wrapper = (
            contained.with_variables(variables)
            if contained.missing()
            else contained.wrapper(self.proxy.state, variables)
        )

    def file(self, address: str) -> Path:
        return self.folder / f"{address.partition('@')[0]}.pem"

    def table(self, address: str) -> str:
        return f'[accounts."{address}"]\nkey_file = "{self.file(address)}"\n'

    def switch(self, files: dict[str, bytes]) -> None:
        """Put all secrets in place at once, as the kubelet does."""
        number = len(list(self.secrets.glob("..20*")))
        data = self.secrets / f"..2026_{number}"
        data.mkdir()
        for name, raw in files.items():
            (data / name).write_bytes(raw)
            with contextlib.suppress(FileExistsError):
                (self.secrets / name).symlink_to(f"..data/{name}")
        (self.secrets / "..data_tmp").symlink_to(data.name)
        (self.secrets / "..data_tmp").rename(self.secrets / "..data")

    def hup(self, outcome: str, *more: str) -> None:
        """Write settings with these further tables, tell the service, and wait until it did."""
        text = self.proxy.design.toml(self.proxy.state, self.proxy.ports)
        self.proxy.config.write_text(text + "".join(more))
        name = f'smime_proxy_reloads_total{{outcome="{outcome}"}}'
        wanted = self.measured(name) + self.workers
        assert self.proxy.process is not None
        self.proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.measured(name) == wanted, self.proxy.log)

    def measured(self, name: str) -> float:
        _, text = self.proxy.get("/metrics")
        found = [line for line in text.splitlines() if line.startswith(name + " ")]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def send(self, address: str) -> Answer:
        mail = f"From: {address}\r\nTo: {PARTNER}\r\nSubject: x\r\n\r\ntext\r\n".encode()
        return deliver(self.proxy.ports["out"], address, (PARTNER,), mail)

    def sent(self, address: str) -> bytes:
        """Send a mail and give what came out."""
        number = len(self.sink.messages)
        assert self.send(address).code == 250
        message: Message = self.sink.messages[number]
        return message.content

    def signer(self, content: bytes) -> bytes:
        """Let openssl verify a mail down to our root; gives the signer's certificate in PEM."""
        signed, signer = self.folder / "signed.eml", self.folder / "signer.pem"
        signed.write_bytes(content)
        signer.unlink(missing_ok=True)
        line = ("cms", "-verify", "-in", signed, "-CAfile", self.folder / "root.pem")
        done = subprocess.run(
            [require("openssl"), *line, "-signer", signer, "-out", "/dev/null"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return signer.read_bytes()

    def is_signed_by(self, owner: Identity, address: str) -> bool:
        return self.signer(self.sent(address)).strip() == owner.pem().strip()

    def read(self, owner: Identity, address: str) -> bool:
        """Let openssl encrypt a mail to a certificate; tells whether it comes out readable."""
        certificate = self.folder / "to.pem"
        certificate.write_bytes(owner.pem())
        header = ("-from", PARTNER, "-to", address, "-subject", "Secret")
        sealed = subprocess.run(
            [require("openssl"), "cms", "-encrypt", "-aes256", *header, certificate],
            input=b"Content-Type: text/plain\r\n\r\nfor you alone\r\n",
            capture_output=True,
            check=True,
        ).stdout.replace(b"\n", b"\r\n")
        number = len(self.sink.messages)
        assert deliver(self.proxy.ports["in"], PARTNER, (address,), sealed).code == 250
        return b"for you alone" in self.sink.messages[number].content

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command where the service runs."""
        outside = contained.missing()
        line = (
            contained.with_variables(self.variables)
            if outside
            else contained.inside(self.proxy.pid, self.variables)
        )
        return subprocess.run(
            [*line, PROGRAM, "--config", self.proxy.config, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module", params=[1, 2])
def office(request: pytest.FixtureRequest) -> Iterator[Office]:
    # Not where pytest puts its folders: nobody else may go there.
    folder = Path(tempfile.mkdtemp(prefix="declared-"))
    folder.chmod(0o755)
    try:
        with running(Sink()) as sink:
            office = Office(folder, request.param, sink)
            try:
                office.proxy.start()
                yield office
                assert office.proxy.stop() == 0, office.proxy.log()
                assert "Traceback" not in office.proxy.log()
                for owner in FIRST.values():
                    assert owner.key_pem().splitlines()[1].decode() not in office.proxy.log()
            finally:
                office.proxy.end()
    finally:
        shutil.rmtree(folder)


def test_declared_keys_sign_with_their_chain_and_decrypt(office: Office) -> None:
    for address, owner in FIRST.items():
        assert office.is_signed_by(owner, address)
    assert office.read(FIRST[BILLS], BILLS)


def test_what_is_signed_is_believed_by_a_declared_anchor(office: Office) -> None:
    signed, number = office.sent(SHOP), len(office.sink.messages)
    assert deliver(office.proxy.ports["in"], SHOP, (DESK,), signed).code == 250
    received = office.sink.messages[number].content
    assert b"smime=pass" in received
    assert b"chain=trusted" in received


def test_every_command_needs_no_store_and_nothing_that_can_be_written(office: Office) -> None:
    if not contained.missing():
        written = office.command("account", "export-public", SHOP, "--out", office.folder / "x")
        assert "Read-only file system" in written.stderr
    mail = office.folder / "mail.eml"
    mail.write_text(f"From: {BILLS}\r\nTo: {PARTNER}\r\n\r\nx\r\n")
    for line in (
        ("check-config",),
        ("healthcheck",),
        ("explain", "--from", BILLS, "--to", PARTNER, mail),
        ("inspect", mail),
        ("doctor",),
        ("account", "keys", BILLS),
    ):
        done = office.command(*line)
        assert (done.returncode, done.stderr) == (0, ""), line
    listed = json.loads(office.command("account", "list", "--json").stdout)
    origins = {one["address"]: (one["origin"], one["keys"]) for one in listed}
    assert origins == dict.fromkeys(FIRST, ("settings", 1))
    refused = office.command("account", "disable", BILLS)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "is declared in the settings" in refused.stderr


def test_no_key_is_written_down(office: Office) -> None:
    state = office.proxy.state
    if not contained.missing():
        state = Path(f"/proc/{office.proxy.pid}/root{state}")
        assert "it lies in memory, and with a restart it is gone" in office.proxy.log()
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"SQLite format 3" in written
    for owner in FIRST.values():
        der = base64.b64decode(b"".join(owner.key_pem().splitlines()[1:-1]))
        assert der[-64:] not in written
        assert isinstance(owner.key, RSAPrivateKey)
        whole = owner.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        assert whole[-64:] not in written


def test_a_key_that_changes_while_mail_flows_is_taken_without_a_mail_unsigned(
    office: Office,
) -> None:
    after = identity(BILLS, "after")
    office.switch({"bills.p12": after.pkcs12(b"other"), "password": b"other\n"})
    accounts = (office.secrets / "..2026_0" / "SMIME_PROXY_ACCOUNTS").read_bytes()
    (office.secrets / "..data" / "SMIME_PROXY_ACCOUNTS").write_bytes(accounts)
    known = {owner.pem().strip(): owner for owner in (FIRST[BILLS], after)}
    seen: list[Identity] = []

    def is_taken() -> bool:
        seen.append(known[office.signer(office.sent(BILLS)).strip()])
        return seen[-4 * office.workers :].count(after) == 4 * office.workers

    eventually(is_taken, office.proxy.log)
    assert office.proxy.log().count("key_file_taken") >= office.workers
    assert office.read(FIRST[BILLS], BILLS)
    assert office.read(after, BILLS)


def test_a_broken_file_is_told_and_the_key_of_before_signs_on(office: Office) -> None:
    file, after = office.file(SHOP), identity(SHOP, "after")
    file.write_bytes(pem(after)[:500])
    broken = 'smime_proxy_key_files_total{outcome="broken"}'
    eventually(lambda: office.measured(broken) == office.workers, office.proxy.log)
    assert office.measured("smime_proxy_key_files_broken") == 1
    assert f"{file}: " in office.proxy.log()
    assert office.is_signed_by(FIRST[SHOP], SHOP)
    assert f"{file}: " in office.command("check-config").stderr
    told = office.command("doctor", "--offline", "--json")
    assert told.returncode == 1
    (found,) = (one for one in json.loads(told.stdout)["findings"] if "key_file" in one["where"])
    assert (found["severity"], str(file) in found["what"]) == ("error", True)

    office.hup("done")  # other accounts wait for nobody
    assert office.is_signed_by(FIRST[SHOP], SHOP)
    file.write_bytes(pem(after))
    eventually(lambda: office.measured("smime_proxy_key_files_broken") == 0, office.proxy.log)
    eventually(lambda: office.is_signed_by(after, SHOP), office.proxy.log)


def test_sighup_adds_and_removes_accounts_as_a_whole_or_not_at_all(office: Office) -> None:
    late = "late@firm.example"
    assert b"multipart/signed" not in office.sent(late)
    office.hup("failed", office.table(late))
    assert f"{office.file(late)}: No such file" in office.proxy.log()
    owner = identity(late)
    office.file(late).write_bytes(pem(owner))
    office.hup("done", office.table(late), "kind = 'team'\n")
    eventually(lambda: b"multipart/signed" in office.sent(late), office.proxy.log)
    office.hup("done")
    eventually(lambda: b"multipart/signed" not in office.sent(late), office.proxy.log)
