"""Whether a certificate was revoked, by the answers at hand: CRLs and OCSP responses.

RFC 5280 6.3 (CRLs, with deltas and indirect ones), RFC 6960 3.2 (OCSP). Nothing is fetched here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.x509 import ReasonFlags

from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate
from smime_proxy.certs.names import name_key
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl, Entry
from smime_proxy.certs.revocation_mode import Mode

CLOCK_SKEW = timedelta(minutes=15)  # between our clock and an authority's
MAX_SIGNERS_TRIED = 4  # of one name for a list; the issuer, its key of before, and a delegate
MAX_LISTS = 32  # for one certificate; reasons and distribution points part them into a few

_REMOVED = "removeFromCRL"
_ALL_REASONS = frozenset(ReasonFlags) - {ReasonFlags.unspecified, ReasonFlags.remove_from_crl}


class Status(Enum):
    """What the answers say."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Standing:
    """The status of one certificate, and in one line why."""

    status: Status
    reason: str = ""


class Answers(Protocol):
    """Answers that were fetched before; no call does I/O."""

    @property
    def version(self) -> int:
        """Give a number that grows whenever an answer comes or goes."""
        ...

    def lists(self, certificate: Certificate, issuer: Certificate) -> Sequence[Crl]:
        """Give the lists that may be about a certificate: complete ones and deltas, any order."""
        ...

    def ocsp(self, certificate: Certificate, issuer: Certificate) -> Sequence[OcspAnswer]:
        """Give the OCSP answers about a certificate, the newest first."""
        ...


# Takes a certificate and its issuer.
Want: TypeAlias = Callable[[Certificate, Certificate], None]


@dataclass(frozen=True, slots=True)
class Revocation:
    """How revocation is judged: by which answers, and what becomes of what they do not say.

    `want` is told, and returns at once, which certificate of which issuer nothing is known of;
    only of those on a way that leads to an anchor, so that no stranger makes us ask anybody.
    """

    mode: Mode
    answers: Answers
    want: Want = lambda _certificate, _issuer: None


# Says whether a certificate that is not the issuer's own may sign a list for it: `""`, or why not.
Vouch = Callable[[Certificate], str]
# Gives certificates by the name of their subject (`Certificate.subject_key`).
Signers = Callable[[bytes], Iterable[Certificate]]


def standing(
    certificate: Certificate,
    issuer: Certificate,
    answers: Answers,
    at: datetime,
    *,
    signers: Signers = lambda _subject_key: (),
    vouch: Vouch = lambda _signer: "not the issuer's own",
    unsafe_weak: bool = False,
) -> Standing:
    """Judge one certificate below its issuer at a time, aware UTC; never raises.

    `signers` gives further certificates that may have signed a list; `vouch` says of one whether it
    is trusted to; `unsafe_weak` as in `Profile`. What was revoked stays so, however old the answer
    is; that it was not is believed only while the answer holds.
    """
    told = [
        _by_ocsp(answer, certificate, issuer, at) for answer in answers.ocsp(certificate, issuer)
    ]
    decisive = next((one for one in told if one.status is not Status.UNKNOWN), None)
    if decisive is not None:
        return decisive
    lists = list(answers.lists(certificate, issuer))[:MAX_LISTS]
    by_list = _ByLists(certificate, issuer, at, signers, vouch, unsafe_weak).judge(lists)
    if by_list.status is Status.UNKNOWN and told and not lists:
        return told[0]
    return by_list


def _by_ocsp(
    answer: OcspAnswer, certificate: Certificate, issuer: Certificate, at: datetime
) -> Standing:
    if not answer.is_about(certificate, issuer):
        return Standing(Status.UNKNOWN, "the OCSP answer is about another certificate")
    objection = answer.objection(issuer, at)
    if objection:
        return Standing(Status.UNKNOWN, f"the OCSP answer does not count: {objection}")
    if answer.revoked_at is not None and answer.revoked_at <= at:
        return _revoked(certificate, Entry(answer.revoked_at, answer.reason))
    if not answer.known:
        return Standing(Status.UNKNOWN, "the OCSP responder does not know it")
    if not holds(answer.this_update, answer.next_update, at):
        return Standing(Status.UNKNOWN, "the OCSP answer is out of date")
    return Standing(Status.GOOD)


