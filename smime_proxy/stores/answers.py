"""Answers about revocation as they are kept: lists by URL, OCSP answers by certificate.

RFC 5280 5, RFC 6960. Implements `certs.revocation.Answers` over what all processes share; on the
mail path everything is in memory.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.status_sources import ocsp_name, status_sources
from smime_proxy.gateway.ports import Claim
from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store
from smime_proxy.stores.errors import StoreError

CLAIM = timedelta(minutes=2)  # for one process to fetch something that others want too
FIRST_RETRY = timedelta(minutes=1)  # after a failure, then twice as long each time
LAST_RETRY = timedelta(hours=6)
KEPT = timedelta(days=30)  # after an answer ended; what it revoked is still of use
UNRENEWED = timedelta(days=2)  # after it was due: no process asks for it any more
MAX_OCTETS = 1_000_000_000  # of all answers; large authorities' lists have up to 20 MB
MAX_KEPT = 20_000  # answers of all kinds; an organisation's correspondents have some thousand

_NONE: Mapping[str, Crl] = {}
_NO_LIST: tuple[int, Crl | None] = (-1, None)  # numbers begin with 0
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # when what is only claimed was fetched

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer as it lies in the store; `der` is empty for one that could not be had."""

    name: str
    der: bytes
    fetched_at: datetime


