"""Bouncy Castle's CMS and S/MIME API behind a Java program, one process for all requests."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop import exchange
from tests.interop.algorithms import KINDS, Encryption, Recipient, Signature
from tests.interop.exchange import TEXT
from tests.interop.peer import Refused
from tests.peers import locate
from tests.tied import tied

SOURCES = [Path(__file__).with_name(name) for name in ("BouncyCastle.java", "Algorithms.java")]
JARS = ("bcmail", "bcpkix", "bcutil", "bcprov", "javax.mail")
# Enough for a handful of small messages, and quicker to start.
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")
ALGORITHMS = {
    "rsa": "SHA256withRSA",
    "rsa3072": "SHA512withRSA",
    "p256": "SHA256withECDSA",
    "p384": "SHA384withECDSA",
    "p521": "SHA512withECDSA",
}
_AES = "2.16.840.1.101.3.4.1."
CIPHERS = {
    "aes128_cbc": _AES + "2",
    "aes192_cbc": _AES + "22",
    "aes256_cbc": _AES + "42",
    "tripledes_3key": "1.2.840.113549.3.7",
    **{f"rc2_{bits}": "1.2.840.113549.3.2" for bits in (40, 64, 128)},
    "aes128_gcm": _AES + "6",
    "aes192_gcm": _AES + "26",
    "aes256_gcm": _AES + "46",
    "aes128_ccm": _AES + "7",
    "aes192_ccm": _AES + "27",
    "aes256_ccm": _AES + "47",
    "chacha20_poly1305": "1.2.840.113549.1.9.16.3.18",
}
WRAPS = {
    "aes128": _AES + "5",
    "aes192": _AES + "25",
    "aes256": _AES + "45",
    "3des": "1.2.840.113549.1.9.16.3.6",
}
_SEC = "1.3.132.1."
SCHEMES = {  # RFC 5753 7.1.4 and RFC 8418 2.1, by digest and cofactor
    ("sha1", False): "1.3.133.16.840.63.0.2",
    ("sha1", True): "1.3.133.16.840.63.0.3",
    **{(f"sha{bits}", False): f"{_SEC}11.{n}" for n, bits in enumerate((224, 256, 384, 512))},
    **{(f"sha{bits}", True): f"{_SEC}14.{n}" for n, bits in enumerate((224, 256, 384, 512))},
    ("hkdf-sha256", False): "1.2.840.113549.1.9.16.3.19",
    ("hkdf-sha384", False): "1.2.840.113549.1.9.16.3.20",
    ("hkdf-sha512", False): "1.2.840.113549.1.9.16.3.21",
}


@dataclass(frozen=True)
class BouncyCastle:
    """The process and the folder in which files are exchanged with it."""

    process: subprocess.Popen[str]
    folder: Path
    name: str = "Bouncy Castle"

    def ask(self, *words: str) -> str:
        """Ask one thing; give the answer, which begins with `ok` or `error`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer, (self.folder / "stderr").read_text(encoding="utf-8")
        return answer

    def __call__(self, *words: str) -> str:
        answer = self.ask(*words)
        if not answer.startswith("ok\t"):
            raise Refused(answer)
        return answer.removeprefix("ok\t")

    def given(self, content: bytes, name: str = "in") -> str:
        (self.folder / name).write_bytes(content)
        return name

    def out(self) -> bytes:
        return (self.folder / "out").read_bytes()

    def validate(self, message: bytes) -> tuple[str, bytes]:
        """Give what is said of the signers of a message, and the content they signed."""
        return self("verify", self.given(message), "root.der", "out"), self.out()

    def sign_mail(
        self, kinds: list[str], options: str = "", *, algorithm: str = "", content: bytes = TEXT
    ) -> bytes:
        """Give a message signed by senders, from the first of them, dated now."""
        signers = [
            word
            for kind in kinds
            for word in (f"{kind}.key", f"{kind}.der", algorithm or ALGORITHMS[kind])
        ]
        self("sign", self.given(content), "out", options, *signers, "--", "issuing.der")
        return headed(kinds[0], self.out())

    def encrypt_mail(self, inner: bytes, kind: str, cipher: str, options: str = "") -> bytes:
        """Give a message to all readers."""
        readers = [f"{name}.der" for name in exchange.READERS]
        self("encrypt", self.given(inner), "out", cipher, options, *readers)
        return headed(kind, self.out())

    def decrypt_mail(self, message: bytes, name: str) -> bytes:
        self("decrypt", self.given(message), "out", f"{name}.key", f"{name}.der")
        return self.out()

    def version(self) -> str:
        return self("version")

    def sign(self, how: Signature, content: bytes, form: Sequence[str] = ()) -> bytes:
        pss = f"{_java(how.digest)}:{_java(how.mgf)}:{how.salt}" if how.pss else ""
        options = ["opaque"] * how.opaque
        options += [{"keyid": "ski", "stream": "ber", "direct": "direct"}[one] for one in form]
        self(
            "cms-sign", self.given(content), "out", ",".join(options), f"{how.kind}.key",
            f"{how.kind}.der", _signature_name(how), pss, "issuing.der",
        )  # fmt: skip
        return self.out()

    def verify(self, der: bytes, content: bytes | None) -> None:
        detached = "" if content is None else self.given(content, "content")
        self("cms-verify", self.given(der), "out", detached)

    def encrypt(self, how: Encryption, content: bytes, form: Sequence[str] = ()) -> bytes:
        options = [{"keyid": "ski", "stream": "ber"}[one] for one in form]
        options += ["attributes"] * how.attributes
        _, _, bits = how.cipher.partition("rc2_")
        readers = [word for reader in how.readers for word in _reader(reader)]
        self(
            "cms-encrypt", self.given(content), "out", "auth" if how.authenticated else "enveloped",
            CIPHERS[how.cipher or "aes256_cbc"], bits or "0", ",".join(options), *readers,
        )  # fmt: skip
        return self.out()

    def decrypt(self, der: bytes, kind: str) -> bytes:
        self("cms-decrypt", self.given(der), "out", f"{kind}.key", f"{kind}.der")
        return self.out()

    def compress(self, content: bytes, form: Sequence[str] = ()) -> bytes:
        self("cms-compress", self.given(content), "out", *form)
        return self.out()

    def expand(self, der: bytes) -> bytes:
        self("cms-expand", self.given(der), "out")
        return self.out()


