"""A master key file and its successor: while one takes the other's place, either may be right.

No RFC. The successor lies beside it on disk before anything is wrapped with it, and takes its name
after: whenever the machine stops, one of the two files opens the store.
"""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import Vault, read_master_key, sync_directory, write_durably

_ATTEMPTS = 3  # a file may take the other's name between two looks


def find(path: Path, key_check: bytes) -> Vault:
    """Give the vault of the master key at `path` or of a successor, the one `key_check` opens with.

    Raises `StoreError` as `read_master_key`, and gives the key at `path` when none opens it.
    """
    for _ in range(_ATTEMPTS):
        vault = read_master_key(path)
        if vault.opens(key_check):
            return vault
        for successor in successors(path):
            with suppress(StoreError):  # half written, or gone: it is no successor then
                candidate = read_master_key(successor)
                if candidate.opens(key_check):
                    # A switch that was cut short is finished, if this process may.
                    with suppress(OSError):
                        take_place(successor, path)
                    return candidate
    return vault


def successors(path: Path) -> Iterator[Path]:
    """Give the files that were to take the place of a master key file."""
    yield from sorted(path.parent.glob(f"{path.name}.next-*"))


def prepare(path: Path, raw: bytes) -> Path:
    """Write a successor beside a master key file, on disk before this returns.

    Raises `StoreError` when it cannot be written.
    """
    successor = path.with_name(f"{path.name}.next-{secrets.token_hex(4)}")
    try:
        write_durably(successor, raw)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"{successor} cannot be written: {error.strerror}") from error
    return successor


def keep_old(path: Path, at: datetime) -> Path:
    """Give the old master key a second name, for copies of the store that need it."""
    kept = path.with_name(f"{path.name}.before-{at:%Y%m%dT%H%M%S}")
    kept.unlink(missing_ok=True)
    kept.hardlink_to(path)
    return kept


def take_place(successor: Path, path: Path) -> None:
    """Let the successor be the master key file from now on; raises OSError."""
    successor.replace(path)
    sync_directory(path.parent)


def discard(path: Path) -> None:
    """Remove successors that never came to it; the caller holds the store's write lock."""
    for successor in successors(path):
        with suppress(OSError):
            successor.unlink()