def _revoked(certificate: Certificate, entry: Entry) -> Standing:
    when = f"{entry.at:%Y-%m-%d}" if entry.at.year > 1 else "a day nobody can read"
    return Standing(Status.REVOKED, f"{certificate.subject}: revoked on {when} ({entry.reason})")


def holds(this_update: datetime, next_update: datetime | None, at: datetime) -> bool:
    """Tell whether an answer or a list is believed at a time, aware UTC, clocks being as they are.

    RFC 5280 5.1.2.5: a list without an end holds never.
    """
    if this_update > at + CLOCK_SKEW:
        return False
    # Not `next_update + CLOCK_SKEW`: the last second of the year 9999 means that it never ends.
    return next_update is not None and at - CLOCK_SKEW <= next_update


@dataclass(frozen=True, slots=True)
class _Point:
    """A distribution point of a certificate (RFC 5280 4.2.1.13), as it is held against lists."""

    names: frozenset[bytes]
    issuers: frozenset[bytes]
    reasons: frozenset[ReasonFlags]


@dataclass(frozen=True, slots=True)
class _ByLists:
    """RFC 5280 6.3.3 for one certificate."""

    certificate: Certificate
    issuer: Certificate
    at: datetime
    signers: Signers
    vouch: Vouch
    unsafe_weak: bool

    def judge(self, lists: Sequence[Crl]) -> Standing:
        """Ask every list that is about the certificate, until all reasons are covered."""
        try:
            points = list(_points(self.certificate))
        except LIBRARY_ERRORS:
            return Standing(Status.UNKNOWN, "its distribution points cannot be read")
        complete = [one for one in lists if one.base is None]
        deltas = [one for one in lists if one.base is not None]
        covered: frozenset[ReasonFlags] = frozenset()
        obstacle = "no revocation list is at hand" if not complete else ""
        for crl in complete:
            reasons = self._reasons(crl, points)
            if not reasons:
                obstacle = obstacle or "the revocation list is not about it"
                continue
            objection = self._objection(crl)
            usable = [] if objection else [d for d in deltas if self._adds_to(d, crl)]
            entry = None if objection else _look_up(self.certificate, crl, usable)
            if entry is not None and entry.at <= self.at:
                return _revoked(self.certificate, entry)
            objection = objection or self._staleness(crl, usable)
            if objection:
                obstacle = objection
                continue
            covered |= reasons
        if covered >= _ALL_REASONS:
            return Standing(Status.GOOD)
        return Standing(Status.UNKNOWN, obstacle or "no list covers all reasons for a revocation")

    def _reasons(self, crl: Crl, points: Sequence[_Point]) -> frozenset[ReasonFlags]:
        """Give the reasons a list covers for the certificate; none when it is not about it.

        Steps (b) and (d) of 6.3.3.
        """
        scope = crl.scope
        only = frozenset(_ALL_REASONS)
        if scope is not None:
            is_ca = self.certificate.is_ca
            if (
                scope.only_contains_attribute_certs
                or (scope.only_contains_user_certs and is_ca)
                or (scope.only_contains_ca_certs and not is_ca)
            ):
                return frozenset()
            if scope.only_some_reasons is not None:
                only = frozenset(scope.only_some_reasons)
        return frozenset().union(
            *(point.reasons & only for point in points if self._is_about(crl, point))
        )

    def _is_about(self, crl: Crl, point: _Point) -> bool:
        if point.issuers:
            if not (crl.is_indirect and crl.issuer_key in point.issuers):
                return False
        elif crl.issuer_key != self.certificate.issuer_key:
            return False
        named = _scope_names(crl)
        return named is None or not named.isdisjoint(point.names or point.issuers)

    def _objection(self, crl: Crl) -> str:
        """Say why a list may not be used at all: steps (f) and (g), and its own problem."""
        if crl.problem:
            return f"its revocation list: {crl.problem}"
        unfit = ""
        for signer in self._candidates(crl):
            if not self._is_signed(crl, signer):
                continue
            if not _may_sign_lists(signer):
                unfit = "its revocation list is signed by a key that may not"
                continue
            reason = "" if signer == self.issuer else self.vouch(signer)
            if not reason:
                return ""
            unfit = f"who signed its revocation list: {reason}"
        return unfit or "its revocation list is not signed by anybody known"

    def _candidates(self, crl: Crl) -> Iterator[Certificate]:
        named = dict.fromkeys((self.issuer, *self.signers(crl.issuer_key)))
        of_name = (signer for signer in named if signer.subject_key == crl.issuer_key)
        # Each try hashes the list, which is long; the key identifier is a hint (RFC 5280 5.2.1).
        # One that the list does not give says nothing: mail can bring any number of one name.
        hint = crl.authority_key
        likelier = sorted(of_name, key=lambda signer: hint is not None and signer.ski != hint)
        tried = likelier[:MAX_SIGNERS_TRIED]
        if self.issuer in likelier[MAX_SIGNERS_TRIED:]:
            tried[-1] = self.issuer  # whatever else has its name and the key identifier
        yield from tried

    def _adds_to(self, delta: Crl, crl: Crl) -> bool:
        """Tell whether a delta may be laid over a complete list: steps (c) and (h)."""
        if delta.issuer_key != crl.issuer_key or delta.authority_key != crl.authority_key:
            return False
        if delta.scope != crl.scope or crl.number is None or delta.number is None:
            return False
        if delta.base is None or not delta.base <= crl.number < delta.number:
            return False
        if delta.problem or self._staleness(delta, ()):
            return False
        return any(
            self._is_signed(delta, signer) and self._is_signed(crl, signer)
            for signer in self._candidates(crl)
        )

    def _is_signed(self, crl: Crl, signer: Certificate) -> bool:
        return crl.signed_by(signer, unsafe_weak=self.unsafe_weak)

    def _staleness(self, crl: Crl, deltas: Sequence[Crl]) -> str:
        # A delta that holds makes a base of before current again (RFC 5280 5.2.4).
        if deltas or holds(crl.this_update, crl.next_update, self.at):
            return ""
        return f"its revocation list of {crl.this_update:%Y-%m-%d} is out of date"


