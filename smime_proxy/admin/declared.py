"""Reads the files of declared accounts and anchors; one that cannot be used changes nothing.

RFC 7292 (PKCS #12), RFC 7468 (PEM).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from smime_proxy.certs.certificate import Certificate, read_certificates
from smime_proxy.certs.errors import CertificateError, KeyFileError
from smime_proxy.certs.pem import MAX_FILE_OCTETS
from smime_proxy.certs.pkcs12 import MAX_KEY_FILE_OCTETS, KeyBundle, read_key_file
from smime_proxy.policy.rules import Account
from smime_proxy.settings.accounts import TABLE, AccountTable, to_account
from smime_proxy.settings.errors import Fault, KeyPath
from smime_proxy.settings.model import Settings
from smime_proxy.settings.tables import TrustTable
from smime_proxy.stores.anchors import authorities_of
from smime_proxy.stores.declared import (
    NOTHING,
    Declared,
    DeclaredAccount,
    DeclaredAnchor,
    DeclaredAnchors,
    DeclaredKey,
)
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.keys import issuers_of, refusal, standing

TRUST = ("trust",)
MAX_OCTETS = max(MAX_KEY_FILE_OCTETS, MAX_FILE_OCTETS)  # who reads them refuses what is larger
ID_DIGITS = 16  # of a fingerprint; keys in the store have names of eight


@dataclass(frozen=True, slots=True)
class Contents:
    """What some files held at one time; `digest` is the same for the same octets.

    `fault` is that of a file that could not be read, "" when all could; `denied`: it may not be.
    """

    raw: Mapping[Path, bytes] = field(repr=False)
    digest: bytes = field(repr=False)
    fault: str = ""
    denied: bool = False


def read_declared(settings: Settings, at: datetime, before: Declared = NOTHING) -> Declared:
    """Read all declared accounts and anchors as their files are now; blocks.

    What cannot be used is said in a `fault`, and stays as it is in `before`.
    """
    return Declared(
        tuple(
            read_account(name, table, read_contents((TABLE, name), table.files), at, before)
            for name, table in settings.accounts.items()
        ),
        read_trust(read_contents(TRUST, settings.trust.files), settings.trust, before.trust),
    )


def read_contents(path: KeyPath, files: Sequence[tuple[str, Path]]) -> Contents:
    """Read files as they are now, each with the key that names it below a path; blocks."""
    raw: dict[Path, bytes] = {}
    digest = hashlib.sha256()
    for key, file in files:
        try:
            raw[file] = _octets(file)
        except OSError as error:
            fault = str(Fault((*path, key), f"{file}: {error.strerror}"))
            gone = hashlib.sha256(fault.encode()).digest()
            return Contents({}, gone, fault, isinstance(error, PermissionError))
        digest.update(f"{key} {file}\0".encode(errors="surrogateescape"))
        digest.update(hashlib.sha256(raw[file]).digest())
    return Contents(raw, digest.digest())


def read_account(
    name: str, table: AccountTable, contents: Contents, at: datetime, before: Declared
) -> DeclaredAccount:
    """Make a declared account of its table and what its files hold.

    Keys it has in `before` and not in its files go on decrypting; what is the same as there is not
    read again. `at` is now, aware UTC.
    """
    account = to_account(name, table)
    known = before.find(account.address)
    if known is None or known.account.address != account.address:
        known = DeclaredAccount(account)
    if contents.denied and known.keys:  # read as root once, and root was given up
        return replace(known, account=account)
    if (known.account, known.digest) == (account, contents.digest):
        return known
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


def read_trust(contents: Contents, table: TrustTable, before: DeclaredAnchors) -> DeclaredAnchors:
    """Make the declared anchors of what their files hold.

    An authority that is in files of both kinds vouches for our own domains too.
    """
    if contents.digest == before.digest or (contents.denied and before.anchors):
        return before
    kept = replace(before, digest=contents.digest)
    if contents.fault:
        return replace(kept, fault=contents.fault)
    found: dict[Certificate, DeclaredAnchor] = {}
    for key, file in reversed(table.files):
        try:
            for one in authorities_of(read_certificates(contents.raw[file])):
                found.setdefault(one, DeclaredAnchor(one, key == "own_anchor_files", file))
        except (CertificateError, StoreError) as error:
            return replace(kept, fault=str(Fault((*TRUST, key), f"{file}: {error}")))
    return DeclaredAnchors(tuple(found.values()), "", contents.digest)


class _Unusable(Exception):  # noqa: N818 - said in the account's fault, not an error of the program
    """A file cannot be used; the text is the line that says so."""


def _octets(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # a pipe would never end
        raise OSError(0, "not a file")
    with file.open("rb") as stream:
        return stream.read(MAX_OCTETS + 1)


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
