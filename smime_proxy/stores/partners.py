"""Certificates of the people mail is exchanged with: import, list, pin, remove.

RFC 8550 3 (the addresses a certificate carries), RFC 5280 6.1 (chains).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, true, update

from smime_proxy.address import AddressError, Mailbox, fold_domain
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.stores import certificates, pending, schema
from smime_proxy.stores.connection import Act, Store, Writing
from smime_proxy.stores.errors import StoreError


@dataclass(frozen=True, slots=True)
class StoredPartner:
    """A partner certificate: the addresses it serves, those of them the administrator gave it.

    `domains` are those for all mailboxes of which it stands. Where it came from: `source`, when,
    who took it in, and of a harvested one the Message-ID and the fingerprint of the anchor it led
    to then ("" otherwise); `sources` are those of its addresses, of which some may have been found
    of one that was imported for others. One of the settings has no `imported_at`.
    """

    certificate: Certificate
    chain: tuple[Certificate, ...]
    addresses: tuple[Mailbox, ...]
    bound: tuple[Mailbox, ...]
    pinned: bool
    source: Source
    imported_at: datetime | None
    decided_by: str = ""
    message_id: str = ""
    anchor: str = ""
    domains: tuple[str, ...] = ()
    sources: Mapping[Mailbox, Source] = field(default_factory=dict)

    def candidate(self, mailbox: Mailbox) -> PartnerCertificate:
        """Give it as the choice of a certificate for an address sees it."""
        return PartnerCertificate(
            self.certificate,
            self.chain,
            pinned=self.pinned,
            bound_to=self.bound,
            source=self.source_for(mailbox),
            domains=self.domains,
        )

    def source_for(self, mailbox: Mailbox) -> Source:
        """Say who gave it to us for an address: for a whole domain only an administrator does."""
        return self.sources.get(mailbox, Source.MANUAL)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a certificate nobody imported came from: who took it in and when, the mail, the anchor.

    `pinned`: exactly this one is trusted, whoever issued it.
    """

    source: Source
    decided_by: str
    at: datetime
    message_id: str = ""
    anchor: str = ""
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class ImportedPartner:
    """A partner certificate after its import, and whether anything changed."""

    partner: StoredPartner
    is_new: bool


def import_certificate(
    store: Store,
    act: Act,
    file: Sequence[Certificate],
    bound_to: Mailbox | None = None,
    *,
    pinned: bool = False,
    domains: Iterable[str] = (),
) -> ImportedPartner:
    """Take in a partner's certificate; `file` is all that `certs.read_certificates` found.

    The partner's is the first that names a mailbox and is no authority's, the others are its
    chain. With `bound_to` it serves that address too, whatever it carries, and with `domains` all
    mailboxes there that have none of their own; `pinned` trusts exactly this certificate whoever
    issued it, but for addresses in our own domains only where `bound_to` names them (ADR 16). What
    is there already is extended: an import never takes a binding or a pin away. Raises `StoreError`
    when it serves no address, a domain is none, or a pin would vouch for one of our own unnamed.
    """
    folded = _folded(domains)
    certificate, chain = chosen(file, bound_to, folded)
    if bound_to is None and not folded and not certificate.identities():
        raise StoreError(
            f"the certificate {certificate.subject or certificate.fingerprint[:16]} carries no"
            " e-mail address: say whose it is with --address, or --domain"
        )
    with store.writing(act) as writing:
        number = certificates.keep(writing.connection, certificate, chain)
        before = load(writing.connection, schema.certificate.c.id == number)
        changed = _write(writing, number, certificate, bound_to, pinned=pinned)
        changed = _write_domains(writing, number, folded) or changed
        pending.settle(writing.connection, certificate)
        after = load(writing.connection, schema.certificate.c.id == number)[0]
        fresh = _pins(after).difference(*map(_pins, before))
        refuse_own(writing.connection, fresh, store.own_domains)
        if changed or before != (after,):
            served = (*(m.text for m in after.addresses), *after.domains)
            words = (after.certificate.fingerprint, *served)
            what = " ".join((*words, "pinned") if after.pinned else words)
            writing.record("cert import", what)
            return ImportedPartner(after, is_new=True)
        return ImportedPartner(after, is_new=False)


