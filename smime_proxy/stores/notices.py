"""What people were told of things that end: one process tells, and after a restart none again.

No RFC. Nobody decides here, so it is not in the audit, and no process reads the store again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store

LEASE = timedelta(minutes=30)  # after it, who claimed something and has not told it is gone
FEW = 500  # subjects named in a query; SQLite takes some thousand parameters, else all are read
KEPT = timedelta(days=800)  # longer than notices are sent before an end and after it


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told; `again_from`: told before this time, it may be told again."""

    subject: str
    said: str
    again_from: datetime | None = None


def claim(store: Store, notices: Iterable[Notice], at: datetime) -> list[Notice]:
    """Give those that nobody has told, now the caller's to tell within `LEASE`.

    `told` or `released` must follow. Raises `StoreError` when the store cannot be written.
    """
    wanted = list(notices)
    if not wanted:
        return []
    with store.reading() as connection:  # most are told already, and reading locks nobody out
        if not _untold(connection, wanted, at):
            return []
    with store.noticing() as noticing:
        claimed = _untold(noticing.connection, wanted, at)
        for notice in claimed:
            _write(noticing.connection, notice, at)
        old = schema.notice.c.claimed_at < at - KEPT
        noticing.connection.execute(delete(schema.notice).where(old))
        noticing.written = bool(claimed)
        return claimed


def told(store: Store, notices: Sequence[Notice], at: datetime) -> None:
    """Note that they were told; raises `StoreError` when the store cannot be written."""
    with store.noticing() as noticing:
        for notice in notices:
            row = update(schema.notice).where(_row(notice))
            noticing.connection.execute(row.values(told_at=at))
        noticing.written = True


def released(store: Store, notices: Sequence[Notice]) -> None:
    """Let others tell them, or oneself later; raises `StoreError` as `told` does."""
    with store.noticing() as noticing:
        for notice in notices:
            noticing.connection.execute(delete(schema.notice).where(_row(notice)))
        noticing.written = True


def _row(notice: Notice) -> ColumnElement[bool]:
    table = schema.notice
    return and_(table.c.subject == notice.subject, table.c.said == notice.said)


def _untold(connection: Connection, wanted: Sequence[Notice], at: datetime) -> list[Notice]:
    table, subjects = schema.notice, {notice.subject for notice in wanted}
    rows = select(table)
    if len(subjects) <= FEW:
        rows = rows.where(table.c.subject.in_(subjects))
    found = {(row.subject, row.said): row for row in connection.execute(rows)}
    untold = []
    for notice in dict.fromkeys(wanted):
        row = found.get((notice.subject, notice.said))
        if row is None:
            untold.append(notice)
        elif row.told_at is None:
            if row.claimed_at < at - LEASE:
                untold.append(notice)
        elif notice.again_from is not None and row.told_at < notice.again_from:
            untold.append(notice)
    return untold


def _write(connection: Connection, notice: Notice, at: datetime) -> None:
    connection.execute(delete(schema.notice).where(_row(notice)))
    row = {"subject": notice.subject, "said": notice.said, "claimed_at": at}
    connection.execute(insert(schema.notice).values(row))
