"""OpenSSL's `cms` command with the keys of everybody in one folder."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop import exchange
from tests.interop.algorithms import KINDS, Encryption, Recipient, Signature
from tests.interop.peer import NoWayToAsk, Refused
from tests.peers import locate

CIPHERS = {
    **{
        f"aes{bits}_{mode}": f"-aes-{bits}-{mode}"
        for bits in (128, 192, 256)
        for mode in ("cbc", "gcm", "ccm")
    },
    "tripledes_3key": "-des3",
    "rc2_128": "-rc2-cbc",
    "rc2_64": "-rc2-64-cbc",
    "rc2_40": "-rc2-40-cbc",
    "chacha20_poly1305": "-chacha20-poly1305",
}
WRAPS = {"3des": "-des3-wrap", **{f"aes{bits}": f"-aes{bits}-wrap" for bits in (128, 192, 256)}}
PROVIDERS = ("-provider", "legacy", "-provider", "default")  # RC2 is legacy since 3.0


@dataclass(frozen=True)
class OpenSsl:
    """The program and the folder in which files are exchanged with it."""

    folder: Path
    name: str = "OpenSSL"

    @classmethod
    def build(cls, folder: Path) -> "OpenSsl":
        """Lay the keys of everybody down."""
        (folder / "root.pem").write_bytes(exchange.root().pem())
        (folder / "issuing.pem").write_bytes(exchange.issuing().pem())
        for kind in KINDS:
            (folder / f"{kind}.pem").write_bytes(exchange.sender(kind).pem())
            (folder / f"{kind}.key").write_bytes(exchange.sender(kind).key_pem())
        return cls(folder)

    def version(self) -> str:
        done = subprocess.run([str(locate("openssl")), "version"], capture_output=True, check=True)
        return done.stdout.decode().split()[1]

    def cms(self, *arguments: str, given: bytes) -> bytes:
        done = subprocess.run(
            [str(locate("openssl")), "cms", *arguments],
            cwd=self.folder,
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise Refused(done.stderr.decode())
        return done.stdout

    def sign(self, how: Signature, content: bytes, form: Sequence[str] = ()) -> bytes:
        options = ["-md", how.digest]
        if how.pss:
            options += [
                *_key_option("rsa_padding_mode", "pss"),
                *_key_option("rsa_pss_saltlen", str(how.salt)),
                *_key_option("rsa_mgf1_md", how.mgf),
            ]
        options += ["-nodetach"] * how.opaque
        words = {"keyid": "-keyid", "stream": "-stream", "direct": "-noattr"}
        return self.cms(
            "-sign", "-binary", "-outform", "DER", "-signer", f"{how.kind}.pem", "-inkey",
            f"{how.kind}.key", "-certfile", "issuing.pem", *options, *(words[one] for one in form),
            given=content,
        )  # fmt: skip

    def verify(self, der: bytes, content: bytes | None) -> None:
        detached: tuple[str, ...] = ()
        if content is not None:
            (self.folder / "content").write_bytes(content)
            detached = ("-content", "content")
        self.cms(
            "-verify", "-binary", "-inform", "DER", "-CAfile", "root.pem", *detached, given=der
        )

    def encrypt(self, how: Encryption, content: bytes, form: Sequence[str] = ()) -> bytes:
        if how.attributes:
            raise NoWayToAsk("the command line has no authenticated attributes to add")
        if how.authenticated is not Encryption((), how.cipher).authenticated:
            raise NoWayToAsk("the command line chooses the structure by the cipher")
        words = {"keyid": "-keyid", "stream": "-stream"}
        cipher = CIPHERS[how.cipher or "aes256_cbc"]
        readers = [word for reader in how.readers for word in self._reader(reader)]
        return self.cms(
            "-encrypt", "-binary", "-outform", "DER", *PROVIDERS, cipher, *readers,
            *(words[one] for one in form), given=content,
        )  # fmt: skip

    def _reader(self, reader: Recipient) -> list[str]:
        match reader.way:
            case "kek":
                return ["-secretkey", "30313233343536373839616263646566", "-secretkeyid", "01"]
            case "password":
                return ["-pwri_password", "secret"]
            case "oaep":
                label = _key_option("rsa_oaep_label", reader.label.encode().hex())
                return [
                    "-recip", f"{reader.kind}.pem",
                    *_key_option("rsa_padding_mode", "oaep"),
                    *_key_option("rsa_oaep_md", reader.digest),
                    *_key_option("rsa_mgf1_md", reader.mgf),
                    *(label if reader.label else ()),
                ]  # fmt: skip
            case "ecdh":
                if reader.ukm:
                    raise NoWayToAsk("the command line has no user keying material")
                if reader.digest.startswith("hkdf-"):
                    raise NoWayToAsk("the command line has no HKDF for key agreement")
                return [
                    "-recip", f"{reader.kind}.pem",
                    *_key_option("ecdh_kdf_md", reader.digest),
                    *_key_option("ecdh_cofactor_mode", str(int(reader.cofactor))),
                    WRAPS[reader.wrap],
                ]  # fmt: skip
            case _:
                return ["-recip", f"{reader.kind}.pem"]

    def decrypt(self, der: bytes, kind: str) -> bytes:
        return self.cms(
            "-decrypt", "-binary", "-inform", "DER", *PROVIDERS, "-recip", f"{kind}.pem",
            "-inkey", f"{kind}.key", given=der,
        )  # fmt: skip

    def compress(self, content: bytes) -> bytes:
        return self.cms("-compress", "-binary", "-outform", "DER", given=content)

    def expand(self, der: bytes) -> bytes:
        return self.cms("-uncompress", "-binary", "-inform", "DER", given=der)


def _key_option(name: str, value: str) -> list[str]:
    return ["-keyopt", f"{name}:{value}"]
