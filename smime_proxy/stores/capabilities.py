"""What partners said in signed mail that they can read: the last word of each, and when it was.

RFC 8551 2.5.2. Learnt from mail and decided by nobody, so only forgetting it is in the audit.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from smime_proxy.address import Mailbox
from smime_proxy.cms.capabilities import encode_capabilities
from smime_proxy.gateway.ports import SeenCapabilities
from smime_proxy.stores import schema
from smime_proxy.stores.connection import Act, Noticing, Store

MAX_REMEMBERED = 50_000  # addresses, some 300 octets each in every process; then the oldest go
FRESHEN = timedelta(days=1)  # so often the time of what stays the same is written anew


def remember(store: Store, seen: Iterable[SeenCapabilities]) -> int:
    """Write down what is newer than what is known; gives how many of them say something new.

    What nobody says anew is not counted as a change, so that no process reads the store again.
    Raises `StoreError` when the store cannot be written.
    """
    with store.noticing() as noticing:
        changed = sum(_write(noticing, one) for one in seen)
        if changed:
            noticing.counted = True
            _forget(noticing.connection)
    return changed


def forget(store: Store, act: Act, mailbox: Mailbox) -> bool:
    """Forget what a partner said that he can read; False when nothing was remembered."""
    table = schema.capabilities
    with store.writing(act) as writing:
        gone = writing.connection.execute(delete(table).where(table.c.key == mailbox.key)).rowcount
        if gone:
            writing.record("cert forget", mailbox.text)
        return bool(gone)


def load(connection: Connection) -> dict[str, bytes]:
    """Give the encoded capabilities by the key of the mailbox."""
    table = schema.capabilities
    rows = connection.execute(select(table.c.key, table.c.der))
    return {row.key: row.der for row in rows}


def _write(noticing: Noticing, seen: SeenCapabilities) -> bool:
    table, key = schema.capabilities, seen.mailbox.key
    values = {"der": encode_capabilities(seen.capabilities), "seen_at": seen.at}
    row = noticing.connection.execute(select(table).where(table.c.key == key)).first()
    if row is None:
        noticing.connection.execute(insert(table).values(key=key, **values))
        return True
    is_new = bool(row.der != values["der"])
    if seen.at <= row.seen_at or not (is_new or seen.at - row.seen_at >= FRESHEN):
        return False  # mail is sent again by others too, and comes late
    noticing.connection.execute(update(table).where(table.c.key == key).values(**values))
    noticing.written = True
    return is_new


def _forget(connection: Connection) -> None:
    table = schema.capabilities
    number = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if number > MAX_REMEMBERED:
        oldest = select(table.c.key).order_by(table.c.seen_at).limit(number - MAX_REMEMBERED)
        connection.execute(delete(table).where(table.c.key.in_(oldest)))
