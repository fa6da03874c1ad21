"""GnuPG's gpgsm in a home of its own with its own agent."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests import pki
from tests.interop import exchange
from tests.interop.algorithms import KINDS, Encryption, Signature
from tests.interop.peer import NoWayToAsk, Refused
from tests.peers import locate

OPTIONS = (
    "disable-crl-checks\ndisable-policy-checks\ndisable-dirmngr\nno-common-certs-import\n"
    "no-secmem-warning\nbatch\nno-tty\npinentry-mode loopback\n"
)
CURVE_NAMES = {
    "secp256r1": "NIST P-256",
    "secp384r1": "NIST P-384",
    "secp521r1": "NIST P-521",
    **{f"brainpoolP{bits}r1": f"brainpoolP{bits}r1" for bits in (256, 384, 512)},
}
CIPHERS = {
    "aes128_cbc": "AES",
    "aes192_cbc": "AES192",
    "aes256_cbc": "AES256",
    "tripledes_3key": "3DES",
    **{f"rc2_{bits}": "1.2.840.113549.3.2" for bits in (40, 64, 128)},
    **{
        f"aes{bits}_gcm": f"2.16.840.1.101.3.4.1.{last}"
        for bits, last in ((128, 6), (192, 26), (256, 46))
    },
    **{
        f"aes{bits}_ccm": f"2.16.840.1.101.3.4.1.{last}"
        for bits, last in ((128, 7), (192, 27), (256, 47))
    },
    "chacha20_poly1305": "1.2.840.113549.1.9.16.3.18",
}


@dataclass(frozen=True)
class Gpgsm:
    """A home of gpgsm; its agent is ended with it."""

    home: Path
    name: str = "gpgsm"

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run gpgsm with options; the password goes by a file, the content by files or stdin."""
        return subprocess.run(
            [str(locate("gpgsm")), "--homedir", str(self.home), "--status-fd", "2", *arguments],
            cwd=self.home,
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
        )

    def __call__(self, *arguments: str, given: bytes = b"") -> bytes:
        done = self.run(*arguments, given=given)
        if done.returncode:
            raise Refused(done.stderr.decode())
        return done.stdout

    def kept(self, content: bytes, name: str = "given") -> str:
        (self.home / name).write_bytes(content)
        return str(self.home / name)

    def status(self, der: bytes, content: bytes | None = None) -> str:
        """Verify a detached signature, or an opaque one; give the status lines."""
        names = [self.kept(der, "signature")]
        if content is not None:
            names.append(self.kept(content, "content"))
        return self.run("--verify", *names).stderr.decode()

    def version(self) -> str:
        return self("--version").split(b"\n")[0].decode().split()[-1]

    def sign(self, how: Signature, content: bytes, form: Sequence[str] = ()) -> bytes:
        if how.pss:
            raise NoWayToAsk("gpgsm has no option for PSS")
        if form and tuple(form) != ("stream",):  # it always writes indefinite lengths
            raise NoWayToAsk("gpgsm has no option for this form")
        mode = "--sign" if how.opaque else "--detach-sign"
        return self(
            "--local-user", exchange.address(how.kind), "--digest-algo", how.digest.upper(), mode,
            self.kept(content),
        )  # fmt: skip

    def verify(self, der: bytes, content: bytes | None) -> None:
        status = self.status(der, content)
        if "GOODSIG" not in status or "TRUST_FULLY" not in status:
            raise Refused(status)

    def encrypt(self, how: Encryption, content: bytes, form: Sequence[str] = ()) -> bytes:
        if how.structure or how.attributes:
            raise NoWayToAsk("gpgsm has no option for the structure")
        if form and tuple(form) != ("stream",):
            raise NoWayToAsk("gpgsm has no option for this form")
        words = []
        for reader in how.readers:
            match reader.way:
                case "pkcs1v15" | "kem":
                    pass  # as the certificate says
                case "ecdh" if reader.wrap == "aes128" and reader.digest == "sha256":
                    pass  # what it would choose
                case "kek" | "password":
                    raise NoWayToAsk("gpgsm encrypts to certificates only")
                case _:
                    raise NoWayToAsk("gpgsm has no option for key management")
            words += ["--recipient", exchange.address(reader.kind)]
        cipher = CIPHERS[how.cipher or "aes256_cbc"]
        sealed = self(*words, "--cipher-algo", cipher, "--encrypt", self.kept(content))
        if how.aead:
            self.decrypt(sealed)  # 2.2 writes what it cannot read
        return sealed

    def decrypt(self, der: bytes, kind: str = "") -> bytes:
        return self("--decrypt", self.kept(der))

    def compress(self, content: bytes) -> bytes:
        raise NoWayToAsk("gpgsm knows no CompressedData")

    def expand(self, der: bytes) -> bytes:
        return self("--decrypt", self.kept(der))


