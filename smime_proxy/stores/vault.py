"""The master key, and private keys wrapped with it so that a stolen store opens nothing.

NIST SP 800-38D (AES-256-GCM, 96-bit random nonces); RFC 5116 5.2 for the same as an interface.
"""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smime_proxy.certs.keys import PrivateKey
from smime_proxy.stores.errors import StoreError

MASTER_KEY_OCTETS = 32  # AES-256
NONCE_OCTETS = 12  # RFC 5116 5.2; random, safe for 2**32 wrappings under one key
MAX_MASTER_KEY_FILE = 4096  # octets; ours has about 120
KEY_VERSION = 1  # of this way of wrapping; part of what is authenticated
PRIVATE_KEY = "private-key"
AUTHORITY_KEY = "authority-key"
MARK_KEY = "mark-key"

_HEADER = "# smime-proxy master key: opens the private keys of the store; keep a copy elsewhere"
_CHECK_PURPOSE = "key-check"
_CHECK = b"smime-proxy"


class Cipher(Protocol):
    """AES-256-GCM with a master key, here or on a token (RFC 5116 2)."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Encrypt, with the tag behind the ciphertext."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Decrypt; raises InvalidTag for what was altered."""
        ...


class TokenKeys(Protocol):
    """Private keys that lie on a token and are used there."""

    def key(self, reference: str, public_key: object) -> PrivateKey:
        """Give the key at a URI; raises `gateway.ports.KeyUnavailable`."""
        ...

    def proven_key(self, reference: str, public_key: object) -> PrivateKey:
        """Give the key at a URI after it was used once; raises `KeyUnavailable` likewise.

        So too when it is there and does not belong to the public key.
        """
        ...

    def close(self) -> None:
        """Log out."""
        ...


@dataclass(frozen=True, slots=True)
class Vault:
    """A master key ready for use, and the token on which other private keys lie, if any."""

    cipher: Cipher = field(repr=False)
    tokens: TokenKeys | None = field(repr=False, default=None)

    @classmethod
    def from_key(cls, key: bytes) -> "Vault":
        """Take the 32 octets of a master key."""
        return cls(AESGCM(key))

    def with_key(self, key: bytes) -> "Vault":
        """Give the vault of another master key, with the same token."""
        return replace(self, cipher=AESGCM(key))

    def is_same(self, key: bytes) -> bool:
        """Tell whether these 32 octets are the master key."""
        return self.with_key(key).opens(self.key_check())

    def wrap(self, plain: bytes, purpose: str, identifier: str) -> bytes:
        """Encrypt octets so that they open only as what they are, under their own name."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        bound_to = _authenticated(purpose, identifier, KEY_VERSION)
        return nonce + self.cipher.encrypt(nonce, plain, bound_to)

    def unwrap(
        self, wrapped: bytes, purpose: str, identifier: str, version: int = KEY_VERSION
    ) -> bytes:
        """Decrypt what `wrap` made; raises `StoreError` when it does not open."""
        nonce, sealed = wrapped[:NONCE_OCTETS], wrapped[NONCE_OCTETS:]
        try:
            return self.cipher.decrypt(nonce, sealed, _authenticated(purpose, identifier, version))
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                f"the {purpose.replace('-', ' ')} {identifier} does not open with the master key"
            ) from error

    def derive(self, purpose: str) -> bytes:
        """Give 32 secret octets that the same master key always gives for a purpose.

        The master key may lie on a token that only encrypts; so this is what it makes of nothing
        but the purpose, hashed. What is encrypted leaves no trace, so the fixed nonce does no harm.
        """
        bound_to = _authenticated("derive", purpose, KEY_VERSION)
        sealed = self.cipher.encrypt(bytes(NONCE_OCTETS), bytes(MASTER_KEY_OCTETS), bound_to)
        return hashlib.sha256(sealed).digest()

    def key_check(self) -> bytes:
        """Give octets that `opens` knows again with the same master key only."""
        return self.wrap(_CHECK, _CHECK_PURPOSE, "")

    def close(self) -> None:
        """Let go of the token."""
        if self.tokens is not None:
            self.tokens.close()

    def opens(self, key_check: bytes) -> bool:
        """Tell whether a `key_check` was made with this master key."""
        try:
            return self.unwrap(key_check, _CHECK_PURPOSE, "") == _CHECK
        except StoreError:
            return False


def _authenticated(purpose: str, identifier: str, version: int) -> bytes:
    return f"smime-proxy\0{purpose}\0{identifier}\0{version}".encode()


def read_master_key(path: Path) -> Vault:
    """Read a master key file: comment lines, and one line with 32 octets in base64.

    Raises `StoreError` when it is missing, unreadable or something else.
    """
    return Vault.from_key(read_key(path))


def read_key(path: Path) -> bytes:
    """Read the 32 octets of a master key file; raises `StoreError` as `read_master_key`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MASTER_KEY_FILE)
    except FileNotFoundError:
        raise StoreError(
            f"the master key {path} is missing: without it the keys in the store cannot be opened;"
            " put it back from its backup"
        ) from None
    except OSError as error:
        raise StoreError(f"the master key {path} cannot be read: {error.strerror}") from error
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> bytes:
    lines = [line for line in raw.split(b"\n") if line.strip() and not line.startswith(b"#")]
    try:
        key = base64.b64decode(b"".join(lines).strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(lines) != 1 or len(key) != MASTER_KEY_OCTETS:
        raise StoreError(f"{path} is not a master key: one line of 32 octets in base64 is expected")
    return key


def new_master_key() -> bytes:
    """Make the 32 octets of a new master key."""
    return secrets.token_bytes(MASTER_KEY_OCTETS)


def master_key_file(key: bytes) -> bytes:
    """Give what stands in the file of a master key."""
    return f"{_HEADER}\n{base64.b64encode(key).decode()}\n".encode()


def make_master_key(path: Path) -> Vault:
    """Make a new master key file, readable by its owner only, on disk before this returns.

    Never replaces a file. Raises `StoreError` when it cannot be written.
    """
    key = new_master_key()
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(unfinished, master_key_file(key))
        try:
            path.hardlink_to(unfinished)  # unlike a rename it never replaces a file
        finally:
            unfinished.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"the master key {path} cannot be written: {error.strerror}") from error
    return Vault.from_key(key)


def write_durably(path: Path, raw: bytes) -> None:
    """Make a file only its owner may read, on disk before this returns; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Bring names in a directory to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
