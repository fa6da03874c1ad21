"""Reads the signed attributes a verdict rests on, by the rules of RFC 5652 11.

RFC 5652 5.4 (what is hashed) and 11, RFC 2634 5.4 and RFC 5035 3 (signing certificate),
RFC 6211 (algorithm protection).
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from smime_proxy.cms import algorithms, ber, der, oids
from smime_proxy.cms.algorithms import Digest
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.signed_data import SignerInfo

_SIGNED_ONLY = frozenset((oids.CONTENT_TYPE, oids.MESSAGE_DIGEST, oids.SIGNING_TIME))
_TIME = re.compile(
    rb"(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:[.,]\d+)?(?:Z|([+-])(\d{2})(\d{2}))"
)
_MAX_TIME = 40  # octets
_PROTECTED_SIGNATURE = 0xA1  # [1] IMPLICIT AlgorithmIdentifier
_UTC_PIVOT = 50  # years below are 20xx, RFC 5652 11.3


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """What the signer said; `certificate_hashes` name the certificate he meant, if he did."""

    content_type: str
    message_digest: bytes
    signing_time: datetime | None
    certificate_hashes: tuple[tuple[Digest, bytes], ...]


def read_signed_attributes(signer: SignerInfo) -> SignedAttributes:
    """The attributes of a signer that has some; raises MalformedCms when RFC 5652 11 is broken.

    contentType and messageDigest must be there, they and signingTime only once, with one value
    and not unsigned. A time that cannot be read is None. The algorithms that the signer protected
    must be those of the signerInfo (RFC 6211 2).
    """
    if any(attribute.oid in _SIGNED_ONLY for attribute in signer.unsigned_attributes):
        raise MalformedCms("an attribute that must be signed is not")
    content_type = _single(signer, oids.CONTENT_TYPE, "content type")
    message_digest = _single(signer, oids.MESSAGE_DIGEST, "message digest")
    if content_type is None or message_digest is None:
        raise MalformedCms("content type or message digest attribute is missing")
    signing_time = _single(signer, oids.SIGNING_TIME, "signing time")
    protected = _single(signer, oids.ALGORITHM_PROTECTION, "algorithm protection")
    if protected is not None:
        _check_algorithms(signer, ber.read_only(protected))
    hashes = _certificate_hashes(signer)
    return SignedAttributes(
        ber.object_identifier(ber.read_only(content_type)),
        ber.octet_string(ber.read_only(message_digest)),
        None if signing_time is None else read_time(signing_time),
        # Each costs a digest of the certificate, and one hash may be named thousands of times.
        tuple({(found.name, value): (found, value) for found, value in hashes}.values()),
    )


def encodings(signed_attributes: bytes) -> Iterator[bytes]:
    """The octets that may have been signed: as sent, then in DER, always tagged as a SET OF.

    DER is what RFC 5652 5.4 asks for, but signers that left the set unsorted hashed it so.
    """
    as_sent = bytes((der.SET,)) + signed_attributes[1:]
    definite = signed_attributes[1] != ber.INDEFINITE
    if definite:
        yield as_sent
    with suppress(MalformedCms):  # values that are no BER inside leave only what was sent
        element = ber.read_only(signed_attributes)
        sorted_set = ber.to_der(element, tag=der.SET)
        if not definite:
            as_sent = ber.to_der(element, tag=der.SET, sort=False)
            yield as_sent
        if sorted_set != as_sent:
            yield sorted_set


def read_time(encoded: bytes) -> datetime | None:
    """UTCTime or GeneralizedTime, aware; seconds and zone as BER has them; None if unreadable."""
    element = ber.read_only(encoded)
    if element.tag not in {der.UTC_TIME, der.GENERALIZED_TIME}:
        raise MalformedCms("signing time attribute is no time")
    found = _TIME.fullmatch(element.contents[:_MAX_TIME].tobytes())
    if found is None or (len(found[1]) == 2) != (element.tag == der.UTC_TIME):  # noqa: PLR2004
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if element.tag == der.UTC_TIME:
        year += 2000 if year < _UTC_PIVOT else 1900
    try:
        zone = _zone(found[7], found[8], found[9])
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(sign: bytes | None, hours: bytes | None, minutes: bytes | None) -> timezone:
    if sign is None:
        return UTC
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-offset if sign == b"-" else offset)


def _single(signer: SignerInfo, oid: str, name: str) -> bytes | None:
    found = [attribute for attribute in signer.attributes if attribute.oid == oid]
    if not found:
        return None
    if len(found) > 1 or len(found[0].values) != 1:
        raise MalformedCms(f"{name} attribute is not single")
    return found[0].values[0]


def _check_algorithms(signer: SignerInfo, protected: Element) -> None:
    match protected.expect(der.SEQUENCE).children():
        case [digest, signature] if signature.tag == _PROTECTED_SIGNATURE:
            found = [read_algorithm(digest), read_algorithm(_retagged(signature))]
        case _:
            raise MalformedCms("algorithm protection attribute is unreadable")
    used = [
        (signer.digest, signer.digest_parameters),
        (signer.signature_algorithm, signer.signature_parameters),
    ]
    if [_comparable(*one) for one in found] != [_comparable(*one) for one in used]:
        raise MalformedCms("the algorithms are not those that were signed")


def _retagged(element: Element) -> Element:
    """An implicitly tagged SEQUENCE as one."""
    return ber.read_only(ber.to_der(element, tag=der.SEQUENCE))


def _comparable(oid: str, parameters: bytes) -> tuple[str, bytes]:
    """An algorithm as DER; RFC 5754 2 makes absent and NULL parameters the same."""
    if parameters in {b"", der.NULL}:
        return oid, b""
    return oid, ber.to_der(ber.read_only(parameters))


def _certificate_hashes(signer: SignerInfo) -> Iterator[tuple[Digest, bytes]]:
    for attribute in signer.attributes:
        if attribute.oid not in {oids.SIGNING_CERTIFICATE, oids.SIGNING_CERTIFICATE_V2}:
            continue
        default = (
            algorithms.SHA1 if attribute.oid == oids.SIGNING_CERTIFICATE else algorithms.SHA256
        )
        for value in attribute.values:
            try:
                found = _first_hash(ber.read_only(value), default)
            except CmsError:
                continue  # unreadable: the signer himself wrote it, so nothing was exchanged
            if found is not None:
                yield found


def _first_hash(element: Element, default: Digest) -> tuple[Digest, bytes] | None:
    """Hash in the first ESSCertID or ESSCertIDv2, which is the signer's (RFC 5035 3)."""
    certificates = element.expect(der.SEQUENCE).children()
    first = certificates[0].children()[0].children() if _has_first(certificates) else []
    match first:
        case [algorithm, value, *_] if algorithm.tag == der.SEQUENCE:
            oid = ber.object_identifier(algorithm.children()[0]) if algorithm.children() else ""
            digest = algorithms.DIGESTS.get(oid)
            return None if digest is None else (digest, ber.octet_string(value))
        case [value, *_]:
            return default, ber.octet_string(value)
        case _:
            return None


def _has_first(certificates: list[Element]) -> bool:
    return bool(certificates) and bool(certificates[0].children())
