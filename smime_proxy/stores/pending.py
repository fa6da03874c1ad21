"""Keys found in signed mail that wait for a decision, and those somebody decided against.

No RFC. Kept apart from all other certificates: nothing that looks for one to encrypt to, or to
complete a chain, ever sees them. Bounded, as strangers fill it: the untrusted go first, then the
oldest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.names import read_element
from smime_proxy.gateway.ports import FoundKey
from smime_proxy.policy.harvest import Caution
from smime_proxy.stores import schema
from smime_proxy.stores.certificates import digits_of, stored
from smime_proxy.stores.errors import StoreError

MAX_PENDING = 10_000  # certificates, some 4 kB each on disk; more than anybody decides about
MAX_A_DOMAIN = 50  # so that mail in one domain's name does not push out everybody else's
EXPIRY = timedelta(days=90)  # after it was last seen; whoever writes again is asked about again

_UNTRUSTED = [caution.value for caution in Caution if caution.is_untrusted]


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A certificate that waits, for one address, and the mail it was found in.

    `issuers` lie between it and the anchor whose fingerprint is `anchor` ("" for none). `count`
    messages brought it, the first of them was `message_id`.
    """

    mailbox: Mailbox
    certificate: Certificate
    issuers: tuple[Certificate, ...]
    anchor: str
    caution: Caution
    message_id: str
    first_seen: datetime
    last_seen: datetime
    count: int


def load(
    connection: Connection, wanted: ColumnElement[bool] | None = None
) -> tuple[PendingKey, ...]:
    """Give the waiting keys a condition on the table holds for, the latest first."""
    table = schema.pending
    statement = select(table).order_by(table.c.last_seen.desc(), table.c.key, table.c.fingerprint)
    rows = connection.execute(statement if wanted is None else statement.where(wanted))
    issuer = cache(stored)  # thousands of keys have the same few
    return tuple(
        PendingKey(
            mailbox=Mailbox(row.text, row.key),
            certificate=stored(row.der),
            issuers=tuple(issuer(der) for der in _parted(row.chain)),
            anchor=row.anchor,
            caution=Caution(row.warning),
            message_id=row.message_id,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            count=row.messages,
        )
        for row in rows
    )


def find(connection: Connection, fingerprint: str) -> tuple[PendingKey, ...]:
    """Give the one waiting certificate whose fingerprint starts so, for each of its addresses.

    Raises `StoreError` when there is none, or more than one.
    """
    digits = digits_of(fingerprint)
    found = load(connection, schema.pending.c.fingerprint.startswith(digits))
    number = len({one.certificate for one in found})
    if number != 1:
        many = f"{number} pending certificates have" if number else "no pending certificate has"
        raise StoreError(f"{many} a fingerprint that starts with {fingerprint!a}")
    return found


def put(connection: Connection, found: FoundKey, caution: Caution) -> bool:
    """Keep a found key until somebody decides; False when it waits already."""
    table = schema.pending
    values = {
        "chain": b"".join(issuer.der for issuer in found.issuers),
        "anchor": found.anchor,
        "warning": caution.value,
    }
    row = connection.execute(select(table).where(_is(found.mailbox, found.certificate))).first()
    if row is not None:
        values["last_seen"] = max(row.last_seen, found.at)
        change = update(table).where(_is(found.mailbox, found.certificate))
        connection.execute(change.values(messages=row.messages + found.count, **values))
        return False
    connection.execute(
        insert(table).values(
            key=found.mailbox.key,
            fingerprint=found.certificate.fingerprint,
            text=found.mailbox.text,
            domain=found.mailbox.domain,
            der=found.certificate.der,
            message_id=found.message_id,
            first_seen=found.at,
            last_seen=found.at,
            messages=found.count,
            **values,
        )
    )
    return True


def drop(connection: Connection, mailbox: Mailbox, certificate: Certificate) -> None:
    """Let a key wait no more, for one address."""
    connection.execute(delete(schema.pending).where(_is(mailbox, certificate)))


def trim(connection: Connection, domains: Sequence[str]) -> int:
    """Drop what is too much in these domains and in all; gives how many."""
    table = schema.pending
    in_domains = (
        _trim(connection, table.c.domain == domain, MAX_A_DOMAIN) for domain in set(domains)
    )
    return sum(in_domains) + _trim(connection, table.c.key == table.c.key, MAX_PENDING)


def expire(connection: Connection, at: datetime) -> int:
    """Drop what was last seen too long before a time, aware UTC; gives how many."""
    table = schema.pending
    return connection.execute(delete(table).where(table.c.last_seen < at - EXPIRY)).rowcount


def decline(
    connection: Connection, mailbox: Mailbox, certificate: Certificate, at: datetime
) -> None:
    """Remember that a certificate was refused for an address."""
    table = schema.declined
    row = {"key": mailbox.key, "fingerprint": certificate.fingerprint, "declined_at": at}
    connection.execute(insert(table).values(row))


def is_declined(connection: Connection, mailbox: Mailbox, certificate: Certificate) -> bool:
    """Tell whether a certificate was refused for an address."""
    table = schema.declined
    found = select(table.c.key).where(
        table.c.key == mailbox.key, table.c.fingerprint == certificate.fingerprint
    )
    return connection.execute(found).first() is not None


def count(connection: Connection) -> int:
    """Count what waits for a decision."""
    counted = select(func.count()).select_from(schema.pending)
    return int(connection.execute(counted).scalar_one())


def settle(connection: Connection, certificate: Certificate) -> None:
    """Forget all that was asked and refused of a certificate: an administrator has taken it in."""
    settle_all(connection, [certificate.fingerprint])


def settle_all(connection: Connection, fingerprints: Sequence[str]) -> None:
    """Do as `settle` with some hundred certificates at once."""
    for table in (schema.pending, schema.declined):
        connection.execute(delete(table).where(table.c.fingerprint.in_(fingerprints)))


def _is(mailbox: Mailbox, certificate: Certificate) -> ColumnElement[bool]:
    table = schema.pending
    return and_(table.c.key == mailbox.key, table.c.fingerprint == certificate.fingerprint)


def _trim(connection: Connection, where: ColumnElement[bool], most: int) -> int:
    table = schema.pending
    counted = select(func.count()).select_from(table).where(where)
    surplus = int(connection.execute(counted).scalar_one()) - most
    if surplus <= 0:
        return 0
    # Whoever forges a domain's name can make any number of untrusted ones, and of no others.
    first = case((table.c.warning.in_(_UNTRUSTED), 0), else_=1)
    oldest = select(table.c.key, table.c.fingerprint).where(where)
    rows = connection.execute(oldest.order_by(first, table.c.last_seen).limit(surplus)).all()
    for key, fingerprint in rows:
        one = delete(table).where(table.c.key == key, table.c.fingerprint == fingerprint)
        connection.execute(one)
    return len(rows)


def _parted(ders: bytes) -> list[bytes]:
    """Part certificates that lie one after another; what is damaged is no certificate."""
    found, at = [], 0
    while at < len(ders):
        try:
            end = read_element(ders, at)[2]
        except (ValueError, IndexError) as error:
            raise StoreError("a certificate in the store is damaged") from error
        found.append(ders[at:end])
        at = end
    return found
