"""What directories outside said of certificates, kept as long as they say that it holds.

RFC 8550 2.3, RFC 6698 (records). A memory and no decision: not in the audit, and nobody reads the
store again for it.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row, delete, func, insert, select

from smime_proxy.address import Mailbox
from smime_proxy.certs.association import read_association
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.gateway.ports import Answer
from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError

MAX_KEPT = 50_000  # answers, some kB each; then those that end first go

_log = structlog.get_logger(__name__)


class KeptAnswers:
    """Implements `gateway.ports.Answers`; the loop never waits for the database."""

    def __init__(self, store: Store) -> None:
        """Read and write nothing yet."""
        self._store = store

    async def read(self, mailbox: Mailbox) -> Sequence[Answer]:
        """Give what sources said of a mailbox, outdated or not; nothing when it cannot be read."""
        try:
            return await asyncio.to_thread(read, self._store, mailbox)
        except StoreError as error:
            _log.error("answers not read", reason=str(error), consequence="asked again")
            return ()

    async def write(self, answers: Sequence[Answer]) -> None:
        """Keep answers, each in place of what its source said before; what fails is logged."""
        try:
            await asyncio.to_thread(write, self._store, answers, datetime.now(UTC))
        except StoreError as error:
            _log.error("answers not written", reason=str(error), consequence="asked again later")


def read(store: Store, mailbox: Mailbox) -> tuple[Answer, ...]:
    """Give the kept answers about a mailbox; raises `StoreError`.

    One that can no longer be read is left out, so that its source is asked again.
    """
    table = schema.finding
    with store.reading() as connection:
        rows = connection.execute(select(table).where(table.c.key == mailbox.exact)).all()
    found = (_answer(mailbox, row) for row in rows)
    return tuple(answer for answer in found if answer is not None)


def write(store: Store, answers: Iterable[Answer], at: datetime) -> None:
    """Keep answers and forget what has ended at `at`, aware UTC; raises `StoreError`."""
    table = schema.finding
    with store.noticing() as noticing:
        connection = noticing.connection
        for answer in answers:
            same = (table.c.key == answer.mailbox.exact) & (table.c.source == answer.source)
            connection.execute(delete(table).where(same))
            connection.execute(insert(table).values(_row(answer)))
        connection.execute(delete(table).where(table.c.expires_at <= at))
        _forget(connection)
        noticing.written = True


def _row(answer: Answer) -> dict[str, object]:
    said = {
        "certificates": [one.der.hex() for one in answer.certificates],
        "associations": [
            [one.usage, one.selector, one.matching, one.content.hex()]
            for one in answer.associations
        ],
        "reason": answer.reason,
    }
    return {
        "key": answer.mailbox.exact,
        "source": answer.source,
        "said": json.dumps(said),
        "fetched_at": answer.fetched_at,
        "expires_at": answer.expires_at,
    }


def _answer(mailbox: Mailbox, row: Row[Any]) -> Answer | None:
    try:
        said = json.loads(row.said)
        ders = [bytes.fromhex(text) for text in said["certificates"]]
        read = [(*kinds, bytes.fromhex(text)) for *kinds, text in said["associations"]]
        associations = [read_association(*one) for one in read]
        return Answer(
            mailbox,
            row.source,
            row.fetched_at,
            row.expires_at,
            tuple(Certificate.from_der(der) for der in ders),
            tuple(one for one in associations if one is not None),
            said["reason"],
        )
    except (ValueError, KeyError, TypeError, CertificateError):
        return None


def _forget(connection: Connection) -> None:
    table = schema.finding
    number = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if number > MAX_KEPT:
        first = select(table.c.key, table.c.source).order_by(table.c.expires_at)
        for key, source in connection.execute(first.limit(number - MAX_KEPT)).all():
            connection.execute(delete(table).where(table.c.key == key, table.c.source == source))
