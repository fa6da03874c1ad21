"""Which mail was decrypted here, remembered for the answers to it; and the secret it is kept under.

RFC 5322 3.6.4 (Message-ID). The store holds keyed digests and days, so that it tells nobody who
has no master key which mail that was.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from smime_proxy.smime.decrypted_mark import SECRET_OCTETS, MarkKeys
from smime_proxy.stores import schema
from smime_proxy.stores.connection import Noticing, Store
from smime_proxy.stores.vault import KEY_VERSION, MARK_KEY

KEPT = timedelta(days=400)  # a year, and the month in which somebody answers last year's mail
MAX_KEPT = 1_000_000  # messages, some 60 MB on disk and nothing in memory; then the oldest go

_PURPOSE = "decrypted"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_keys(store: Store) -> MarkKeys | None:
    """Give the keys of marks and digests, None where none were made yet.

    Raises `StoreError` when the secret does not open.
    """
    with store.reading() as connection:
        return _read(store, connection)


def make_keys(store: Store) -> MarkKeys:
    """Give the keys, making their secret where there is none; of all processes one makes it.

    The secret is no derivative of the master key: it stays when that is replaced, or everything
    remembered would be forgotten on that day. Raises `StoreError`.
    """
    known = read_keys(store)
    if known is not None:
        return known
    with store.noticing() as noticing:
        known = _read(store, noticing.connection)  # again: another process may have been first
        if known is not None:
            return known
        secret = secrets.token_bytes(SECRET_OCTETS)
        wrapped = store.vault_now(noticing.connection).wrap(secret, MARK_KEY, _PURPOSE)
        row = {"id": _PURPOSE, "wrapped": wrapped, "key_version": KEY_VERSION}
        noticing.connection.execute(insert(schema.secret).values(row))
        noticing.written = True
    return MarkKeys.derive(secret)


def remember(store: Store, seen: Mapping[bytes, datetime]) -> int:
    """Write down digests and when each was seen; gives how many are new. Raises `StoreError`."""
    with store.noticing() as noticing:
        return sum(_write(noticing, digest, _day(at)) for digest, at in seen.items())


def tidy(store: Store, at: datetime, most: int = MAX_KEPT) -> int:
    """Forget what is older than `KEPT`, and the oldest of more than `most`; gives how many.

    Raises `StoreError`.
    """
    table = schema.decrypted
    with store.noticing() as noticing:
        connection = noticing.connection
        old = delete(table).where(table.c.day < _day(at - KEPT))
        number = connection.execute(old).rowcount
        left = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if left > most:
            oldest = select(table.c.digest).order_by(table.c.day).limit(left - most)
            gone = delete(table).where(table.c.digest.in_(oldest))
            number += connection.execute(gone).rowcount
        noticing.written = bool(number)
    return number


def knows(connection: Connection, digests: Sequence[bytes]) -> bool:
    """Tell whether one of the digests is remembered: one look into the index for each."""
    table = schema.decrypted
    asked = select(table.c.day).where(table.c.digest.in_(digests)).limit(1)
    return connection.execute(asked).first() is not None


def _read(store: Store, connection: Connection) -> MarkKeys | None:
    table = schema.secret
    row = connection.execute(select(table).where(table.c.id == _PURPOSE)).first()
    if row is None:
        return None
    vault = store.vault_now(connection)
    return MarkKeys.derive(vault.unwrap(row.wrapped, MARK_KEY, _PURPOSE, row.key_version))


def _write(noticing: Noticing, digest: bytes, day: int) -> bool:
    table = schema.decrypted
    found = noticing.connection.execute(select(table.c.day).where(table.c.digest == digest))
    known = found.scalar_one_or_none()
    if known is None:
        noticing.connection.execute(insert(table).values(digest=digest, day=day))
    elif day > known:
        later = update(table).where(table.c.digest == digest)
        noticing.connection.execute(later.values(day=day))
    else:
        return False
    noticing.written = True
    return known is None


def _day(at: datetime) -> int:
    return (at - _EPOCH).days