def add_found(
    connection: Connection,
    mailbox: Mailbox,
    certificate: Certificate,
    issuers: Sequence[Certificate],
    provenance: Provenance,
) -> None:
    """Take in a certificate somebody was found to have, for the one address it was found for.

    One that is known serves that address too and keeps its chain and where it came from for
    others.
    """
    table, names = schema.partner, schema.partner_address
    same = schema.certificate.c.fingerprint == certificate.fingerprint
    known = connection.execute(
        select(table.c.certificate_id, table.c.pinned)
        .join(schema.certificate, schema.certificate.c.id == table.c.certificate_id)
        .where(same)
    ).first()
    if known is None:
        number = certificates.keep(connection, certificate, issuers)
        row = {
            "certificate_id": number,
            "pinned": provenance.pinned,
            "source": provenance.source.value,
            "imported_at": provenance.at,
            "decided_by": provenance.decided_by,
            "message_id": provenance.message_id,
            "anchor": provenance.anchor,
        }
        connection.execute(insert(table).values(row))
    else:
        number = known.certificate_id
        if provenance.pinned and not known.pinned:
            pin = update(table).where(table.c.certificate_id == number)
            connection.execute(pin.values(pinned=True))
    served = select(names.c.key).where(names.c.certificate_id == number, names.c.key == mailbox.key)
    if connection.execute(served).first() is None:
        # What was found by the address in its subject serves it by decision, not by its own words.
        bound = not certificates.stored(certificate.der).carries(mailbox)
        row = {"certificate_id": number, "key": mailbox.key, "text": mailbox.text, "bound": bound}
        connection.execute(insert(names).values(source=provenance.source.value, **row))


def serving(connection: Connection, mailbox: Mailbox) -> tuple[StoredPartner, ...]:
    """Give the partner certificates that serve an address or its domain, the newest first."""
    table = schema.partner_address
    served = select(table.c.certificate_id).where(table.c.key == mailbox.key)
    by_domain = _stands_for(mailbox.domain)
    return load(connection, or_(schema.certificate.c.id.in_(served), by_domain))


def listing(store: Store, mailbox: Mailbox | None = None) -> tuple[StoredPartner, ...]:
    """Give all partner certificates, or those that serve one address, the newest first.

    That of its domain serves an address too.
    """
    with store.reading() as connection:
        return load(connection) if mailbox is None else serving(connection, mailbox)


def listing_of_domain(store: Store, domain: str) -> tuple[StoredPartner, ...]:
    """Give the certificates that stand for all mailboxes of a domain, the newest first.

    Raises `StoreError` for what is no domain.
    """
    (folded,) = _folded([domain])
    with store.reading() as connection:
        return load(connection, _stands_for(folded))


def find(store: Store, fingerprint: str) -> StoredPartner:
    """Give the partner certificate whose fingerprint starts so.

    Raises `StoreError` when there is none, or more than one.
    """
    with store.reading() as connection:
        return _only(connection, fingerprint)


def remove(store: Store, act: Act, fingerprint: str) -> StoredPartner:
    """Forget a partner certificate, its pin and its bindings.

    Raises `StoreError` when there is none, or more than one.
    """
    with store.writing(act) as writing:
        known = _only(writing.connection, fingerprint)
        forget(writing.connection, known.certificate)
        writing.record("cert remove", known.certificate.fingerprint)
        return known