def headed(kind: str, entity: bytes) -> bytes:
    """Put the header of a message before what Bouncy Castle wrote."""
    header = exchange.mail(kind, b"", exchange.now())
    return header.replace(b"MIME-Version: 1.0\r\n", b"") + entity


def _java(digest: str) -> str:
    """Name a digest as Java does: `SHA-256`, `SHA3-256`."""
    return digest.upper() if "-" in digest else digest.replace("sha", "SHA-")


def _signature_name(how: Signature) -> str:
    if how.kind.startswith("ed"):
        return how.kind.capitalize()
    digest = how.digest.upper()  # as `SHA256` and `SHA3-256`
    if how.kind.startswith("rsa"):
        return f"{digest}withRSAandMGF1" if how.pss else f"{digest}withRSA"
    return f"{digest}withDSA" if how.kind == "dsa" else f"{digest}withECDSA"


def _reader(reader: Recipient) -> tuple[str, str]:
    match reader.way:
        case "kek" | "password":
            return "secret", reader.way
        case "oaep":
            words = ("oaep", _java(reader.digest), _java(reader.mgf), reader.label)
        case "ecdh":
            scheme = SCHEMES[(reader.digest, reader.cofactor)]
            words = ("ecdh", scheme, WRAPS[reader.wrap], reader.ukm)
        case _:
            words = ("pkcs1v15", "", "", "")
    return f"{reader.kind}.der", ":".join(words)


@contextmanager
def opened(folder: Path) -> Iterator[BouncyCastle]:
    """Compile and start the program, with everybody's keys in its folder."""
    people = {kind: exchange.sender(kind) for kind in KINDS}
    people |= {name: exchange.reader(name) for name in exchange.READERS}
    people |= {"root": exchange.root(), "issuing": exchange.issuing()}
    for name, person in people.items():
        (folder / f"{name}.der").write_bytes(person.der)
        (folder / f"{name}.key").write_bytes(person.key_der())
    path = ":".join([*(f"/usr/share/java/{name}.jar" for name in JARS), str(folder)])
    compile_it = [
        str(locate("javac")),
        "-nowarn",
        "-cp",
        path,
        "-d",
        str(folder),
        *map(str, SOURCES),
    ]
    done = subprocess.run(compile_it, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(
            [str(locate("java")), *JAVA_OPTIONS, "-cp", path, "BouncyCastle"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=tied(),
        ) as process,
    ):
        yield BouncyCastle(process, folder)
