"""The state directory and the master key: who may read them, and whether there is room.

No RFC; modes are those of chmod(2).
"""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.admin.doctor.finding import Finding, Severity

_MIB = 1024**2
SCARCE = 500 * _MIB  # octets; a migration copies the store, mail in hand takes some more
FULL = 50 * _MIB  # octets; the next change of the store may fail
SCARCE_IN_MEMORY = 16 * _MIB  # octets; nothing is migrated there, and a new store takes one
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is; `key_file` None where the master key is on a token.

    `in_memory`: it ends with the container, whose own it is.
    """

    state_dir: Path
    store: Path
    key_file: Path | None
    in_memory: bool = False


def state_findings(place: Place) -> Iterator[Finding]:
    """Look at owners, modes and free space; what cannot be looked at is a finding too."""
    if place.in_memory:
        yield from _memory(place)
    else:
        yield from _directory(place)
        yield from _room(place, shutil.disk_usage(place.state_dir).free)
    yield from _private(place.store, "the store")
    if place.key_file is not None and not place.in_memory:
        yield from _private(place.key_file, "the master key")
        if place.key_file.parent.resolve() == place.state_dir.resolve():
            yield Finding(
                Severity.NOTE,
                str(place.key_file),
                "the master key lies beside the store: who copies the directory has both, and who"
                " loses it has neither",
                "keep a copy in another backup, or set keys.master_key_file to another place",
            )


def _directory(place: Place) -> Iterator[Finding]:
    where, status = str(place.state_dir), place.state_dir.stat()
    if status.st_mode & _OTHERS_WRITE:
        what = f"others than its owner may write there (mode {stat.S_IMODE(status.st_mode):04o})"
        yield Finding(Severity.ERROR, where, what, f"chmod go-w {where}")
    for path in (place.store, place.key_file):
        if path is not None and path.exists() and path.stat().st_uid != status.st_uid:
            what = f"{path.name} belongs to uid {path.stat().st_uid}, not to the directory's owner"
            yield Finding(
                Severity.ERROR, where, what, f"chown {status.st_uid}:{status.st_gid} {path}"
            )


def _memory(place: Place) -> Iterator[Finding]:
    """Look at the volume of a container: Kubernetes makes it for everybody, root's and 0777."""
    where = str(place.state_dir)
    yield Finding(
        Severity.NOTE,
        where,
        "it lies in memory: what commands put into the store, and what mail taught, is gone with a"
        " restart",
        "declare what must stay in the settings, or mount a disk",
    )
    mode = place.state_dir.stat().st_mode
    if mode & _OTHERS_WRITE:
        what = f"others may write there (mode {stat.S_IMODE(mode):04o}): only where nobody else is"
        yield Finding(Severity.NOTE, where, what, f"on a machine for several: chmod go-w {where}")
    free = shutil.disk_usage(place.state_dir).free
    if free < SCARCE_IN_MEMORY:
        what = f"{free // _MIB} MiB are free there, {SCARCE_IN_MEMORY // _MIB} MiB should be"
        yield Finding(Severity.WARNING, where, what, "give it more memory: what is full stops mail")


def _room(place: Place, free: int) -> Iterator[Finding]:
    needed = SCARCE + place.store.stat().st_size
    if free < needed:
        severity = Severity.ERROR if free < FULL else Severity.WARNING
        what = f"{free // _MIB} MiB are free there, {needed // _MIB} MiB should be"
        yield Finding(severity, str(place.state_dir), what, "make room: a full disk stops mail")


def _private(path: Path, name: str) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        yield Finding(
            Severity.ERROR, str(path), f"{name} cannot be looked at: {error.strerror}", "see it"
        )
        return
    if mode & _OTHERS:
        what = f"{name} may be read by others than its owner (mode {mode:04o})"
        yield Finding(Severity.WARNING, str(path), what, f"chmod 600 {path}")
    if not os.access(path, os.R_OK):
        what = f"{name} may not be read by the service's user"
        yield Finding(Severity.ERROR, str(path), what, f"chown it to the owner of {path.parent}")
