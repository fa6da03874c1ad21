"""What a snapshot reads of the tables of accounts, keys, partners and anchors, in a few queries.

No RFC. Nothing is parsed or unwrapped here: certificates stay numbers, keys stay wrapped.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, select

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.source import Source
from smime_proxy.policy.rules import Account
from smime_proxy.stores import accounts, anchors, issued, schema
from smime_proxy.stores.declared import NOTHING, Declared
from smime_proxy.stores.shelf import Pinned, Shelf


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A wrapped key as it lies in the store."""

    key_id: str
    certificate_id: int
    wrapped: bytes = field(repr=False)
    version: int
    former: bool


@dataclass(frozen=True, slots=True)
class Partners:
    """Which partner certificates serve an address or a domain, which are pinned, which bound.

    `sources` are those of the certificates no administrator imported for an address, by its key and
    the number; `declined` the addresses with the fingerprints that somebody refused for them.
    """

    by_address: Mapping[str, Sequence[int]] = field(repr=False)
    pinned: frozenset[int] = field(repr=False)
    bound: Mapping[int, tuple[Mailbox, ...]] = field(repr=False)
    sources: Mapping[tuple[str, int], Source] = field(repr=False, default_factory=dict)
    by_domain: Mapping[str, Sequence[int]] = field(repr=False, default_factory=dict)
    domains: Mapping[int, tuple[str, ...]] = field(repr=False, default_factory=dict)
    declined: frozenset[tuple[str, str]] = field(repr=False, default=frozenset())


def load_accounts(
    connection: Connection,
) -> tuple[dict[str, Account], dict[str, tuple[KeyRow, ...]]]:
    """Read the accounts by address and alias, and their keys by address; blocks."""
    stored = accounts.load(connection)
    owners = {account.number: account.account.address.key for account in stored}
    rows: defaultdict[str, list[KeyRow]] = defaultdict(list)
    table = schema.key
    for row in connection.execute(select(table).order_by(table.c.imported_at, table.c.id)):
        key = KeyRow(row.id, row.certificate_id, row.wrapped, row.key_version, row.former)
        rows[owners[row.account_id]].append(key)
    by_address = {
        mailbox.key: known.account
        for known in stored
        for mailbox in (known.account.address, *known.account.aliases)
    }
    return by_address, {address: tuple(some) for address, some in rows.items()}


def laid_over(
    stored: Mapping[str, Account], rows: Mapping[str, tuple[KeyRow, ...]], declared: Declared
) -> tuple[dict[str, Account], dict[str, tuple[KeyRow, ...]]]:
    """Give all accounts by address and alias, and the stored keys by address.

    A declared account wins each of its addresses. An account of the store whose own address it is
    adds its keys to it, as former ones: what was encrypted to them stays readable.
    """
    if not declared.accounts:
        return dict(stored), dict(rows)
    taken = declared.by_address
    accounts = {
        key: replace(one, aliases=frozenset(a for a in one.aliases if a.key not in taken))
        for key, one in stored.items()
        if key not in taken and one.address.key not in taken
    }
    accounts.update((key, one.account) for key, one in taken.items())
    kept = {key: some for key, some in rows.items() if key not in taken}
    for key, some in rows.items():
        if key in taken:
            owner = taken[key].account.address.key
            former = tuple(replace(row, former=True) for row in some)
            kept[owner] = (*kept.get(owner, ()), *former)
    return accounts, kept


def load_partners(connection: Connection) -> Partners:
    """Read whom the partner certificates serve, in the transaction the connection is in; blocks."""
    table, names = schema.partner, schema.partner_address
    by_address: defaultdict[str, list[int]] = defaultdict(list)
    bound: defaultdict[int, tuple[Mailbox, ...]] = defaultdict(tuple)
    sources: dict[tuple[str, int], Source] = {}
    columns = (names.c.key, names.c.certificate_id, names.c.text, names.c.bound, names.c.source)
    for key, number, text, is_bound, source in connection.execute(select(*columns)).all():
        by_address[key].append(number)
        if source != Source.MANUAL.value:
            sources[key, number] = Source(source)
        if is_bound:
            bound[number] += (Mailbox(text, key),)
    by_domain, domains = _partner_domains(connection)
    pinned = select(table.c.certificate_id).where(table.c.pinned)
    refused = select(schema.declined.c.key, schema.declined.c.fingerprint)
    return Partners(
        by_address=dict(by_address),
        pinned=frozenset(connection.execute(pinned).scalars()),
        bound=dict(bound),
        sources=sources,
        by_domain=by_domain,
        domains=domains,
        declined=frozenset(
            (key, fingerprint) for key, fingerprint in connection.execute(refused).all()
        ),
    )


def _partner_domains(
    connection: Connection,
) -> tuple[dict[str, list[int]], dict[int, tuple[str, ...]]]:
    """Read the certificates of each domain, and the domains of each certificate."""
    table = schema.partner_domain
    by_domain: defaultdict[str, list[int]] = defaultdict(list)
    domains: defaultdict[int, tuple[str, ...]] = defaultdict(tuple)
    rows = select(table.c.domain, table.c.certificate_id).order_by(table.c.domain)
    for domain, number in connection.execute(rows).all():
        by_domain[domain].append(number)
        domains[number] += (domain,)
    return dict(by_domain), dict(domains)


def domains_of(by_address: Mapping[str, Account]) -> frozenset[str]:
    """Give the domains of the accounts' addresses and aliases."""
    return frozenset(
        mailbox.domain
        for account in by_address.values()
        for mailbox in (account.address, *account.aliases)
    )


def load_anchors(
    connection: Connection,
    shelf: Shelf,
    partners: Partners,
    own: frozenset[str],
    declared: Declared = NOTHING,
) -> Anchors:
    """Read the anchors, with the pinned certificates and without what our authority took back.

    `own` are our domains, for which an anchor vouches only when it says so; blocks.
    """
    mine = sorted(own)
    taken_back = issued.revoked(connection)
    stored = anchors.load(connection, read=shelf.certificate)
    found = (*stored, *anchors.declared_ones(declared))
    trusted = [known.anchor(mine, taken_back) for known in found]
    return Anchors.of(trusted, Pinned(shelf, partners.pinned, partners.by_address))
