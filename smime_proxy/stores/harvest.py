"""What becomes of keys found in signed mail: taken, kept waiting, accepted or refused.

No RFC; E06, A13. The store decides by its own state, in one transaction among all processes, so
that no snapshot that is a moment old lets a second key in beside a first.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from smime_proxy.address import Mailbox
from smime_proxy.certs.anchors import Anchors
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.certs.succession import succession
from smime_proxy.gateway.ports import FoundKey
from smime_proxy.policy import harvest as policy
from smime_proxy.policy.harvest import Accept, Caution, Pend, decide_key
from smime_proxy.policy.rules import Harvest
from smime_proxy.smime.status import ID_DIGITS
from smime_proxy.stores import anchors, certificates, partners, pending, schema
from smime_proxy.stores.connection import Act, Noticing, Store, Writing, audit
from smime_proxy.stores.declared import Declared
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.partners import Provenance, StoredPartner
from smime_proxy.stores.pending import PendingKey

BY_ITSELF = "harvest"  # who took in what no person decided about


@dataclass(slots=True)
class Taken:
    """What came of a batch: the keys taken at once, and why, and those that wait anew.

    `dropped` waiting ones had to go for want of room, `expired` ones after their time.
    """

    accepted: list[tuple[FoundKey, str]] = field(default_factory=list)
    waiting: list[tuple[FoundKey, Pend]] = field(default_factory=list)
    dropped: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """A key that waited and was taken in, and whether it was pinned."""

    key: PendingKey
    pinned: bool


def take(store: Store, harvest: Harvest, found: Iterable[FoundKey], at: datetime) -> Taken:
    """Decide about found keys by what the store holds now, and let the waiting ones expire.

    Raises `StoreError` when the store cannot be written; then nothing of it is.
    """
    taken = Taken()
    with store.noticing() as noticing:
        connection = noticing.connection
        judge = _Judge(harvest, connection, store.declared.current)
        domains = []
        for one in found:
            match judge.decide(one):
                case Accept(why):
                    _accept(noticing, one, why)
                    taken.accepted.append((one, why))
                case Pend(caution) as decision:
                    noticing.written = True
                    if pending.put(connection, one, caution):
                        taken.waiting.append((one, decision))
                        domains.append(one.mailbox.domain)
                case None:
                    continue
        taken.dropped = pending.trim(connection, domains) if domains else 0
        taken.expired = pending.expire(connection, at)
        noticing.written = noticing.written or bool(taken.expired)
    return taken


def listing(store: Store) -> tuple[PendingKey, ...]:
    """Give the keys that wait, the latest first."""
    with store.reading() as connection:
        return pending.load(connection)


def accept(
    store: Store, act: Act, ids: Sequence[str], mailboxes: Collection[Mailbox] = ()
) -> tuple[AcceptedKey, ...]:
    """Take in waiting certificates, each for all addresses it waits for, or for `mailboxes` only.

    One that had no trusted chain and has none is pinned: somebody decided for exactly this one; so
    is one that was pinned for another address. It must be said for whom when it waits for several,
    since its owner wrote them into it himself, when it waits for an address in our own domains
    (ADR 16), and when it serves others already that it was not pinned for.
    Raises `StoreError` for that, and unless each id is the start of one fingerprint; then none is
    taken in.
    """
    with store.writing(act) as writing:
        # All are found before any goes, so that one named twice is taken once.
        chosen = [one for key in ids for one in _waiting(writing.connection, key, mailboxes)]
        roots, issuers = _trust(writing.connection, store.declared.current)
        known = {one.certificate: _known(writing.connection, one.certificate) for one in chosen}
        accepted = tuple(
            AcceptedKey(
                one,
                pinned=_is_pinned(known[one.certificate])
                or not _is_trusted(one, roots, issuers, act.at),
            )
            for one in dict.fromkeys(chosen)
        )
        for one in accepted:
            _refuse_to_spread(one, known[one.key.certificate], mailboxes)
        if not mailboxes:
            pinned = [one.key for one in accepted if one.pinned]
            _refuse_for_many(pinned)
            names = [one.mailbox for one in pinned]
            partners.refuse_own(writing.connection, names, store.own_domains)
        for one in accepted:
            _take_in(writing, one)
        return accepted


def _waiting(
    connection: Connection, key: str, mailboxes: Collection[Mailbox]
) -> tuple[PendingKey, ...]:
    found = pending.find(connection, key)
    meant = {mailbox.key for mailbox in mailboxes} or {one.mailbox.key for one in found}
    chosen = tuple(one for one in found if one.mailbox.key in meant)
    if not chosen:
        names = ", ".join(mailbox.text for mailbox in mailboxes)
        raise StoreError(f"the certificate {key!a} does not wait for {names}")
    return chosen


def _known(connection: Connection, certificate: Certificate) -> StoredPartner | None:
    same = schema.certificate.c.fingerprint == certificate.fingerprint
    return next(iter(partners.load(connection, same)), None)


def _is_pinned(known: StoredPartner | None) -> bool:
    return known is not None and known.pinned


def _refuse_to_spread(
    accepted: AcceptedKey, known: StoredPartner | None, mailboxes: Collection[Mailbox]
) -> None:
    """A pin is for all addresses of a certificate: none may get it that nobody named."""
    if known is None or known.pinned or not accepted.pinned:
        return
    others = [one.text for one in known.addresses if one not in mailboxes]
    if others:
        key = accepted.key
        digits = key.certificate.fingerprint[:ID_DIGITS]
        raise StoreError(
            f"{digits} would be pinned, and serves {', '.join(others)} by its chain, which is not"
            f" trusted now: `cert remove {digits}` first, or name them with --address beside"
            f" {key.mailbox}"
        )


def _refuse_for_many(pinned: Sequence[PendingKey]) -> None:
    """A13: who signs as himself first, and then as somebody else, would be taken for both."""
    times = Counter(one.certificate for one in pinned)
    for one in pinned:
        if times[one.certificate] > 1:
            names = ", ".join(o.mailbox.text for o in pinned if o.certificate == one.certificate)
            raise StoreError(
                f"{one.certificate.fingerprint[:ID_DIGITS]} would be pinned and waits for"
                f" {names}: name whose it is with --address"
            )


def _take_in(writing: Writing, accepted: AcceptedKey) -> None:
    key, act = accepted.key, writing.act
    provenance = Provenance(
        Source.HARVESTED, act.who, act.at, key.message_id, key.anchor, accepted.pinned
    )
    partners.add_found(writing.connection, key.mailbox, key.certificate, key.issuers, provenance)
    pending.drop(writing.connection, key.mailbox, key.certificate)
    words = (key.certificate.fingerprint, key.mailbox.text, *(["pinned"] * accepted.pinned))
    writing.record("cert accept", " ".join(words))


def reject(store: Store, act: Act, ids: Sequence[str]) -> tuple[PendingKey, ...]:
    """Refuse waiting certificates for the addresses they wait for, and remember it.

    Raises `StoreError` unless each id is the start of one fingerprint; then none is refused.
    """
    with store.writing(act) as writing:
        chosen = [one for key in ids for one in pending.find(writing.connection, key)]
        keys = tuple(dict.fromkeys(chosen))
        for one in keys:
            pending.drop(writing.connection, one.mailbox, one.certificate)
            pending.decline(writing.connection, one.mailbox, one.certificate, act.at)
            writing.record("cert reject", f"{one.certificate.fingerprint} {one.mailbox.text}")
        return keys


class _Judge:
    """Decides by the state of the store in one transaction; what all keys need is read once."""

    def __init__(self, harvest: Harvest, connection: Connection, declared: Declared) -> None:
        self._harvest = harvest
        self._declared = declared
        self._connection = connection
        self._trusted: tuple[Anchors, Issuers] | None = None

    def decide(self, found: FoundKey) -> Accept | Pend | None:
        """Decide about one key; None leaves it: imported already, refused, or not wanted."""
        connection, mailbox, certificate = self._connection, found.mailbox, found.certificate
        known = [stored.candidate(mailbox) for stored in partners.serving(connection, mailbox)]
        own = self._declared.find(mailbox) is not None or _is_own(connection, mailbox)
        if own or any(one.certificate == certificate for one in known):
            return None
        if pending.is_declined(connection, mailbox, certificate):
            return None
        roots, issuers = self._trusted = self._trusted or _trust(connection, self._declared)
        anchor = next(
            (a.certificate for a in roots if a.certificate.fingerprint == found.anchor), None
        )
        pool = Pool.of(found.issuers, issuers)
        stands = succession(known, anchor, mailbox, found.at, roots, pool)
        full = policy.is_full(known, found.at)
        decision = decide_key(self._harvest, trusted=anchor is not None, stands=stands, full=full)
        if isinstance(decision, Accept):
            if _is_pinned(_known(connection, certificate)):
                return Pend(Caution.NONE)  # taken, it would be pinned for this address too
            self._make_room(policy.harvested(known))
        return decision

    def _make_room(self, harvested: Sequence[PartnerCertificate]) -> None:
        """Forget the harvested certificate that expired first, where it has the last place."""
        if len(harvested) >= policy.MAX_AN_ADDRESS:
            oldest = min((one.certificate for one in harvested), key=lambda one: one.not_after)
            partners.forget(self._connection, oldest)


def _trust(connection: Connection, declared: Declared) -> tuple[Anchors, Issuers]:
    """Give the anchors, and the issuers that complete chains."""
    found = (*anchors.load(connection), *anchors.declared_ones(declared))
    issuers = (*certificates.issuers(connection), *declared.issuers)
    return Anchors.of([one.anchor(()) for one in found]), Issuers.of(issuers)


def _is_trusted(key: PendingKey, roots: Anchors, issuers: Issuers, at: datetime) -> bool:
    """Tell whether a key's chain was trusted when it was found, or is now."""
    if not key.caution.is_untrusted:
        return True
    result = validate(
        key.certificate,
        Pool.of((), issuers),
        roots,
        at,
        mailbox=key.mailbox,
        purpose=Purpose.ENCRYPT,
    )
    return result.status is ChainStatus.TRUSTED


def _is_own(connection: Connection, mailbox: Mailbox) -> bool:
    table = schema.account_address
    return (
        connection.execute(select(table.c.key).where(table.c.key == mailbox.key)).first()
        is not None
    )


def _accept(noticing: Noticing, found: FoundKey, why: str) -> None:
    provenance = Provenance(
        Source.HARVESTED, f"{BY_ITSELF}: {why}", found.at, found.message_id, found.anchor
    )
    connection = noticing.connection
    partners.add_found(connection, found.mailbox, found.certificate, found.issuers, provenance)
    pending.drop(connection, found.mailbox, found.certificate)
    what = f"{found.certificate.fingerprint} {found.mailbox.text} ({why})"
    audit(connection, Act(BY_ITSELF, found.at), "cert accept", what)
    noticing.counted = True