class AnswerShelf:
    """The answers in this process's memory; what is new in the store comes with `refresh`."""

    def __init__(self, store: Store, max_octets: int = MAX_OCTETS) -> None:
        """Start empty; `max_octets` is how much is kept of all answers together."""
        self._store = store
        self._max_octets = max_octets
        self._lock = threading.Lock()  # several fetches end at once, each with a look at the store
        self._seen: dict[str, datetime] = {}
        self._lists: dict[str, Crl] = {}
        self._by_issuer: dict[bytes, dict[str, Crl]] = {}
        self._ocsp: dict[str, OcspAnswer] = {}
        # Apart, so that nothing fetched takes their names or their place.
        self._own: dict[int, tuple[int, Crl | None]] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """Give a number that grows whenever an answer comes or goes."""
        return self._version

    def lists(self, certificate: Certificate, issuer: Certificate) -> Sequence[Crl]:
        """Give our own authority's, those its distribution points have, and others of its issuer.

        In this order: only so many are looked at, and of the last anybody may put some there.
        """
        del issuer
        signed = [crl for _, crl in self._own.values() if crl is not None]
        own = [crl for crl in signed if crl.issuer_key == certificate.issuer_key]
        named = [self._lists.get(url) for url in status_sources(certificate).lists]
        # A copy in one step: another thread may be taking new ones over.
        others = tuple(self._by_issuer.get(certificate.issuer_key, _NONE).values())
        return list(dict.fromkeys(one for one in (*own, *named, *others) if one is not None))

    def ocsp(self, certificate: Certificate, issuer: Certificate) -> Sequence[OcspAnswer]:
        """Give the OCSP answer about a certificate."""
        found = self._ocsp.get(ocsp_name(certificate, issuer))
        return () if found is None else (found,)

    def kept(self, name: str) -> Crl | OcspAnswer | None:
        """Give what is kept under a name."""
        return self._ocsp.get(name) or self._lists.get(name)

    def refresh(self) -> int:
        """Take over what is new in the store; gives how much. Blocks: a list takes a moment."""
        table, fresh = schema.answer, 0
        with self._lock, self._excused(), self._store.reading() as connection:
            stamps = connection.execute(select(table.c.name, table.c.fetched_at)).all()
            for name in self._seen.keys() - {name for name, _ in stamps}:
                self._drop(name)
            for name, at in stamps:
                if self._seen.get(name) != at:
                    self._read(connection, name)
                    fresh += 1
            fresh += self._read_own(connection)
        return fresh

    def _read_own(self, connection: Connection) -> int:
        """Take over the lists of the built-in authority; nobody need fetch them from us."""
        table = schema.authority
        signed = select(table.c.id, table.c.crl_number).where(table.c.crl.is_not(None))
        numbers = {int(row.id): int(row.crl_number) for row in connection.execute(signed)}
        own = {
            one: self._own[one]
            for one in numbers
            if self._own.get(one, _NO_LIST)[0] == numbers[one]
        }
        changed = numbers.keys() - own.keys()
        for one in changed:
            wanted = select(table.c.crl).where(table.c.id == one)
            own[one] = (numbers[one], self._readable(connection.execute(wanted).scalar_one()))
        if changed or self._own.keys() - numbers.keys():
            self._own = own  # in one step: mail is judged meanwhile
            self._version += 1
        return len(changed)

    def _readable(self, der: bytes) -> Crl | None:
        try:
            return Crl.from_der(der)
        except CertificateError as error:
            _log.warning("answer not read", name="our own authority's list", reason=str(error))
            return None

    def claim(self, name: str, at: datetime) -> Claim:
        """Tell whether this process is to fetch something now: nobody else does, and it is time."""
        claim = Claim.LATER
        with self._excused(), self._store.noticing() as noticing:
            claim = self._claim(noticing.connection, name, at)
            noticing.written = claim is Claim.OURS
        return claim

    def _claim(self, connection: Connection, name: str, at: datetime) -> Claim:
        table, chosen = schema.answer, schema.answer.c.name == name
        stamps = select(table.c.due_at, table.c.claimed_at, table.c.fetched_at).where(chosen)
        row = connection.execute(stamps).first()
        if row is not None:
            if row.due_at > at:
                return self._not_due(connection, name, row.fetched_at)
            if row.claimed_at and row.claimed_at > at - CLAIM:
                return Claim.THEIRS
            connection.execute(update(table).where(chosen).values(claimed_at=at))
            return Claim.OURS
        if not self._has_room(connection, at):
            return Claim.LATER
        values = {"der": b"", "fetched_at": _NEVER, "failures": 0, "due_at": at}
        connection.execute(insert(table).values(name=name, claimed_at=at, **values))
        return Claim.OURS

    def _has_room(self, connection: Connection, at: datetime) -> bool:
        """Tell whether one more may be fetched; what nobody could give or renews makes room.

        Else whoever names enough sources that do not answer would keep all others out for a month.
        """
        table = schema.answer
        if connection.execute(select(func.count()).select_from(table)).scalar_one() < MAX_KEPT:
            return True
        is_idle = or_(table.c.claimed_at.is_(None), table.c.claimed_at <= at - CLAIM)
        useless = or_(table.c.fetched_at == _NEVER, table.c.due_at <= at - UNRENEWED)
        worst = select(table.c.name).where(is_idle, useless)
        first = (table.c.fetched_at != _NEVER, table.c.failures.desc(), table.c.due_at)
        name = connection.execute(worst.order_by(*first).limit(1)).scalar()
        if name is not None:
            connection.execute(delete(table).where(table.c.name == name))
        return name is not None

    def _not_due(self, connection: Connection, name: str, fetched_at: datetime) -> Claim:
        """Take over what another process has fetched since the last look."""
        with self._lock:
            if fetched_at == _NEVER or self._seen.get(name) == fetched_at:
                return Claim.LATER
            self._read(connection, name)
        return Claim.FRESH

    def keep(self, name: str, der: bytes, at: datetime, due: datetime) -> None:
        """Keep an answer that was fetched, and when the next one is due."""
        row = {"der": der, "fetched_at": at, "failures": 0, "due_at": due, "claimed_at": None}
        self._change(name, row)
        self._make_room(name)

    def _make_room(self, newest: str) -> None:
        """Forget the answers that are due first, but not the newest, until the others fit."""
        table, given_up = schema.answer, []
        size = func.length(table.c.der)
        with self._excused(), self._store.noticing() as noticing:
            connection = noticing.connection
            total = connection.execute(select(func.sum(size))).scalar() or 0
            if total <= self._max_octets:
                return
            others = select(table.c.name, size).where(table.c.name != newest, size > 0)
            for name, octets in connection.execute(others.order_by(table.c.due_at)).all():
                if total <= self._max_octets:
                    break
                connection.execute(delete(table).where(table.c.name == name))
                total -= octets
                given_up.append(name)
            noticing.written = bool(given_up)
        if given_up:
            _log.warning("answers forgotten", number=len(given_up), reason="too many octets")

    def fail(self, name: str, at: datetime) -> None:
        """Note that an answer could not be had; it is tried again later, and later still."""
        table, failures = schema.answer, 0
        with self._excused(), self._store.reading() as connection:
            known = select(table.c.failures).where(table.c.name == name)
            failures = connection.execute(known).scalar() or 0
        wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures, 16))
        self._change(name, {"failures": failures + 1, "due_at": at + wait, "claimed_at": None})

    def forget_old(self, at: datetime) -> int:
        """Forget answers that nobody asked to be renewed for a month; gives how many."""
        table, forgotten = schema.answer, 0
        with self._excused(), self._store.noticing() as noticing:
            old = delete(table).where(table.c.due_at < at - KEPT)
            forgotten = int(noticing.connection.execute(old).rowcount)
            noticing.written = bool(forgotten)
        return forgotten

    def _change(self, name: str, row: Mapping[str, object]) -> None:
        table = schema.answer
        with self._excused(), self._store.noticing() as noticing:
            noticing.connection.execute(update(table).where(table.c.name == name).values(**row))
            noticing.written = True

    @contextmanager
    def _excused(self) -> Iterator[None]:
        """Let the store be busy or away: what is not known stays unknown, and is tried again."""
        try:
            yield
        except StoreError as error:
            _log.warning("answers not reached", reason=str(error), consequence="old ones in use")

    def _read(self, connection: Connection, name: str) -> None:
        row = connection.execute(select(schema.answer).where(schema.answer.c.name == name)).one()
        self._take(Kept(row.name, row.der, row.fetched_at))

    def _drop(self, name: str) -> None:
        self._seen.pop(name, None)
        self._drop_list(name)
        self._ocsp.pop(name, None)
        self._version += 1

    def _drop_list(self, name: str) -> None:
        before = self._lists.pop(name, None)
        if before is not None:
            of_issuer = self._by_issuer[before.issuer_key]
            del of_issuer[name]
            if not of_issuer:
                del self._by_issuer[before.issuer_key]

    def _take(self, kept: Kept) -> None:
        self._seen[kept.name] = kept.fetched_at
        if not kept.der:
            return
        try:
            if kept.name.startswith("ocsp:"):
                self._ocsp[kept.name] = OcspAnswer.from_der(kept.der)
            else:
                self._take_list(kept.name, kept.der)
        except CertificateError as error:  # kept by a version that read it
            _log.warning("answer not read", name=kept.name, reason=str(error))
        self._version += 1

    def _take_list(self, name: str, der: bytes) -> None:
        crl = Crl.from_der(der)
        before = self._lists.get(name)
        if before is not None and before.issuer_key != crl.issuer_key:
            self._drop_list(name)
        # In the place of the one before: at no moment is there none.
        self._lists[name] = crl
        self._by_issuer.setdefault(crl.issuer_key, {})[name] = crl
