"""Certificate revocation lists as values: read once, looked up in microseconds.

RFC 5280 5 (profile); what a list means for a certificate is decided in `certs.revocation`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from cryptography import x509

from smime_proxy.certs.certificate import LIBRARY_ERRORS, Certificate
from smime_proxy.certs.entry_index import EntryIndex
from smime_proxy.certs.errors import CertificateError, one_line
from smime_proxy.certs.names import name_key, read_element
from smime_proxy.certs.signature import verifies

MAX_CRL_OCTETS = 64_000_000  # the largest of a public authority seen had 20 MB
REMEMBERED_SIGNATURES = 256  # (list, signer) pairs; an organisation meets some dozens

# (key of the issuer's name, "" for that of the list itself; serial number as encoded; place)
_Entry: TypeAlias = tuple[bytes, bytes, int]

_BOOLEAN, _INTEGER, _SEQUENCE = 0x01, 0x02, 0x30
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_DIRECTORY_NAME = 0xA4  # [4] EXPLICIT in GeneralName
_CRITICAL = b"\x01\x01\xff"  # an extension's critical, TRUE
_SHORT = 0x80  # lengths below have one octet (X.690 8.1.3.4)
_UNDERSTOOD = frozenset(
    {
        x509.AuthorityKeyIdentifier.oid,
        x509.CRLNumber.oid,
        x509.DeltaCRLIndicator.oid,
        x509.IssuingDistributionPoint.oid,
        x509.FreshestCRL.oid,
        x509.IssuerAlternativeName.oid,
    }
)
# Encoded OIDs of RFC 5280 5.3: 2.5.29.21, .24 and .29.
_REASON_CODE, _INVALIDITY_DATE, _CERTIFICATE_ISSUER = (
    b"\x06\x03\x55\x1d" + bytes([number]) for number in (21, 24, 29)
)
_UNDERSTOOD_OF_ENTRIES = frozenset({_REASON_CODE, _INVALIDITY_DATE, _CERTIFICATE_ISSUER})
_REASONS = {  # RFC 5280 5.3.1, as an encoded ENUMERATED
    b"\x0a\x01" + bytes([number]): flag.value
    for number, flag in (
        (1, x509.ReasonFlags.key_compromise),
        (2, x509.ReasonFlags.ca_compromise),
        (3, x509.ReasonFlags.affiliation_changed),
        (4, x509.ReasonFlags.superseded),
        (5, x509.ReasonFlags.cessation_of_operation),
        (6, x509.ReasonFlags.certificate_hold),
        (8, x509.ReasonFlags.remove_from_crl),
        (9, x509.ReasonFlags.privilege_withdrawn),
        (10, x509.ReasonFlags.aa_compromise),
    )
}


@dataclass(frozen=True, slots=True)
class Entry:
    """When a certificate was revoked, and why, in the words of RFC 5280 5.3.1."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """A list: who issued it, when it holds, what it is about, and its entries.

    `number` and `base` are those of the list and, of a delta, of the list it adds to. `scope` is
    its issuingDistributionPoint. `problem` says why it may be used for nothing, ``""`` if it may.
    """

    fingerprint: str
    issuer_key: bytes = field(repr=False)
    issuer: str
    this_update: datetime
    next_update: datetime | None
    number: int | None
    base: int | None
    authority_key: bytes | None = field(repr=False)
    scope: x509.IssuingDistributionPoint | None = field(repr=False)
    problem: str
    _parsed: x509.CertificateRevocationList = field(repr=False)
    _der: bytes = field(repr=False)
    _entries: EntryIndex = field(repr=False)

    @classmethod
    def from_der(cls, der: bytes) -> "Crl":
        """Read a list; raises `CertificateError` for what is none (RFC 5280 5.1)."""
        if len(der) > MAX_CRL_OCTETS:
            raise CertificateError(f"a list of more than {MAX_CRL_OCTETS} octets")
        try:
            return _read(der)
        except (*LIBRARY_ERRORS, IndexError) as error:
            raise CertificateError(f"not a readable revocation list: {one_line(error)}") from error

    def __len__(self) -> int:
        """How many certificates it names."""
        return len(self._entries)

    @property
    def is_indirect(self) -> bool:
        """Tell whether it may name certificates of other issuers (RFC 5280 5.2.5)."""
        return self.scope is not None and self.scope.indirect_crl

    def entry(self, certificate: Certificate) -> Entry | None:
        """Look a certificate up by issuer and serial number; None when it is not named."""
        serial = _encoded(certificate.serial)
        own = certificate.issuer_key == self.issuer_key
        place = self._entries.place(certificate.issuer_key, serial)
        if place is None and own:
            place = self._entries.place(b"", serial)
        return None if place is None else _entry(self._der, place)

    def _signed_octets(self) -> bytes:
        # Cut out, for the library would encode every entry anew.
        _, start, _ = read_element(self._der, 0)
        return self._der[start : read_element(self._der, start)[2]]

    def signed_by(self, signer: Certificate, *, unsafe_weak: bool = False) -> bool:
        """Verify its signature with the key of a certificate; remembered.

        `unsafe_weak` is for test suites whose lists are signed with SHA-1.
        """
        return _is_signed(self, signer, unsafe_weak)


@lru_cache(maxsize=REMEMBERED_SIGNATURES)
def _is_signed(crl: Crl, signer: Certificate, unsafe_weak: bool) -> bool:  # noqa: FBT001 - a key of the cache
    parsed = crl._parsed  # noqa: SLF001 - of this module
    if signer.weak_key and not unsafe_weak:  # such as one made to cost us time
        return False
    try:
        return verifies(
            signer.x509().public_key(),
            parsed.signature,
            crl._signed_octets(),  # noqa: SLF001 - same
            parsed.signature_algorithm_parameters,
            parsed.signature_hash_algorithm,
            parsed.signature_algorithm_oid.dotted_string,
            unsafe_weak=unsafe_weak,
        )
    except LIBRARY_ERRORS:
        return False


def _read(der: bytes) -> Crl:
    parsed = x509.load_der_x509_crl(der)
    issuer, (start, end) = _cut(der)
    extensions = list(parsed.extensions)
    values = {type(extension.value): extension.value for extension in extensions}
    unknown = [e.oid.dotted_string for e in extensions if e.critical and e.oid not in _UNDERSTOOD]
    problem = f"unknown critical extension {unknown[0]}" if unknown else ""
    scope: Any = values.get(x509.IssuingDistributionPoint)
    if (scope is not None and scope.indirect_crl) or der.find(_CRITICAL, start, end) >= 0:
        problems: list[str] = []
        entries = EntryIndex.of(der, _with_extensions(der, start, end, problems))
        problem = problem or "".join(problems)
    else:
        entries = EntryIndex.of(der, _plain(der, start, end))
    number: Any = values.get(x509.CRLNumber)
    delta: Any = values.get(x509.DeltaCRLIndicator)
    authority: Any = values.get(x509.AuthorityKeyIdentifier)
    return Crl(
        fingerprint=hashlib.sha256(der).hexdigest(),
        issuer_key=name_key(issuer),
        issuer=str(parsed.issuer.rfc4514_string()),
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        number=number.crl_number if number else None,
        base=delta.crl_number if delta else None,
        authority_key=authority.key_identifier if authority else None,
        scope=scope,
        problem=problem,
        _parsed=parsed,
        _der=der,
        _entries=entries,
    )


def _cut(der: bytes) -> tuple[bytes, tuple[int, int]]:
    """Give the encoded issuer, and where the entries begin and end (RFC 5280 5.1)."""
    _, start, _ = read_element(der, 0)
    _, at, end = read_element(der, start)
    if der[at] == _INTEGER:
        at = read_element(der, at)[2]
    issuer_at = read_element(der, at)[2]
    behind = read_element(der, end)[2]
    if der[at:issuer_at] != der[end:behind]:
        raise ValueError("it names two signature algorithms")  # RFC 5280 5.1.1.2
    if der[read_element(der, behind)[1]] != 0:
        raise ValueError("a signature of no whole octets")
    at = read_element(der, issuer_at)[2]
    issuer = der[issuer_at:at]
    while at < end and der[at] in {_UTC_TIME, _GENERALIZED_TIME}:
        at = read_element(der, at)[2]
    if at < end and der[at] == _SEQUENCE:
        _, first, last = read_element(der, at)
        return issuer, (first, last)
    return issuer, (at, at)


def _plain(der: bytes, at: int, end: int) -> Iterator[_Entry]:
    """Give serial number and place of each entry; written for hundreds of thousands of them."""
    while at < end:
        length, serial = der[at + 1], der[at + 3]
        if length >= _SHORT or serial >= _SHORT:
            _, inside, after = read_element(der, at)
            _, first, last = read_element(der, inside)
            yield b"", der[first:last], at
            at = after
        else:
            yield b"", der[at + 4 : at + 4 + serial], at
            at += 2 + length


def _with_extensions(der: bytes, at: int, end: int, problems: list[str]) -> Iterator[_Entry]:
    """Read the extensions of each entry too: whose certificates they are (RFC 5280 5.3.3).

    `problems` gets the first thing that makes the list unusable.
    """
    issuer = b""
    while at < end:
        _, inside, after = read_element(der, at)
        _, first, last = read_element(der, inside)
        for oid, critical, value in _entry_extensions(der, last, after):
            if oid == _CERTIFICATE_ISSUER:
                issuer = _directory_name(value)
            elif critical and oid not in _UNDERSTOOD_OF_ENTRIES and not problems:
                problems.append("unknown critical extension of an entry")
        yield issuer, der[first:last], at
        at = after


def _entry_extensions(der: bytes, at: int, end: int) -> Iterator[tuple[bytes, bool, bytes]]:
    """Give encoded OID, criticality and value of the extensions behind an entry's serial number."""
    at = read_element(der, at)[2]  # the date
    if at >= end:
        return
    _, at, end = read_element(der, at)
    while at < end:
        _, inside, after = read_element(der, at)
        named = read_element(der, inside)[2]
        critical = der[named] == _BOOLEAN
        value = read_element(der, named)[2] if critical else named
        _, first, last = read_element(der, value)
        yield der[inside:named], critical and der[value - 1] != 0, der[first:last]
        at = after


def _directory_name(der: bytes) -> bytes:
    _, at, end = read_element(der, 0)
    while at < end:
        tag, inside, after = read_element(der, at)
        if tag == _DIRECTORY_NAME:
            return name_key(der[inside:after])
        at = after
    raise ValueError("an entry of an issuer without a directory name")


def _entry(der: bytes, at: int) -> Entry:
    """Read one entry; the library has seen that all can be read."""
    _, inside, after = read_element(der, at)
    behind = read_element(der, inside)[2]
    day = _day(*read_element(der, behind), der)
    reason = "unspecified"
    for oid, _, value in _entry_extensions(der, behind, after):
        if oid == _REASON_CODE:
            reason = _REASONS.get(value, reason)
    return Entry(day, reason)


def _day(tag: int, first: int, last: int, der: bytes) -> datetime:
    """Read a Time; a year that Python has no date for is the first there is, long ago."""
    text = der[first:last].decode("ascii")
    if tag == _UTC_TIME:  # RFC 5280 4.1.2.5.1: 50 is 1950, where `strptime` takes it for 2050
        text = ("19" if text >= "50" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _encoded(serial: int) -> bytes:
    """Give the content octets of an INTEGER (X.690 8.3)."""
    return serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