def forget(connection: Connection, certificate: Certificate) -> None:
    """Let a certificate be no partner's any more; it is one now."""
    same = schema.certificate.c.fingerprint == certificate.fingerprint
    number = connection.execute(select(schema.certificate.c.id).where(same)).scalar_one()
    row = schema.partner.c.certificate_id == number
    connection.execute(delete(schema.partner).where(row))
    certificates.release(connection, number)


def load(
    connection: Connection, wanted: ColumnElement[bool] | None = None
) -> tuple[StoredPartner, ...]:
    """Give the partner certificates a condition holds for, the newest first."""
    table, known = schema.partner, schema.certificate
    statement = select(table, known.c.der).join(known, known.c.id == table.c.certificate_id)
    names = select(schema.partner_address)
    if wanted is not None:
        statement = statement.where(wanted)
        names = names.join(known, known.c.id == schema.partner_address.c.certificate_id)
        names = names.where(wanted)
    served: defaultdict[int, dict[Mailbox, Source]] = defaultdict(dict)
    bound: defaultdict[int, tuple[Mailbox, ...]] = defaultdict(tuple)
    for row in connection.execute(names.order_by(schema.partner_address.c.key)):
        mailbox = Mailbox(row.text, row.key)
        served[row.certificate_id][mailbox] = Source(row.source)
        if row.bound:
            bound[row.certificate_id] += (mailbox,)
    domains = _domains(connection)
    chains = certificates.chains_of(connection, true() if wanted is None else wanted)
    found = [
        StoredPartner(
            certificate=certificates.stored(row.der),
            chain=chains.get(row.certificate_id, ()),
            addresses=tuple(served[row.certificate_id]),
            bound=bound[row.certificate_id],
            pinned=row.pinned,
            source=Source(row.source),
            imported_at=row.imported_at,
            decided_by=row.decided_by,
            message_id=row.message_id,
            anchor=row.anchor,
            domains=domains.get(row.certificate_id, ()),
            sources=served[row.certificate_id],
        )
        for row in connection.execute(statement)
    ]
    return tuple(sorted(found, key=lambda p: p.certificate.not_before, reverse=True))


def _pins(partner: StoredPartner) -> frozenset[Mailbox]:
    """Give the addresses a pin vouches for that nobody named."""
    return frozenset(partner.addresses) - set(partner.bound) if partner.pinned else frozenset()


def refuse_own(connection: Connection, pinned: Collection[Mailbox], own: Iterable[str]) -> None:
    """Refuse to pin for addresses in our own domains, by the settings or by an account.

    Raises `StoreError` that names one (ADR 16).
    """
    domains = own_domains(connection, own)
    name = min((one.text for one in pinned if one.domain in domains), default="")
    if name:
        raise StoreError(
            f"the certificate carries {name}, an address in our own domains: pinned, whatever it"
            f" signs in that name counts as genuine; if that is meant, say --address {name}"
        )


def own_domains(connection: Connection, served: Iterable[str]) -> frozenset[str]:
    """Give the domains that are ours: those `served` by listeners, and those of accounts."""
    keys = connection.execute(select(schema.account_address.c.key)).scalars()
    return frozenset((*served, *(key.rpartition("@")[2] for key in keys)))


def _stands_for(domain: str) -> ColumnElement[bool]:
    table = schema.partner_domain
    served = select(table.c.certificate_id).where(table.c.domain == domain)
    return schema.certificate.c.id.in_(served)


def _domains(connection: Connection) -> dict[int, tuple[str, ...]]:
    """Give the domains of each certificate; there are few such certificates."""
    table = schema.partner_domain
    found: defaultdict[int, tuple[str, ...]] = defaultdict(tuple)
    for row in connection.execute(select(table).order_by(table.c.domain)):
        found[row.certificate_id] += (row.domain,)
    return dict(found)


def _folded(domains: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted({fold_domain(domain) for domain in domains}))
    except AddressError as error:
        raise StoreError(f"--domain takes a domain: {error}") from error


