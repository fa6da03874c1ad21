"""Whether our own keys were revoked, and whether those can be reached who say so.

RFC 5280 6.3, RFC 6960. Who gets our mail asks the same sources; they stand in the certificates of
chains that lead to an anchor, and nobody else is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import MAX_OCSP_OCTETS, OcspAnswer
from smime_proxy.certs.path import ChainStatus, PathResult, Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.revocation import Answers, Revocation
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.certs.status_sources import ocsp_name, ocsp_request, status_sources
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.revocation import OCSP_REQUEST, Web
from smime_proxy.policy.rules import Account
from smime_proxy.stores.keyring import Entry
from smime_proxy.stores.snapshot import Snapshot

SECONDS = 5.0  # for one source; a person waits
AT_ONCE = 8
MAX_ASKED = 64  # questions; a person waits, and authorities are asked once for their lists

MAX_SHOWN = 100  # characters of a URL

Pair: TypeAlias = tuple[Certificate, Certificate]  # a certificate and its issuer
Question: TypeAlias = Callable[[str], Awaitable[None]]  # put to a URL

_REACH = (
    "let the proxy reach it (`[revocation]` allowed_networks where it is not public), or ask the"
    " authority; `revocation.mode` says what becomes of what is not known"
)
_SCHEMES = ("http://", "https://")  # what is never fetched, such as ldap:, is no finding


@dataclass(slots=True)
class Asked:
    """What is kept and what was said now; `silent` are URLs that gave nothing, with the reason."""

    kept: Answers
    version: int = 0
    silent: dict[str, str] = field(default_factory=dict)
    _lists: list[Crl] = field(default_factory=list)
    _ocsp: dict[str, OcspAnswer] = field(default_factory=dict)

    def lists(self, certificate: Certificate, issuer: Certificate) -> Sequence[Crl]:
        """Give the lists that may be about a certificate."""
        own = [one for one in self._lists if one.issuer_key == certificate.issuer_key]
        return (*own, *self.kept.lists(certificate, issuer))

    def ocsp(self, certificate: Certificate, issuer: Certificate) -> Sequence[OcspAnswer]:
        """Give the OCSP answers about a certificate, the newest first."""
        found = self._ocsp.get(ocsp_name(certificate, issuer))
        return (*((found,) if found else ()), *self.kept.ocsp(certificate, issuer))

    async def ask(self, pairs: Collection[Pair], web: Web, max_list: int, at: datetime) -> None:
        """Ask all sources of certificates of their issuers, at once and each for a short time.

        `max_list` is in octets, `at` aware UTC. Nothing is kept in the store. Never raises.
        """
        questions: dict[tuple[str, str], Question] = {}
        for certificate, issuer in pairs:
            sources = status_sources(certificate)
            name = ocsp_name(certificate, issuer)
            for url in sources.ocsp:
                questions[url, name] = partial(self._responder, web, (certificate, issuer), at)
            for url in sources.lists:
                questions[url, ""] = partial(self._list, web, max_list)
        gate = asyncio.Semaphore(AT_ONCE)
        some = [one for one in questions.items() if one[0][0].startswith(_SCHEMES)][:MAX_ASKED]
        await asyncio.gather(*(self._put(url, question, gate) for (url, _), question in some))

    async def _put(self, url: str, question: Question, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                await question(url)
        except (LookupFailed, CertificateError, ValueError) as error:
            self.silent[url] = str(error)

    async def _responder(self, web: Web, pair: Pair, at: datetime, url: str) -> None:
        der = await web.fetch(
            url,
            limit=MAX_OCSP_OCTETS,
            seconds=SECONDS,
            send=ocsp_request(*pair),
            kind=OCSP_REQUEST,
        )
        answer = OcspAnswer.from_der(der)
        objection = answer.objection(pair[1], at)
        if objection or not answer.is_about(*pair):
            raise LookupFailed(objection or "its answer is about another certificate")
        self._ocsp[ocsp_name(*pair)] = answer

    async def _list(self, web: Web, max_list: int, url: str) -> None:
        der = await web.fetch(url, limit=max_list, seconds=SECONDS)
        self._lists.append(await asyncio.to_thread(Crl.from_der, der))


def own_pairs(snapshot: Snapshot, at: datetime) -> Sequence[Pair]:
    """List our own current certificates and their authorities, each with its issuer, once.

    Only those of chains that lead to an anchor at a time, aware UTC.
    """
    paths = [_judged(snapshot, entry, at, None) for _, entry in _current(snapshot)]
    trusted = [one.path for one in paths if one.status is ChainStatus.TRUSTED]
    return list(dict.fromkeys(pair for path in trusted for pair in pairwise(path)))


def status_findings(
    snapshot: Snapshot, answers: Answers, mode: Mode, at: datetime
) -> Iterator[Finding]:
    """Say whose key was revoked, and in hard mode of whom it cannot be told."""
    hard = Revocation(Mode.HARD, answers)
    for account, entry in _current(snapshot):
        if _judged(snapshot, entry, at, None).status is not ChainStatus.TRUSTED:
            continue  # which is said elsewhere
        where = f"key {entry.key_id} of {account.address}"
        result = _judged(snapshot, entry, at, hard)
        if result.status is ChainStatus.REVOKED:
            what = f"{result.reason}; it signs nothing more, and nobody should encrypt to it"
            todo = (
                "order a new certificate and give it with `account import-key`, or put it into the"
                " key_file of a declared account"
            )
            yield Finding(Severity.ERROR, where, what, todo)
        elif result.status is ChainStatus.UNKNOWN and mode is Mode.HARD:
            what = (
                f"whether it was revoked cannot be told ({result.reason}); where status is hard to"
                " have, as here, its signatures do not pass and mail to it waits"
            )
            yield Finding(Severity.WARNING, where, what, _REACH)


def silence_findings(asked: Asked, mode: Mode) -> Iterator[Finding]:
    """Say which sources gave nothing of use: in hard mode it will hurt."""
    severity = Severity.WARNING if mode is Mode.HARD else Severity.NOTE
    for url, reason in asked.silent.items():
        what = f"what our own certificates name to ask about them gives nothing: {reason}"
        yield Finding(severity, f"revocation source {url[:MAX_SHOWN]}", what, _REACH)


def _current(snapshot: Snapshot) -> Iterator[tuple[Account, Entry]]:
    for account in snapshot.all_accounts():
        for entry in snapshot.keys(account):
            if account.enabled and not entry.former:
                yield account, entry


def _judged(
    snapshot: Snapshot, entry: Entry, at: datetime, revocation: Revocation | None
) -> PathResult:
    return validate(
        entry.certificate,
        Pool.of(entry.chain, snapshot.intermediates()),
        snapshot.anchors(),
        at,
        purpose=Purpose.SIGN if entry.certificate.may_sign else Purpose.ENCRYPT,
        revocation=revocation,
    )
