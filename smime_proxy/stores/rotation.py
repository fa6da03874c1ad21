"""A new master key for the store: every private key is wrapped anew, at once or not at all.

NIST SP 800-57 part 1, 5.3.4 (cryptoperiods of key-wrapping keys).
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update

from smime_proxy.stores import master_key, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import master_key_file, new_master_key
from smime_proxy.stores.wrapped import rewrap


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many keys were wrapped anew, and where the old master key lies now."""

    number: int
    kept: Path


def rotate(store: Store, act: Act, path: Path, key: bytes | None = None) -> Rotated:
    """Give the store a new master key in the file at `path`; the old one gets another name.

    The new one is made, or is `key`, 32 octets. Stopped at any moment, the store opens: until
    the transaction ends with the old key, then with the new one, which lies beside it until it has
    its name. Raises `StoreError` when a file cannot be written, and then nothing has changed.
    """
    key = key or new_master_key()
    with store.writing(act) as writing:
        connection = writing.connection
        check = connection.execute(select(schema.state.c.key_check)).scalar_one()
        old = master_key.find(path, check)  # finishes a switch that was cut short
        if not old.opens(check):
            raise StoreError(f"the keys in the store do not open with the master key {path}")
        if old.is_same(key):
            raise StoreError("that is the master key the store has already")
        master_key.discard(path)
        successor = master_key.prepare(path, master_key_file(key))
        new = old.with_key(key)
        number = rewrap(connection, old, new)
        connection.execute(update(schema.state).values(key_check=new.key_check()))
        writing.record("store rotate-master-key", "")
        kept = master_key.keep_old(path, act.at)
    try:
        master_key.take_place(successor, path)
    except FileNotFoundError:  # a process that opened the store in between was quicker
        pass
    except OSError as error:
        raise StoreError(
            f"the new master key could not take its place: {error.strerror}; it is {successor}, and"
            f" the store opens with it as long as it lies there: move it to {path}"
        ) from error
    return Rotated(number, kept)
