"""Key files of `account import-key`: read before root is given up, then stored one by one.

RFC 7292 (PKCS #12), RFC 7468 (PEM).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.output import say, tell
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.stores import keys
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file that could be opened, or why it could not."""

    path: Path
    bundle: KeyBundle | None
    reason: str = ""


def read_all(path: Path, password_file: Path | None) -> list[KeyFile]:
    """Open a key file, or all key files of a directory.

    Raises `CertificateError` for a single file; in a directory the others are read on.
    """
    passwords = [files.read_password(password_file)] if password_file else []
    paths = files.named_files(path, files.KEY_SUFFIXES)
    return [_read(one, passwords, alone=not path.is_dir()) for one in files.tracked(paths)]


def import_all(store: Store, act: Act, mailbox: Mailbox, key_files: Iterable[KeyFile]) -> None:
    """Give an account the keys of all files and say of each what became of it.

    Raises `CommandError` when none could be imported, or `StoreError` when there was one file.
    """
    listed = list(key_files)
    failed = 0
    for key_file in listed:
        try:
            _import(store, act, mailbox, key_file)
        except StoreError as error:
            if len(listed) == 1:
                raise
            say(f"{key_file.path}: {error}")
            failed += 1
    if failed:
        raise CommandError(f"{failed} of {len(listed)} files were not imported")


def import_token_key(
    store: Store, act: Act, mailbox: Mailbox, file: Sequence[Certificate], reference: str
) -> None:
    """Give an account a key that lies on the token; `file` has its certificate and the chain.

    Raises `CommandError` for a file with none or several, `gateway.ports.KeyUnavailable` when the
    key cannot be used, or is not that of the certificate.
    """
    people = [one for one in file if not one.is_ca]
    if len(people) != 1:
        raise CommandError("the file must hold one certificate that is no authority's")
    if store.vault.tokens is None:
        raise CommandError("there is no token: set [pkcs11] module, token and pin_file")
    key = store.vault.tokens.proven_key(reference, people[0].public_key())
    chain = tuple(one for one in file if one.is_ca)
    bundle = KeyBundle(key, people[0], chain, (), ())
    _import(store, act, mailbox, KeyFile(Path(reference), bundle))


def _read(path: Path, passwords: Sequence[bytes], *, alone: bool) -> KeyFile:
    try:
        return KeyFile(path, files.read_keys(path, passwords))
    except (CertificateError, CommandError) as error:
        if alone:
            raise
        return KeyFile(path, None, str(error).removeprefix(f"{path}: "))


def _import(store: Store, act: Act, mailbox: Mailbox, key_file: KeyFile) -> None:
    if key_file.bundle is None:
        raise StoreError(key_file.reason)
    done = keys.import_key(store, act, mailbox, key_file.bundle)
    for line in key_file.bundle.report:
        say(f"{key_file.path}: {line}")
    for imported in done:
        what = f"{'former key' if imported.key.former else 'key'} {imported.key.key_id}"
        state = "imported" if imported.is_new else "is there already"
        tell(f"{imported.key.address}: {what} {state}")
        for warning in imported.warnings:
            say(f"warning: {warning}")
