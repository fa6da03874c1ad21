"""The authority's revocation lists: signed again before they end, kept ready to be published.

RFC 5280 5.1.2.5 (nextUpdate: a reader without a newer list believes nothing), 5.2.3 (numbers).
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, or_, select, update

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.crl import CRL_LIFETIME, Reason, Revoked, sign_crl
from smime_proxy.certs.errors import CertificateError
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.stores import authority, certificates, schema
from smime_proxy.stores.connection import Store, make_engine, one_line
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import Vault

RENEW_BEFORE = CRL_LIFETIME / 2  # a service that stands still for three days loses nothing
LOOK_SECONDS = 3600.0  # between looks whether a list ends
ID_DIGITS = 16  # of the fingerprint that names an authority in a URL

_log = structlog.get_logger(__name__)


def list_id(certificate: Certificate) -> str:
    """Give what an authority's list and certificate are published under."""
    return certificate.fingerprint[:ID_DIGITS]


def sign_due(store: Store, at: datetime) -> int:
    """Sign again the lists that end soon and those that never were; gives how many.

    Raises `StoreError` when a key does not open or the store cannot be written.
    """
    with store.reading() as connection:
        if not _due(connection, at):
            return 0
    with store.noticing() as noticing:
        numbers = _due(noticing.connection, at)  # again: another process may have been first
        for number in numbers:
            sign(noticing.connection, store.vault_now(noticing.connection), number, at)
        noticing.written = bool(numbers)
    return len(numbers)


def sign(connection: Connection, vault: Vault, number: int, at: datetime) -> None:
    """Sign the list of one certificate of the authority, under the next number."""
    table, known, given = schema.authority, schema.certificate, schema.issued
    joined = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    row = connection.execute(joined.where(table.c.id == number)).one()
    issuer = authority.opened(vault, row)
    entries = connection.execute(
        select(known.c.der, given.c.revoked_at, given.c.reason)
        .join(known, known.c.id == given.c.certificate_id)
        .where(given.c.authority_id == number, given.c.revoked_at.is_not(None))
        .order_by(given.c.revoked_at, given.c.certificate_id)
    )
    revoked = [
        Revoked(certificates.stored(one.der).serial, one.revoked_at, Reason(one.reason))
        for one in entries
    ]
    crl = sign_crl(issuer.certificate, issuer.private_key, row.crl_number + 1, revoked, at)
    said = {"crl_number": row.crl_number + 1, "crl": crl, "crl_until": at + CRL_LIFETIME}
    connection.execute(update(table).where(table.c.id == number).values(said))


def current(store: Store) -> tuple[bytes, ...]:
    """Give all lists in DER, that of the newest certificate first."""
    table = schema.authority
    wanted = select(table.c.crl).where(table.c.crl.is_not(None)).order_by(table.c.id.desc())
    with store.reading() as connection:
        return tuple(connection.execute(wanted).scalars())


def published(path: Path) -> Mapping[str, bytes]:
    """Give what a store publishes, by file name: lists (.crl) and certificates (.cer) in DER.

    Needs no master key. Raises `StoreError` when the store cannot be read.
    """
    table, known = schema.authority, schema.certificate
    joined = select(table.c.crl, known.c.der).join(known, known.c.id == table.c.certificate_id)
    engine = make_engine(path)
    with one_line(path), engine.begin() as connection:
        rows = connection.execute(joined).all()
    shown = {}
    for crl, der in rows:
        name = list_id(certificates.stored(der))
        shown[f"{name}.cer"] = der
        if crl is not None:
            shown[f"{name}.crl"] = crl
    return shown


async def keep_signed(store: Store, seconds: float = LOOK_SECONDS) -> None:
    """Sign the lists again in time, until cancelled; the loop never waits for the database."""
    failing = False
    while True:
        try:
            number = await asyncio.to_thread(sign_due, store, datetime.now(UTC))
        except (StoreError, CertificateError, KeyUnavailable) as error:
            if not failing:
                _log.error("revocation lists not signed", reason=str(error), consequence="they end")
            failing = True
        else:
            failing = False
            if number:
                _log.info("revocation_lists_signed", number=number)
        await asyncio.sleep(seconds)


def _due(connection: Connection, at: datetime) -> Sequence[int]:
    table = schema.authority
    soon = or_(table.c.crl_until.is_(None), table.c.crl_until < at + RENEW_BEFORE)
    return connection.execute(select(table.c.id).where(soon)).scalars().all()
