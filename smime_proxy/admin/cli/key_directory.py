"""A directory of key files, one or more an account: whose they are says the certificate.

RFC 7292 (PKCS #12), RFC 7468 (PEM), RFC 4180 (the list of passwords), RFC 8550 3 (addresses).
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli import files
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.cli.import_report import Line, Outcome
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts, holdings, keys
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError

_COLUMNS = 2  # file, password
_HEADING = "file"  # of the first column, if there are headings


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file that could be opened, or why it could not."""

    name: str
    bundle: KeyBundle | None
    reason: str = ""


def read_passwords(path: Path) -> dict[str, bytes]:
    """Read a CSV list of file names and passwords; raises `CommandError`, which quotes none."""
    try:
        rows = list(csv.reader(io.StringIO(files.read(path).decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise CommandError(f"{path}: not CSV in UTF-8") from None
    found = {}
    for number, row in enumerate(rows, 1):
        if not row or (number == 1 and row[0].strip().lower() == _HEADING):
            continue
        if len(row) != _COLUMNS:
            raise CommandError(f"{path}: line {number} is not a file name and a password")
        found[row[0].strip()] = row[1].encode()
    return found


def read_directory(
    directory: Path, passwords: Mapping[str, bytes], common: bytes = b""
) -> list[KeyFile]:
    """Open all key files of a directory; `common` is for those not in `passwords`."""
    if not directory.is_dir():
        raise CommandError(f"{directory}: not a directory")
    paths = files.named_files(directory, files.KEY_SUFFIXES)
    return [_open(path, passwords.get(path.name, common)) for path in files.tracked(paths)]


def import_directory(
    store: Store, act: Act, key_files: Iterable[KeyFile], *, create: bool
) -> list[Line]:
    """Give each key to the account whose address its certificate carries.

    With `create` an account is made where there is none, for the first address.
    """
    return [line for one in key_files for line in _import(store, act, one, create=create)]


def _open(path: Path, password: bytes) -> KeyFile:
    try:
        # A password, even an empty one, keeps the person from being asked for each file.
        return KeyFile(path.name, files.read_keys(path, [password]))
    except (CertificateError, CommandError) as error:
        return KeyFile(path.name, None, str(error).removeprefix(f"{path}: "))


def _import(store: Store, act: Act, key_file: KeyFile, *, create: bool) -> list[Line]:
    if key_file.bundle is None:
        return [Line(key_file.name, Outcome.REFUSED, key_file.reason)]
    carried = key_file.bundle.certificate.identities(dn_address=True)
    try:
        owner = _owner(store, act, carried, create=create)
        done = keys.import_key(store, act, owner, key_file.bundle)
    except StoreError as error:
        return [Line(key_file.name, Outcome.REFUSED, str(error))]
    return [
        Line(
            key_file.name,
            Outcome.IMPORTED if one.is_new else Outcome.KNOWN,
            "; ".join(one.warnings),
            one.key.certificate.fingerprint,
            (one.key.address.text,),
        )
        for one in done
    ]


def _owner(store: Store, act: Act, carried: tuple[Mailbox, ...], *, create: bool) -> Mailbox:
    for mailbox in carried:
        try:
            return holdings.find(store, mailbox).account.address
        except StoreError:
            continue
    if not carried:
        raise StoreError("the certificate carries no e-mail address")
    if not create:
        raise StoreError(f"there is no account {carried[0]}: --create makes it")
    accounts.add(store, act, Account(carried[0]))
    return carried[0]
