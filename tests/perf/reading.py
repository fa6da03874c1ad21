"""Large mail that comes in: CPU and memory for each of its octets, as it grows.

`make bench` ends with its table, `python -m tests.perf.reading` shows it alone. Each message is
read in a process of its own, so that none is measured with what another one left behind.
"""

import ctypes
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.queues import Queue
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.message.build import pkcs7_mime_entity
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import cms_octets
from smime_proxy.smime.inspect import inspect
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.verify import Trust
from tests.interop import exchange, large
from tests.peers import require
from tests.perf.processes import peak_octets, reset_peak, resident_octets

MEGABYTE = 1_000_000
SIZES = {1: 10, 25: 3, 100: 2}  # megabytes of content, and how often they are read
CHUNK = 1_000  # octets; BouncyCastle's
CHUNKED = {"enveloped, CBC": "enveloped-data", "signed, opaque": "signed-data"}
_WAIT_SECONDS = 600


@dataclass(frozen=True)
class Job:
    """A message in a file, and what it is read with; PEM and DER, for another process."""

    file: Path
    repeats: int
    at: datetime
    key: bytes
    certificate: bytes
    root: bytes


@dataclass(frozen=True)
class Reading:
    """CPU seconds and octets of memory for one message of `octets`.

    `memory` is what `receive` and writing the delivery hold at most besides the message,
    `inspecting` what `inspect` does.
    """

    octets: int
    cpu: float
    memory: float
    inspecting: float

    @property
    def cpu_each(self) -> float:
        """CPU seconds for an octet."""
        return self.cpu / self.octets

    @property
    def memory_each(self) -> float:
        """The larger of both for an octet."""
        return max(self.memory, self.inspecting) / self.octets


def readings(sizes: dict[int, int]) -> Iterator[tuple[str, list[Reading]]]:
    """Give name and readings of every form of mail, one for each size in megabytes."""
    forms = [*large.FORMS, *(f"{form}, chunks of {CHUNK}" for form in CHUNKED)]
    for form in forms:
        with tempfile.TemporaryDirectory(prefix="smime-proxy-bench-") as folder:
            yield form, [_read_apart(Path(folder), form, *size) for size in sizes.items()]


def growth(small: Reading, larger: Reading) -> tuple[float, float]:
    """Give CPU and memory for an octet of the larger over those of the smaller."""
    return larger.cpu_each / small.cpu_each, larger.memory_each / small.memory_each


def linearity() -> None:
    """Print what every form costs at every size, and how that grows."""
    sizes = list(SIZES)[-2:]
    print(f"\n{'mail that comes in':32} {'MB':>4} {'CPU ms/MB':>10} {'receive':>8} {'inspect':>8}")
    for form, found in readings(SIZES):
        for megabytes, item in zip(SIZES, found, strict=True):
            print(
                f"{form:32} {megabytes:4} {item.cpu_each * MEGABYTE * 1000:10.2f}"
                f" {item.memory / item.octets:8.2f} {item.inspecting / item.octets:8.2f}"
            )
        cpu, memory = growth(found[-2], found[-1])
        print(
            f"{'':32} {sizes[1]} MB over {sizes[0]} MB: CPU {cpu:.2f}, memory {memory:.2f}",
            flush=True,
        )


def _read_apart(folder: Path, form: str, megabytes: int, repeats: int) -> Reading:
    """Write a message and read it in a new process."""
    file = folder / f"mail-{megabytes}"
    reader, root = exchange.reader(large.READER), exchange.root()
    at = exchange.now()
    file.write_bytes(_message(folder, form, megabytes * MEGABYTE))
    job = Job(file, repeats, at, reader.key_pem(), reader.der, root.der)
    context = multiprocessing.get_context("spawn")
    results: Queue[Reading] = context.Queue()
    process = context.Process(target=_read, args=(job, results))
    process.start()
    found = results.get(timeout=_WAIT_SECONDS)
    process.join()
    return found


def _message(folder: Path, form: str, octets: int) -> bytes:
    base, _, chunks = form.partition(", chunks")
    message = large.streamed(require("openssl"), folder, base, large.entity(octets))
    if not chunks:
        return message
    cms = large.chunked(cms_octets(parse(message)), CHUNK)
    return exchange.mail(large.SIGNER, pkcs7_mime_entity([cms], CHUNKED[base]), exchange.now())


def _read(job: Job, results: "Queue[Reading]") -> None:
    content = job.file.read_bytes()
    key = load_pem_private_key(job.key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    keys = [DecryptionKey.build(key, job.certificate)]
    trust = Trust((Anchor(Certificate.from_der(job.root)),), (), lambda _issuer, _serial: [])

    def deliver() -> None:
        received = receive(parse(content), keys, trust, job.at)
        _check(received)
        received.message(received.entity.header, [("X-SMIME-Badge", received.report.badge)])

    def look() -> None:
        assert not inspect(content, keys=keys, trust=trust, at=job.at).error

    cpu = min(_cpu(deliver) for _ in range(job.repeats))
    results.put(Reading(len(content), cpu, _memory(deliver), _memory(look)))


def _check(received: Received) -> None:
    """Let nobody measure how fast mail is refused."""
    report = received.report
    if report.signature != "pass" and report.lock == "none":
        raise RuntimeError(f"not read: {report}")


def _cpu(action: Callable[[], None]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _memory(action: Callable[[], None]) -> int:
    # What malloc keeps of memory given back would be taken for memory that is not needed.
    ctypes.CDLL(None).malloc_trim(0)
    reset_peak()
    before = resident_octets(os.getpid())
    action()
    return peak_octets() - before


if __name__ == "__main__":
    linearity()
