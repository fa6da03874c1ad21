"""Mozilla's NSS (Thunderbird's) and its `cmsutil` in a database of its own."""

import ctypes
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop import exchange
from tests.interop.algorithms import EDWARDS, KINDS, LATTICES, MONTGOMERY, Encryption, Signature
from tests.interop.peer import NoWayToAsk, Refused
from tests.peers import locate

# NSS 3.87 stores neither keys nor certificates of these kinds.
UNKNOWN = (*EDWARDS, *MONTGOMERY, *LATTICES)
CIPHERS = {  # by what stands in objects
    "aes128_cbc": bytes.fromhex("0609608648016503040102"),
    "aes192_cbc": bytes.fromhex("0609608648016503040116"),
    "aes256_cbc": bytes.fromhex("060960864801650304012a"),
    "tripledes_3key": bytes.fromhex("06082a864886f70d0307"),
}


@dataclass(frozen=True)
class Nss:
    """A database of NSS with its tools."""

    folder: Path
    name: str = "NSS"

    @classmethod
    def build(cls, folder: Path) -> "Nss":
        """Make a database with everybody's keys; carol's certificate alone, without her key."""
        here = cls(folder)
        here("certutil", "-N", "--empty-password")
        trusted = {"root": (exchange.root(), "C,C,C"), "issuing": (exchange.issuing(), ",,")}
        trusted |= {"carol": (exchange.reader("carol"), ",,")}
        for name, (person, trust) in trusted.items():
            here("certutil", "-A", "-n", name, "-t", trust, "-i", here.kept(name, person.pem()))
        kinds = [kind for kind in KINDS if kind not in UNKNOWN]
        for owner in (*map(exchange.sender, kinds), exchange.reader("bob")):
            here.kept("owner.p12", owner.pkcs12(b"secret", legacy=True))
            here("pk12util", "-i", "owner.p12", "-W", "secret", "-K", "")
        return here

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(locate(tool)), *arguments, "-d", "."],
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def __call__(self, tool: str, *arguments: str) -> bytes:
        done = self.run(tool, *arguments)
        if done.returncode:
            raise Refused(done.stderr.decode())
        return done.stdout

    def kept(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    def decode(self, der: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        """Decrypt, or verify including the chain; the header of the answer names signers."""
        return self.run("cmsutil", "-D", "-h", "1", "-i", self.kept("cms", der), *options)

    def version(self) -> str:
        library = ctypes.CDLL("libnss3.so")
        library.NSS_GetVersion.restype = ctypes.c_char_p
        found: bytes = library.NSS_GetVersion()
        return found.decode().split()[0]

    def sign(self, how: Signature, content: bytes, form: Sequence[str] = ()) -> bytes:
        if how.pss:
            raise NoWayToAsk("cmsutil has no option for PSS")
        if form and tuple(form) != ("stream",):  # it always writes indefinite lengths
            raise NoWayToAsk("cmsutil has no option for this form")
        return self(
            "cmsutil", "-S", "-N", exchange.address(how.kind), "-i", self.kept("text", content),
            "-H", how.digest.upper(), "-G", *([] if how.opaque else ["-T"]),
        )  # fmt: skip

    def verify(self, der: bytes, content: bytes | None) -> None:
        detached = () if content is None else ("-c", self.kept("content", content))
        done = self.decode(der, *detached)
        if b"status=GoodSignature" not in done.stdout:
            raise Refused((done.stdout + done.stderr).decode(errors="replace"))

    def encrypt(self, how: Encryption, content: bytes, form: Sequence[str] = ()) -> bytes:
        if how.structure or how.attributes:
            raise NoWayToAsk("cmsutil has no option for the structure")
        if form and tuple(form) != ("stream",):
            raise NoWayToAsk("cmsutil has no option for this form")
        for reader in how.readers:
            if reader.way in {"kek", "password"}:
                raise NoWayToAsk("cmsutil encrypts to certificates only")
            if reader.way == "oaep" or (reader.digest, reader.wrap) not in {
                ("", ""),
                ("sha1", "3des"),
            }:
                raise NoWayToAsk("cmsutil has no option for key management")
        addresses = ",".join(exchange.address(reader.kind) for reader in how.readers)
        sealed = self("cmsutil", "-E", "-r", addresses, "-i", self.kept("inner", content))
        if how.cipher and CIPHERS.get(how.cipher, b"none of them") not in sealed:
            raise NoWayToAsk("cmsutil takes the cipher by the strength of its readers' keys")
        return sealed

    def decrypt(self, der: bytes, kind: str) -> bytes:
        return self("cmsutil", "-D", "-i", self.kept("cms", der))

    def compress(self, content: bytes) -> bytes:
        raise NoWayToAsk("cmsutil knows no CompressedData")

    def expand(self, der: bytes) -> bytes:
        return self("cmsutil", "-D", "-i", self.kept("cms", der))
