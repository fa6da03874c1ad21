"""A file encrypted under a password in pieces, so that neither size nor trust needs all at once.

RFC 7914 (scrypt), NIST SP 800-38D (AES-256-GCM); pieces are numbered and the last is marked, as in
Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated Encryption (STREAM). docs/backup.md.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from smime_proxy.stores.errors import StoreError

MAGIC = b"smime-proxy backup 1\n"
PIECE = 64 * 1024  # octets of text in each piece but the last; memory for one is nothing
TAG_OCTETS = 16
MAX_HEADER = 4096  # octets; ours has about 150
SCRYPT_N = 2**17  # with r = 8 costs 128 MiB and about 0.3 s; OWASP's recommendation
SCRYPT_R = 8
MAX_SCRYPT_N = 2**20  # a file could ask for all memory there is
MAX_SCRYPT_RP = 64
_PREFIX_OCTETS = 7  # of the nonce; four count the pieces, one marks the last
_SALT_OCTETS = 16
_LENGTH_OCTETS = 4

_CUT = "the backup is cut off"
_ALTERED = "the backup was altered or is damaged"
_WRONG = "the password is wrong, or the backup was altered"
_NONE = "it is no backup of smime-proxy"


@dataclass(frozen=True, slots=True)
class _Header:
    salt: bytes
    prefix: bytes
    n: int
    r: int
    p: int

    def line(self) -> bytes:
        values = {
            "kdf": "scrypt",
            "n": self.n,
            "r": self.r,
            "p": self.p,
            "salt": base64.b64encode(self.salt).decode(),
            "cipher": "aes256-gcm",
            "nonce": base64.b64encode(self.prefix).decode(),
        }
        return json.dumps(values).encode() + b"\n"

    def key(self, password: bytes) -> bytes:
        return Scrypt(self.salt, 32, self.n, self.r, self.p).derive(password)


def seal(text: Iterable[bytes], out: BinaryIO, password: bytes, *, n: int = SCRYPT_N) -> None:
    """Write the octets of `text`, encrypted; `n` is the cost of guessing the password."""
    salt, prefix = secrets.token_bytes(_SALT_OCTETS), secrets.token_bytes(_PREFIX_OCTETS)
    header = _Header(salt, prefix, n, SCRYPT_R, 1)
    start = MAGIC + header.line()
    out.write(start)
    cipher = AESGCM(header.key(password))
    number, held = 0, bytearray()
    for octets in text:
        held += octets
        while len(held) > PIECE:  # one octet more, so that the last piece is never empty
            _write(out, cipher.encrypt(_nonce(prefix, number), bytes(held[:PIECE]), start))
            del held[:PIECE]
            number += 1
    _write(out, cipher.encrypt(_nonce(prefix, number, last=True), bytes(held), start))


def unseal(source: BinaryIO, password: bytes) -> Iterator[bytes]:
    """Give the octets again, in pieces; each is authentic, and all only when the end is reached.

    Raises `StoreError` in one line for a wrong password and for a file that is cut off, altered or
    something else.
    """
    header, start = _read_header(source)
    cipher, number = AESGCM(header.key(password)), 0
    sealed = _read_piece(source)
    while True:
        following = _read_piece(source)
        last = following is None
        if sealed is None:
            raise StoreError(_CUT)
        try:
            yield cipher.decrypt(_nonce(header.prefix, number, last=last), sealed, start)
        except InvalidTag:
            raise StoreError(_why(cipher, header.prefix, number, sealed, start)) from None
        if following is None:
            return
        sealed, number = following, number + 1


def _why(cipher: AESGCM, prefix: bytes, number: int, sealed: bytes, start: bytes) -> str:
    """Tell a file that ends too early, or goes on behind its end, from one that was altered."""
    for last in (False, True):
        try:
            cipher.decrypt(_nonce(prefix, number, last=last), sealed, start)
        except InvalidTag:
            continue
        return _ALTERED if last else _CUT
    return _ALTERED if number else _WRONG


def _nonce(prefix: bytes, number: int, *, last: bool = False) -> bytes:
    return prefix + number.to_bytes(4) + (b"\x01" if last else b"\x00")


def _write(out: BinaryIO, sealed: bytes) -> None:
    out.write(len(sealed).to_bytes(_LENGTH_OCTETS))
    out.write(sealed)


def _read_piece(source: BinaryIO) -> bytes | None:
    """Read one piece, None at the end of the file."""
    length = source.read(_LENGTH_OCTETS)
    if not length:
        return None
    size = int.from_bytes(length)
    if len(length) < _LENGTH_OCTETS:
        raise StoreError(_CUT)
    if not TAG_OCTETS <= size <= PIECE + TAG_OCTETS:
        raise StoreError(_ALTERED)
    sealed = source.read(size)
    if len(sealed) < size:
        raise StoreError(_CUT)
    return sealed


def _read_header(source: BinaryIO) -> tuple[_Header, bytes]:
    if source.read(len(MAGIC)) != MAGIC:
        raise StoreError(_NONE)
    line = source.readline(MAX_HEADER)
    if not line.endswith(b"\n"):
        raise StoreError(_CUT if len(line) < MAX_HEADER else _ALTERED)
    try:
        said = json.loads(line)
        header = _Header(
            base64.b64decode(said["salt"], validate=True),
            base64.b64decode(said["nonce"], validate=True),
            *(int(said[name]) for name in ("n", "r", "p")),
        )
        known = (said["kdf"], said["cipher"]) == ("scrypt", "aes256-gcm")
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise StoreError(_ALTERED) from None
    power_of_two = header.n > 1 and header.n & (header.n - 1) == 0
    bounded = header.n <= MAX_SCRYPT_N and 0 < header.r * header.p <= MAX_SCRYPT_RP
    if not (known and power_of_two and bounded and header.r > 0):
        raise StoreError("the backup is encrypted in a way this version does not know")
    if len(header.prefix) != _PREFIX_OCTETS:
        raise StoreError(_ALTERED)
    return header, MAGIC + line
