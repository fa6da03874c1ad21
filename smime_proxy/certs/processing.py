"""Process one finished path from its anchor down, as RFC 5280 says, for the use of mail.

RFC 5280 6.1.2 to 6.1.5, with RFC 9618 for policies and RFC 5937 for what an anchor's certificate
constrains; RFC 8550 4.4. The numbers label the checks of each certificate.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509

from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate
from smime_proxy.certs.constraints import ConstraintFault, Constraints
from smime_proxy.certs.policies import POLICY_MAPPINGS, PolicyFault, PolicyGraph, read_policies
from smime_proxy.certs.profile import MAIL, Profile
from smime_proxy.certs.signature import is_signed_by

REMEMBERED_PATHS = 2048  # distinct chains of a day's correspondents; bounds memory

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)

_PROCESSED = frozenset(
    {
        x509.AuthorityKeyIdentifier.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.KeyUsage.oid,
        x509.CertificatePolicies.oid,
        POLICY_MAPPINGS,
        x509.SubjectAlternativeName.oid,
        x509.BasicConstraints.oid,
        x509.NameConstraints.oid,
        x509.PolicyConstraints.oid,
        x509.ExtendedKeyUsage.oid,
        x509.CRLDistributionPoints.oid,
        x509.InhibitAnyPolicy.oid,
    }
)


@dataclass(frozen=True, slots=True)
class Processed:
    """What is wrong with a path, ``""`` if nothing is, and the policies that hold for all of it."""

    objection: str
    policies: frozenset[str] = field(default=frozenset())


class _Fault(Exception):  # noqa: N818 - what is wrong with a path, no error of ours
    """Never leaves this module."""


def window(path: tuple[Certificate, ...]) -> tuple[datetime, datetime]:
    """Give the time in which every certificate of a path is valid; empty if the end is first."""
    return max(c.not_before for c in path), min(c.not_after for c in path)


@lru_cache(maxsize=REMEMBERED_PATHS)
def process(path: tuple[Certificate, ...], profile: Profile = MAIL) -> Processed:
    """Judge a path, leaf first and anchor last, but for the time; never raises.

    The answer holds at any time, so it is remembered. An empty `window` is no objection: what ended
    before its authority's certificate was issued anew has expired, and mail to its holder must not
    become clear text because nobody remembers that he had one. The signatures between the
    certificates are verified here again, which costs nothing: they are remembered too.
    """
    try:
        return Processed("", _walk(path, profile))
    except _Fault as fault:
        return Processed(str(fault))


def _walk(path: tuple[Certificate, ...], profile: Profile) -> frozenset[str]:
    *below, anchor = path
    graph = PolicyGraph(profile, len(below))
    constraints = Constraints([])
    issuer, room = anchor, _anchored(anchor, constraints, profile)
    for depth in range(len(below) - 1, -1, -1):
        certificate = below[depth]
        try:
            extensions = _extensions(certificate)
            self_issued = certificate.subject_key == certificate.issuer_key
            _basic(certificate, issuer, extensions, profile)
            if depth == 0 or not self_issued:
                constraints.check(certificate, _alternative_names(extensions))
            graph.take(read_policies(extensions), self_issued=self_issued)
            if depth:
                room = _prepare(certificate, extensions, room, profile, self_issued=self_issued)
                constraints.add(_value(extensions, x509.NameConstraints))
            else:
                _end(certificate, profile)
        except (_Fault, ConstraintFault, PolicyFault) as fault:
            raise _Fault(_said_of(certificate, depth, str(fault))) from None
        issuer = certificate
    return graph.held()


def _anchored(anchor: Certificate, constraints: Constraints, profile: Profile) -> int | None:
    """Start from the anchor: its constraints count (RFC 5937), old ones of version 1 have none.

    Gives how many certificates of authorities may follow, None for any number.
    """
    if anchor.version != 3:  # noqa: PLR2004 - the only version with extensions
        return None
    try:
        extensions = _extensions(anchor)
        _may_issue(anchor, profile)
        _understood(extensions)
        constraints.add(_value(extensions, x509.NameConstraints))
    except (_Fault, ConstraintFault) as fault:
        raise _Fault(f"{anchor.subject}: {fault}") from None
    basic = _value(extensions, x509.BasicConstraints)
    return basic.path_length if basic is not None else None


def _basic(
    certificate: Certificate, issuer: Certificate, extensions: x509.Extensions, profile: Profile
) -> None:
    """RFC 5280 6.1.3 (a), and what 6.1.4 (o) and 6.1.5 (f) say of extensions."""
    # 1. Version 3, or there are no extensions to rely on (RFC 5280 6.1.4 (k)).
    if certificate.version != 3:  # noqa: PLR2004 - the only version with extensions
        raise _Fault(f"version {certificate.version} certificate")
    # 2. The names chain, by value, and the signature is the issuer's.
    if certificate.issuer_key != issuer.subject_key:
        raise _Fault("its issuer has another name")
    if not issuer.subject_key:  # RFC 5280 4.1.2.6
        raise _Fault("its issuer has no name")
    if not is_signed_by(certificate, issuer, unsafe_weak=profile.unsafe_weak):
        raise _Fault(certificate.weak or "the signature of its issuer does not hold")
    # 3. Strength of the key and of what it was signed with.
    if certificate.weak and not profile.unsafe_weak:
        raise _Fault(certificate.weak)
    # 4. A serial number, and nothing critical that is not understood.
    _understood(extensions)


def _understood(extensions: x509.Extensions) -> None:
    for extension in extensions:
        if extension.critical and extension.oid not in _PROCESSED:
            raise _Fault(f"unknown critical extension {extension.oid.dotted_string}")


def _prepare(
    certificate: Certificate,
    extensions: x509.Extensions,
    room: int | None,
    profile: Profile,
    *,
    self_issued: bool,
) -> int | None:
    """RFC 5280 6.1.4 (k) to (n): it may issue, and the path is not too long; gives what is left."""
    basic = _value(extensions, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise _Fault("is no certificate authority's")
    _may_issue(certificate, profile)
    if not self_issued and room is not None:
        if room == 0:
            raise _Fault("more authorities follow than the path length allows")
        room -= 1
    if basic.path_length is not None:
        room = basic.path_length if room is None else min(room, basic.path_length)
    return room


def _may_issue(certificate: Certificate, profile: Profile) -> None:
    """Ask for cA, keyCertSign, and emailProtection if it says at all what for."""
    if not certificate.may_issue:
        raise _Fault("may not issue certificates" + (" for mail" if profile.for_mail else ""))


def _end(certificate: Certificate, profile: Profile) -> None:
    # An authority does not sign mail with its own key unless it is pinned.
    if profile.for_mail and certificate.is_ca:
        raise _Fault("a certificate authority's certificate used as an end entity's")


def _extensions(certificate: Certificate) -> x509.Extensions:
    try:
        return certificate.x509().extensions
    except LIBRARY_ERRORS:
        raise _Fault("its extensions cannot be read") from None


def _value(extensions: x509.Extensions, kind: type[ExtensionT]) -> ExtensionT | None:
    for extension in extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _alternative_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    names = _value(extensions, x509.SubjectAlternativeName)
    return [] if names is None else list(names)


def _said_of(certificate: Certificate, depth: int, what: str) -> str:
    """Name the certificate a fault is of; of the end entity's people know the name."""
    return what if depth == 0 and not certificate.subject else f"{certificate.subject}: {what}"
