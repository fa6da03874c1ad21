"""What the built-in authority issued, and what of it is revoked.

RFC 5280 5.3.1 (reasons). A key whose certificate is revoked signs no more and goes on decrypting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, insert, select, update

from smime_proxy.address import Mailbox
from smime_proxy.certs.authority import KeyUses
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.crl import Reason
from smime_proxy.stores import certificates, revocation_lists, schema
from smime_proxy.stores.authority import ISSUES, StoredAuthority, certificates_of
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate of the authority; an issuing authority has no address and no uses."""

    certificate: Certificate
    address: str
    uses: KeyUses | None
    issued_at: datetime
    revoked_at: datetime | None
    reason: Reason | None


def record(
    store: Store,
    act: Act,
    issuer: StoredAuthority,
    mailbox: Mailbox,
    uses: KeyUses,
    certificate: Certificate,
) -> None:
    """Remember a certificate that was issued, before anybody gets it."""
    with store.writing(act) as writing:
        number = certificates.keep(writing.connection, certificate)
        row = {
            "certificate_id": number,
            "authority_id": issuer.number,
            "key": mailbox.key,
            "address": mailbox.text,
            "uses": uses.value,
            "issued_at": act.at,
            "reason": "",
        }
        writing.connection.execute(insert(schema.issued).values(row))
        writing.record("ca issue", f"{mailbox} {certificate.fingerprint}")


def listing(store: Store, mailbox: Mailbox | None = None) -> tuple[Issued, ...]:
    """Give all that was issued, or what was issued to one mailbox, the newest first."""
    wanted = None if mailbox is None else schema.issued.c.key == mailbox.key
    with store.reading() as connection:
        return tuple(issued for _, issued in _load(connection, wanted))


def revoked(connection: Connection) -> frozenset[str]:
    """Give the fingerprints of all that is revoked."""
    table, known = schema.issued, schema.certificate
    joined = select(known.c.fingerprint).join(table, known.c.id == table.c.certificate_id)
    return frozenset(connection.execute(joined.where(table.c.revoked_at.is_not(None))).scalars())


def revoke(store: Store, act: Act, identifier: str, reason: Reason) -> tuple[Issued, bool]:
    """Revoke a certificate by serial number or fingerprint (or its start), and sign the list.

    The keys of accounts that have it become former ones. Gives the certificate, and whether it
    was not revoked already. Raises `StoreError` when none is found, or several, and when the
    authority's key does not open.
    """
    with store.writing(act) as writing:
        found = _named(writing.connection, identifier)
        if len(found) != 1:
            many = (
                f"{len(found)} certificates issued have" if found else "no certificate issued has"
            )
            raise StoreError(f"{many} the serial number or fingerprint {identifier!a}")
        number, issued = found[0]
        if issued.revoked_at is not None:
            return issued, False
        _revoke(writing, number, issued, reason)
        return _load(writing.connection, schema.issued.c.certificate_id == number)[0][1], True


def revoke_former(store: Store, act: Act, mailbox: Mailbox, kept: Sequence[Certificate]) -> int:
    """Revoke as superseded all that was issued to a mailbox but what is kept; gives how many."""
    with store.writing(act) as writing:
        found = [
            (number, issued)
            for number, issued in _load(writing.connection, schema.issued.c.key == mailbox.key)
            if issued.revoked_at is None and issued.certificate not in kept
        ]
        for number, issued in found:
            _revoke(writing, number, issued, Reason.SUPERSEDED)
        return len(found)


def _revoke(writing: Writing, number: int, issued: Issued, reason: Reason) -> None:
    connection, table, at = writing.connection, schema.issued, writing.act.at
    mine = table.c.certificate_id == number
    connection.execute(update(table).where(mine).values(revoked_at=at, reason=reason.value))
    key = schema.key
    current = (key.c.certificate_id == number) & ~key.c.former
    connection.execute(update(key).where(current).values(former=True, retired_at=at))
    issuer: int = connection.execute(select(table.c.authority_id).where(mine)).scalar_one()
    revocation_lists.sign(connection, writing.vault, issuer, at)
    what = f"{issued.address} {issued.certificate.fingerprint} {reason.value}"
    writing.record("ca revoke", what.lstrip())


def _named(connection: Connection, identifier: str) -> Sequence[tuple[int, Issued]]:
    """Find by serial number in hexadecimal, else by fingerprint or the start of it."""
    digits = identifier.replace(":", "").replace(" ", "").lower()
    if digits and set(digits) <= set("0123456789abcdef"):
        # Found by the database: reading every certificate to compare would take seconds.
        named = [
            certificates.locator(issuer.subject_key, int(digits, 16))
            for issuer in certificates_of(connection)
        ]
        found = _load(connection, schema.certificate.c.locator.in_(named))
        if found:
            return found
    return _load(connection, certificates.begins_with(identifier))


def _load(
    connection: Connection, wanted: ColumnElement[bool] | None = None
) -> list[tuple[int, Issued]]:
    table, known = schema.issued, schema.certificate
    statement = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    if wanted is not None:
        statement = statement.where(wanted)
    newest = statement.order_by(table.c.issued_at.desc(), table.c.certificate_id.desc())
    return [
        (
            row.certificate_id,
            Issued(
                certificate=certificates.stored(row.der),
                address=row.address,
                uses=None if row.uses == ISSUES else KeyUses(row.uses),
                issued_at=row.issued_at,
                revoked_at=row.revoked_at,
                reason=Reason(row.reason) if row.reason else None,
            ),
        )
        for row in connection.execute(newest)
    ]
