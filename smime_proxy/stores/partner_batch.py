"""Many partner certificates at once: a handful of statements a batch, whatever is in it.

RFC 8550 3 (the addresses a certificate carries), RFC 5280 6.1 (chains). What `stores.partners` does
for one, for a thousand.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.source import Source
from smime_proxy.stores import certificates, pending, schema
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.partners import own_domains

BATCH = 1000  # certificates in one transaction: some MB, and one wait for the disk
_NAMED = 500  # values in one query; SQLite takes some thousand


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate that carries an address, with what may link it to its root."""

    certificate: Certificate
    chain: tuple[Certificate, ...] = ()


def import_batch(store: Store, act: Act, candidates: Sequence[Candidate]) -> list[bool]:
    """Take in partner certificates in one transaction; tells of each whether it was new.

    Each serves the addresses it carries; one that is pinned already gets none in our own domains,
    which are pinned by name only (ADR 16). What is there already is extended, and nothing of it
    taken away. Raises `StoreError` when the store cannot be written.
    """
    with store.writing(act) as writing:
        known = _numbers(writing.connection, [one.certificate for one in candidates])
        numbers = _keep_all(writing.connection, candidates, known)
        own = own_domains(writing.connection, store.own_domains)
        is_new = _partners(writing, candidates, numbers, own)
        for some in _portions({one.certificate.fingerprint for one in candidates}):
            pending.settle_all(writing.connection, some)
        for nth, candidate in enumerate(candidates):
            number = known.get(candidate.certificate.fingerprint)
            if number is not None and _extended(writing, number, candidate):
                is_new[nth] = True
        return is_new


def _extended(writing: Writing, number: int, candidate: Candidate) -> bool:
    """Give a certificate that was there the chain it came with now; False when it has it."""
    connection = writing.connection
    if not candidate.chain or certificates.chain_of(connection, number) == candidate.chain:
        return False
    certificates.keep(connection, candidate.certificate, candidate.chain)
    writing.record("cert import", candidate.certificate.fingerprint)
    return True


def _numbers(connection: Connection, wanted: Iterable[Certificate]) -> dict[str, int]:
    """Find the ids of certificates that are there, by fingerprint."""
    table = schema.certificate
    found: dict[str, int] = {}
    for some in _portions({one.fingerprint for one in wanted}):
        rows = select(table.c.fingerprint, table.c.id).where(table.c.fingerprint.in_(some))
        found.update((row[0], int(row[1])) for row in connection.execute(rows).all())
    return found


def _keep_all(
    connection: Connection, candidates: Sequence[Candidate], known: dict[str, int]
) -> dict[str, int]:
    """Store certificates and chains that are not there; gives the ids by fingerprint."""
    everyone = {c.fingerprint: c for one in candidates for c in (one.certificate, *one.chain)}
    numbers = known | _numbers(connection, (c for c in everyone.values()))
    fresh = [c for name, c in everyone.items() if name not in numbers]
    rows = [
        {
            "fingerprint": one.fingerprint,
            "der": one.der,
            "locator": certificates.locator(one.issuer_key, one.serial),
        }
        for one in fresh
    ]
    _insert(connection, schema.certificate, rows)
    numbers |= _numbers(connection, fresh)
    links: dict[tuple[int, int], dict[str, int]] = {}
    for one in candidates:
        number = numbers[one.certificate.fingerprint]
        if one.certificate.fingerprint not in known:
            for position, issuer in enumerate(one.chain):
                link = {"position": position, "issuer_id": numbers[issuer.fingerprint]}
                links[number, position] = {"certificate_id": number, **link}
    _insert(connection, schema.chain, list(links.values()))
    return numbers


def _partners(
    writing: Writing,
    candidates: Sequence[Candidate],
    numbers: dict[str, int],
    own: frozenset[str],
) -> list[bool]:
    """Make partners of the certificates, as far as they are none; tells of each what changed."""
    connection, table = writing.connection, schema.partner
    ids = [numbers[one.certificate.fingerprint] for one in candidates]
    sources, served, pinned = _known_partners(connection, set(ids))
    manual = Source.MANUAL.value
    by_hand = {"source": manual, "decided_by": writing.act.who}
    partners, addresses, said, is_new = [], [], [], []
    for number, candidate in zip(ids, candidates, strict=True):
        mailboxes = candidate.certificate.identities()
        if number in pinned:
            mailboxes = tuple(one for one in mailboxes if one.domain not in own)
        missing = [one for one in mailboxes if one.key not in served[number]]
        found = [one.key for one in mailboxes if served[number].get(one.key, manual) != manual]
        source = sources.get(number)
        is_new.append(bool(missing or found) or source != manual)
        if not is_new[-1]:
            continue
        if found:
            _claim(connection, number, found)
        if source is None:
            row = {"certificate_id": number, "pinned": False, "imported_at": writing.act.at}
            partners.append(row | by_hand)
        elif source != manual:
            row_of = update(table).where(table.c.certificate_id == number)
            connection.execute(row_of.values(by_hand))
        sources[number] = manual  # a batch may have it twice
        served[number] |= {one.key: manual for one in mailboxes}
        addresses += [
            {
                "certificate_id": number,
                "key": one.key,
                "text": one.text,
                "bound": False,
                "source": manual,
            }
            for one in missing
        ]
        named = (one.text for one in sorted(mailboxes, key=lambda mailbox: mailbox.key))
        said.append(" ".join((candidate.certificate.fingerprint, *named)))
    _insert(connection, table, partners)
    _insert(connection, schema.partner_address, addresses)
    writing.record_all("cert import", said)
    return is_new


def _claim(connection: Connection, number: int, keys: Sequence[str]) -> None:
    """Say that an administrator gave a certificate, too, for addresses it was found for."""
    names = schema.partner_address
    rows = update(names).where(names.c.certificate_id == number, names.c.key.in_(keys))
    connection.execute(rows.values(source=Source.MANUAL.value))


def _known_partners(
    connection: Connection, ids: Iterable[int]
) -> tuple[dict[int, str], defaultdict[int, dict[str, str]], frozenset[int]]:
    """Give the sources of those that are partners, of the addresses they serve, and the pinned."""
    table, names = schema.partner, schema.partner_address
    sources: dict[int, str] = {}
    pinned: set[int] = set()
    served: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for some in _portions(ids):
        found = select(table.c.certificate_id, table.c.source, table.c.pinned)
        rows = connection.execute(found.where(table.c.certificate_id.in_(some))).all()
        sources |= {row[0]: row[1] for row in rows}
        pinned |= {row[0] for row in rows if row[2]}
        known = select(names.c.certificate_id, names.c.key, names.c.source)
        for row in connection.execute(known.where(names.c.certificate_id.in_(some))).all():
            served[row[0]][row[1]] = row[2]
    return sources, served, frozenset(pinned)


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _portions(values: Iterable[Any]) -> Iterable[list[Any]]:
    listed = list(values)
    return [listed[at : at + _NAMED] for at in range(0, len(listed), _NAMED)]