def chosen(
    file: Sequence[Certificate], bound_to: Mailbox | None, domains: tuple[str, ...]
) -> tuple[Certificate, tuple[Certificate, ...]]:
    """Choose the partner's certificate of a file; gives the others with it, as its chain.

    `bound_to` and `domains` are whom it is said to be for. Raises `StoreError` when all of them
    are authorities'.
    """
    named_people = [c for c in file if c.identities() and not c.is_ca]
    # People who sign their own certificate often make it one of an authority (openssl req -x509).
    people = named_people or [c for c in file if not c.is_ca] or [c for c in file if c.identities()]
    is_said = bound_to is not None or bool(domains)
    if is_said and len(file) == 1:
        people = people or list(file)
    if not people:
        raise StoreError(
            "the file holds certificates of authorities only: `trust add` is for those; if one is"
            " a person's own, say whose it is with --address, or --domain"
        )
    named = (c for c in people if _is_named(c, bound_to, domains))
    certificate = next(named, people[0])
    return certificate, tuple(c for c in file if c != certificate)


def _is_named(certificate: Certificate, bound_to: Mailbox | None, domains: tuple[str, ...]) -> bool:
    """Tell whether a certificate itself names the address or a domain it is imported for."""
    if bound_to is not None:
        return certificate.carries(bound_to)
    return any(mailbox.domain in domains for mailbox in certificate.identities())


def _write_domains(writing: Writing, number: int, domains: tuple[str, ...]) -> bool:
    """Add the domains a certificate does not yet stand for; False when there are none."""
    table = schema.partner_domain
    known = _domains(writing.connection).get(number, ())
    fresh = [domain for domain in domains if domain not in known]
    for domain in fresh:
        writing.connection.execute(insert(table).values(domain=domain, certificate_id=number))
    return bool(fresh)


def _write(
    writing: Writing,
    number: int,
    certificate: Certificate,
    bound_to: Mailbox | None,
    *,
    pinned: bool,
) -> bool:
    """Add what is missing of a partner certificate; False when it has it all for its addresses."""
    connection, table, names = writing.connection, schema.partner, schema.partner_address
    known = connection.execute(select(table).where(table.c.certificate_id == number)).first()
    if known is None:
        row = {"pinned": pinned, "imported_at": writing.act.at, **_by_hand(writing)}
        connection.execute(insert(table).values(certificate_id=number, **row))
    elif (pinned and not known.pinned) or known.source != Source.MANUAL.value:
        row = {"pinned": pinned or known.pinned, **_by_hand(writing)}
        connection.execute(update(table).where(table.c.certificate_id == number).values(**row))
    by_hand = Source.MANUAL.value
    served = dict.fromkeys(certificate.identities(), False)
    if bound_to is not None:
        served[bound_to] = True
    of_this = names.c.certificate_id == number
    old = {row.key: row for row in connection.execute(select(names).where(of_this))}
    changed = False
    for mailbox, bound in served.items():
        if mailbox.key not in old:
            row = {"certificate_id": number, "key": mailbox.key, "text": mailbox.text}
            connection.execute(insert(names).values(bound=bound, **row))
        elif (bound and not old[mailbox.key].bound) or old[mailbox.key].source != by_hand:
            one = update(names).where(of_this, names.c.key == mailbox.key)
            is_bound = bound or old[mailbox.key].bound
            connection.execute(one.values(bound=is_bound, source=by_hand))
        else:
            continue
        changed = True
    return changed


def _by_hand(writing: Writing) -> dict[str, str]:
    return {"source": Source.MANUAL.value, "decided_by": writing.act.who}


def _only(connection: Connection, fingerprint: str) -> StoredPartner:
    found = load(connection, certificates.begins_with(fingerprint))
    if len(found) != 1:
        many = f"{len(found)} partner certificates have" if found else "no partner certificate has"
        raise StoreError(f"{many} a fingerprint that starts with {fingerprint!a}")
    return found[0]
