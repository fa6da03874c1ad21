"""Large directories: importing partner certificates, loading them, finding one, mail to one.

`make bench` ends with its table, `python -m tests.perf.directory` shows it alone; numbers of
certificates may be given. Each store is read in a process of its own, so that its memory is seen.
"""

import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.gateway.choices import RecipientChoices
from smime_proxy.stores.connection import Store, revision
from smime_proxy.stores.open import open_store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.perf.load import send
from tests.perf.processes import resident_octets, running
from tests.perf.service import RECIPIENT, command, prepare, serving
from tests.ports import free_port

SIZES = (100, 10_000, 100_000)
MESSAGES, SIZE = 1000, 4096
LOOKUPS = 1000


@dataclass(frozen=True)
class Directory:
    """What a directory of `number` partner certificates costs.

    Seconds: `importing` all, `again` when all are known, `loading` a snapshot, `reloading` after a
    change, `first` look at an address, `later` ones, `starting` to the first session. `memory` is
    octets of the snapshot, `cpu` seconds for a signed and encrypted message.
    """

    number: int
    importing: float
    again: float
    loading: float
    memory: int
    reloading: float
    first: float
    later: float
    starting: float
    cpu: float


def write_certificates(folder: Path, number: int) -> None:
    """Write certificates of one issuer for one key, and the issuer's own beside the folder."""
    folder.mkdir()
    issuer = pki.root("Perf Root", kind="p256")
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    usage = dict.fromkeys(pki._USAGES, False) | {"key_agreement": True, "digital_signature": True}
    base = (
        x509.CertificateBuilder()
        .issuer_name(issuer.certificate.x509().subject)
        .public_key(key)
        .not_valid_before(pki.NOT_BEFORE)
        .not_valid_after(pki.NOT_AFTER)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    )
    for nth in range(number):
        address = address_of(nth, number)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        san = x509.SubjectAlternativeName([x509.RFC822Name(address)])
        one = base.subject_name(name).serial_number(nth + 1).add_extension(san, critical=False)
        signed = one.sign(issuer.key, hashes.SHA256())
        (folder / f"{nth:06}.der").write_bytes(signed.public_bytes(Encoding.DER))
    (folder.parent / "root.pem").write_bytes(issuer.pem())


def address_of(nth: int, number: int) -> str:
    """Give the address of the nth of so many; one in the middle is whom the mail goes to."""
    if nth == number // 2:
        return RECIPIENT
    return f"someone.with.a.name{nth}@example{nth % 100}.org"


def measure(folder: Path, number: int, sink: int) -> Directory:
    """Take in a directory of so many certificates, look at it, and send mail to one of them."""
    folder.mkdir()
    config, port = prepare(folder, sink, workers=1)
    certificates = folder / "certificates"
    write_certificates(certificates, number)
    root = str(folder / "root.pem")
    subprocess.run(command(config, "trust", "add", root), check=True, capture_output=True)
    importing = _timed(command(config, "cert", "import-all", str(certificates)))
    again = _timed(command(config, "cert", "import-all", str(certificates)))
    loading, memory, reloading, first, later = _looked_at(folder / "state", number)
    with serving(config, port, folder / "serve.log") as pid:
        send(port, pid, messages=100, size=SIZE, reuse=True)
        cpu = statistics.median(
            send(port, pid, messages=MESSAGES, size=SIZE, reuse=True).cpu for _ in range(3)
        )
    starts = []
    for _ in range(3):
        begin = time.monotonic()
        with serving(config, port, folder / "serve.log"):
            starts.append(time.monotonic() - begin)
    starting = statistics.median(starts)
    shutil.rmtree(folder)
    return Directory(
        number, importing, again, loading, memory, reloading, first, later, starting, cpu
    )


def _timed(words: list[str]) -> float:
    begin = time.monotonic()
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[-2:]}: {done.stderr[-1000:].decode()}")
    return time.monotonic() - begin


def _looked_at(state: Path, number: int) -> tuple[float, int, float, float, float]:
    """Load a snapshot in a process that has done nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_look, state, number).result()


def _look(state: Path, number: int) -> tuple[float, int, float, float, float]:
    store = open_store("sqlite", state, None, migrate=False).store
    with store.reading() as connection:
        revision(connection)
    before = resident_octets(os.getpid())
    begin = time.perf_counter()
    snapshot = _load(store)
    loading = time.perf_counter() - begin
    memory = resident_octets(os.getpid()) - before
    begin = time.perf_counter()
    snapshot = _load(store, snapshot)
    reloading = time.perf_counter() - begin
    step = max(1, number // LOOKUPS)
    wanted = [parse_mailbox(address_of(nth, number)) for nth in range(0, number, step)]
    at = datetime.now(UTC)
    first = _each(lambda n: _choose(snapshot, wanted[n], at), len(wanted))
    later = _each(lambda n: snapshot.partner_certificates(wanted[n]), len(wanted))
    return loading, memory, reloading, first, later


def _load(store: Store, before: Snapshot | None = None) -> Snapshot:
    with store.reading() as connection:
        return Snapshot.load(connection, store.vault, before)


def _choose(snapshot: Snapshot, mailbox: Mailbox, at: datetime) -> None:
    choice = RecipientChoices().choose(snapshot, mailbox, None, at)
    assert choice.certificate is not None, choice.problem


def _each(look: Callable[[int], object], number: int) -> float:
    begin = time.perf_counter()
    for nth in range(number):
        look(nth)
    return (time.perf_counter() - begin) / number


def report(found: list[Directory]) -> None:
    """Print the table."""
    print("\npartner certificates, by their number\n")
    print(f"{'':34}" + "".join(f"{one.number:>12,}" for one in found))
    rows: tuple[tuple[str, Callable[[Directory], str]], ...] = (
        ("imported, a second", lambda d: f"{d.number / d.importing:.0f}"),
        ("all known already, a second", lambda d: f"{d.number / d.again:.0f}"),
        ("snapshot loads, seconds", lambda d: f"{d.loading:.3f}"),
        ("after a change, seconds", lambda d: f"{d.reloading:.3f}"),
        ("snapshot, MB", lambda d: f"{d.memory / 1e6:.1f}"),
        ("octets a certificate", lambda d: f"{d.memory / d.number:.0f}"),
        ("choosing, the first time, us", lambda d: f"{d.first * 1e6:.0f}"),
        ("looking one up again, us", lambda d: f"{d.later * 1e6:.1f}"),
        ("start to first session, seconds", lambda d: f"{d.starting:.2f}"),
        ("CPU a message, ms", lambda d: f"{d.cpu * 1e3:.2f}"),
    )
    for name, value in rows:
        print(f"{name:34}" + "".join(f"{value(one):>12}" for one in found))
    few, many = found[0], found[-1]
    print(f"P12, CPU a message, most over least: {many.cpu / few.cpu:.2f} (x1.05)")


def main() -> None:
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    folder = Path(tempfile.mkdtemp(prefix="smime-proxy-directory-"))
    try:
        sink = free_port()
        sinking = ["smtp-sink", "-u", "postfix", "-c", f"127.0.0.1:{sink}", "1000"]
        with running(sinking, sink, folder / "sink.log"):
            report([measure(folder / str(number), number, sink) for number in sizes])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