def thumb(person: pki.Identity) -> str:
    """Give what gpgsm names certificates by."""
    return hashlib.sha1(person.der, usedforsecurity=False).hexdigest().upper()


@contextmanager
def opened() -> Iterator[Gpgsm]:
    """Make a home with everybody's keys; carol's certificate alone, without her key."""
    # The agent's socket lies in the home, and its path may not be longer than 108 octets.
    with tempfile.TemporaryDirectory(prefix="gpgsm-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "gpgsm.conf").write_text(OPTIONS, encoding="ascii")
        (home / "trustlist.txt").write_text(f"{thumb(exchange.root())} S relax\n", encoding="ascii")
        here = Gpgsm(home)
        try:
            owners = [*map(exchange.sender, KINDS), exchange.reader("bob")]
            others = [exchange.root(), exchange.issuing(), exchange.reader("carol")]
            for person in (*others, *owners):
                here.run("--import", given=person.pem())  # what it cannot read it leaves out
            for owner in owners:
                _lay_key_down(here, owner)
            yield here
        finally:
            subprocess.run(
                [str(locate("gpgconf")), "--homedir", folder, "--kill", "all"], check=False
            )


def _lay_key_down(gpgsm: Gpgsm, owner: pki.Identity) -> None:
    """Put a key where the agent keeps it.

    gpgsm before 2.4 imports none but RSA's, and 2.2.40 one PKCS #12 file in about thirty not at
    all, by its random octets.
    """
    match owner.key:
        case rsa.RSAPrivateKey():
            fields = _rsa(owner.key)
        case ec.EllipticCurvePrivateKey():
            fields = _curve(owner.key)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            fields = _edwards(owner.key)
        case dsa.DSAPrivateKey():
            fields = _dsa(owner.key)
        case _:
            return  # of a kind that it has no name for
    listed = gpgsm("--with-colons", "--with-keygrip", "--list-keys", thumb(owner))
    grip = next(line.split(b":")[9] for line in listed.splitlines() if line.startswith(b"grp:"))
    folder = gpgsm.home / "private-keys-v1.d"
    folder.mkdir(mode=0o700, exist_ok=True)
    raw = b"(%s(%s))" % (_atom(b"private-key"), fields)
    (folder / f"{grip.decode()}.key").write_bytes(raw)


def _rsa(key: rsa.RSAPrivateKey) -> bytes:
    numbers = key.private_numbers()
    # Libgcrypt wants the smaller prime first, and its inverse modulo the other.
    small, large = sorted((numbers.p, numbers.q))
    values = {
        b"n": numbers.public_numbers.n,
        b"e": numbers.public_numbers.e,
        b"d": numbers.d,
        b"p": small,
        b"q": large,
        b"u": pow(small, -1, large),
    }
    return _atom(b"rsa") + b"".join(_list(name, _integer(n)) for name, n in values.items())


def _curve(key: ec.EllipticCurvePrivateKey) -> bytes:
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    curve = _list(b"curve", CURVE_NAMES[key.curve.name].encode())
    value = _list(b"d", _integer(key.private_numbers().private_value))
    return _atom(b"ecc") + curve + _list(b"q", point) + value


def _edwards(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> bytes:
    name = b"Ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else b"Ed448"
    point = key.public_key().public_bytes_raw()
    prefix = b"\x40" if name == b"Ed25519" else b""
    words = (_list(b"curve", name), _list(b"flags", b"eddsa"), _list(b"q", prefix + point))
    return _atom(b"ecc") + b"".join(words) + _list(b"d", key.private_bytes_raw())


def _dsa(key: dsa.DSAPrivateKey) -> bytes:
    numbers = key.private_numbers()
    public = numbers.public_numbers
    group = public.parameter_numbers
    values = {b"p": group.p, b"q": group.q, b"g": group.g, b"y": public.y, b"x": numbers.x}
    return _atom(b"dsa") + b"".join(_list(name, _integer(n)) for name, n in values.items())


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _list(name: bytes, value: bytes) -> bytes:
    return b"(%s%s)" % (_atom(name), _atom(value))


def _atom(value: bytes) -> bytes:
    """Write an atom of a canonical S-expression."""
    return b"%d:%s" % (len(value), value)