def _look_up(certificate: Certificate, crl: Crl, deltas: Sequence[Crl]) -> Entry | None:
    """Steps (i) to (k): the newest delta says it first, then the complete list."""
    for one in (*sorted(deltas, key=lambda delta: delta.number or 0, reverse=True), crl):
        entry = one.entry(certificate)
        if entry is not None:
            return None if entry.reason == _REMOVED else entry
    return None


def _may_sign_lists(signer: Certificate) -> bool:
    try:
        for extension in signer.x509().extensions:
            if isinstance(extension.value, x509.KeyUsage):
                return extension.value.crl_sign
    except LIBRARY_ERRORS:
        return False
    return True


def _points(certificate: Certificate) -> Iterator[_Point]:
    """Give the distribution points, and without any the issuer itself (RFC 5280 6.3.3)."""
    found = False
    for extension in certificate.x509().extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            for point in extension.value:
                found = True
                yield _point(certificate, point)
    if not found:
        yield _Point(frozenset({certificate.issuer_key}), frozenset(), _ALL_REASONS)


def _point(certificate: Certificate, point: x509.DistributionPoint) -> _Point:
    issuers = frozenset(_keys(point.crl_issuer or ()))
    if point.relative_name is not None:
        bases = issuers or {certificate.issuer_key}
        names = frozenset(base + _relative(point.relative_name) for base in bases)
    else:
        names = frozenset(_keys(point.full_name or ()))
    reasons = frozenset(point.reasons) if point.reasons is not None else _ALL_REASONS
    return _Point(names, issuers, reasons)


def _scope_names(crl: Crl) -> frozenset[bytes] | None:
    """Give the names of the distribution point a list is for; None: for all.

    A list for a point that has only names of other kinds is about nobody we could tell.
    """
    scope = crl.scope
    if scope is None or (scope.relative_name is None and scope.full_name is None):
        return None
    if scope.relative_name is not None:
        return frozenset({crl.issuer_key + _relative(scope.relative_name)})
    return frozenset(_keys(scope.full_name or ()))


def _keys(names: Iterable[x509.GeneralName]) -> Iterator[bytes]:
    for name in names:
        if isinstance(name, x509.DirectoryName):
            yield name_key(name.value.public_bytes())
        elif isinstance(name, x509.UniformResourceIdentifier):
            yield name.value.encode()


def _relative(name: x509.RelativeDistinguishedName) -> bytes:
    """Give what a name with one more RDN has behind the key of the name without it."""
    return name_key(x509.Name([name]).public_bytes())
