"""Reads the key files of declared accounts; a file that cannot be used leaves the keys of before.

RFC 7292 (PKCS #12), RFC 7468 (PEM).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.pkcs12 import MAX_KEY_FILE_OCTETS, KeyBundle, read_key_file
from smime_proxy.policy.rules import Account
from smime_proxy.settings.accounts import TABLE, AccountTable, to_account
from smime_proxy.settings.errors import Fault
from smime_proxy.settings.model import Settings
from smime_proxy.stores.declared import NOTHING, Declared, DeclaredAccount, DeclaredKey
from smime_proxy.stores.keys import issuers_of, refusal, standing

ID_DIGITS = 16  # of a fingerprint; keys in the store have names of eight


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files of one account held at one time; `digest` is the same for the same octets.

    `fault` is that of a file that could not be read, "" when all could; `denied`: it may not be.
    """

    raw: Mapping[Path, bytes] = field(repr=False)
    digest: bytes = field(repr=False)
    fault: str = ""
    denied: bool = False


def read_declared(settings: Settings, at: datetime, before: Declared = NOTHING) -> Declared:
    """Read all declared accounts as their files are now; blocks.

    What cannot be used is said in the account's `fault`, which keeps the keys it has in `before`.
    """
    return Declared(
        tuple(
            read_account(name, table, read_contents(name, table), at, before)
            for name, table in settings.accounts.items()
        )
    )


def read_contents(name: str, table: AccountTable) -> Contents:
    """Read the files of one account as they are now; blocks."""
    raw: dict[Path, bytes] = {}
    digest = hashlib.sha256()
    for key, file in table.files:
        try:
            raw[file] = _octets(file)
        except OSError as error:
            fault = str(Fault((TABLE, name, key), f"{file}: {error.strerror}"))
            gone = hashlib.sha256(fault.encode()).digest()
            return Contents({}, gone, fault, isinstance(error, PermissionError))
        digest.update(hashlib.sha256(raw[file]).digest())
    return Contents(raw, digest.digest())


def read_account(
    name: str, table: AccountTable, contents: Contents, at: datetime, before: Declared
) -> DeclaredAccount:
    """Make a declared account of its table and what its files hold.

    Keys it has in `before` and not in its files go on decrypting. `at` is now, aware UTC.
    """
    account = to_account(name, table)
    known = before.find(account.address) or DeclaredAccount(account)
    if contents.denied and known.keys:  # read as root once, and root was given up
        return replace(known, account=account)
    kept = replace(known, account=account, digest=contents.digest)
    if contents.fault:
        return replace(kept, fault=contents.fault)
    try:
        keys, remarks = _keys(name, table, account, contents, at)
    except _Unusable as error:
        return replace(kept, fault=str(error))
    held = {key.certificate for key in keys}
    left = (replace(key, former=True) for key in kept.keys if key.certificate not in held)
    return DeclaredAccount(account, (*keys, *left), "", remarks, contents.digest)


class _Unusable(Exception):  # noqa: N818 - said in the account's fault, not an error of the program
    """A file cannot be used; the text is the line that says so."""


def _octets(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # a pipe would never end
        raise OSError(0, "not a file")
    with file.open("rb") as stream:
        return stream.read(MAX_KEY_FILE_OCTETS + 1)


def _keys(
    name: str, table: AccountTable, account: Account, contents: Contents, at: datetime
) -> tuple[tuple[DeclaredKey, ...], tuple[str, ...]]:
    password = None
    if table.password_file is not None:
        password = contents.raw[table.password_file].partition(b"\n")[0].rstrip(b"\r")
    found: dict[str, DeclaredKey] = {}
    remarks: list[str] = []
    for key, file in table.files:
        if key == "password_file":
            continue
        path = (TABLE, name, key)
        try:
            bundle = _opened(contents.raw[file], password)
        except KeyFileError as error:
            raise _Unusable(str(Fault(path, f"{file}: {error}"))) from None
        former = key == "former_key_files"
        made = list(_of_bundle(bundle, account, file, at, former=former))
        if not any(isinstance(one, DeclaredKey) for one, _ in made):
            raise _Unusable(str(Fault(path, f"{file}: {made[0][1]}")))
        for one, remark in made:
            if one is not None:
                found.setdefault(one.key_id, one)
            if remark and not former:
                remarks.append(str(Fault(path, f"{file}: {remark}")))
    return tuple(sorted(found.values(), key=lambda one: one.former)), tuple(remarks)


def _opened(raw: bytes, password: bytes | None) -> KeyBundle:
    """Open a key file with the password, or without: a former one may have none."""
    try:
        return read_key_file(raw, password)
    except KeyFileError:
        if password is None:
            raise
        try:
            return read_key_file(raw, None)
        except KeyFileError:
            pass
        raise


def _of_bundle(
    bundle: KeyBundle, account: Account, file: Path, at: datetime, *, former: bool
) -> Iterator[tuple[DeclaredKey | None, str]]:
    for pair in bundle.pairs:
        if reason := refusal(pair, account):
            yield None, reason
            continue
        unfit, limits = standing(pair.certificate, account, at)
        yield (
            DeclaredKey(
                key_id=pair.certificate.fingerprint[:ID_DIGITS],
                certificate=pair.certificate,
                chain=issuers_of(pair.certificate, bundle.chain),
                former=former or unfit,
                private_key=pair.private_key,
                origin=file,
            ),
            "; ".join(limits),
        )
