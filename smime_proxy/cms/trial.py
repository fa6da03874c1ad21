"""Tries the keys of the certificates that a signer names, within a budget for each message.

RFC 5652 5.4-5.6, RFC 5035 3, RFC 8419 3.1, RFC 9882 3.2.
"""

from collections.abc import Iterator, Sequence
from enum import Enum

from smime_proxy.cms import der
from smime_proxy.cms.algorithms import Digest, Strength
from smime_proxy.cms.certificate_fields import CertificateFields, PublicKey, read_certificate
from smime_proxy.cms.der import Content, Octets
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.signature import is_weak, usable_key, verifies, verifies_octets
from smime_proxy.cms.signed_attributes import SignedAttributes, encodings
from smime_proxy.cms.signed_data import SignedData, SignerInfo
from smime_proxy.cms.ways import Way

MAX_TRIES = 64  # public key operations for one message; 16 signers with doubtful bags
MAX_DIGESTS = 4  # of one message, each a pass over all of the content; real ones have one or two
WHOLE_CONTENT = 8  # tries that one over all of the content counts as: it is hashed each time


class Integrity(Enum):
    """Whether the octets are what the signer signed."""

    INTACT = "intact"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Finding(Exception):  # noqa: N818 - a verdict, not an error
    """Ends the checks of one signer with a verdict other than INTACT."""

    def __init__(self, integrity: Integrity, reason: str) -> None:
        super().__init__(reason)
        self.integrity = integrity
        self.reason = reason


class Trial:
    """What the signers of one message share: digests made once, certificates, tries left."""

    def __init__(
        self, signed: SignedData, contents: Sequence[Content], extra: Sequence[bytes]
    ) -> None:
        self.signed = signed
        self.candidates = [der.pieces(content) for content in contents]
        self.substituted = False
        if signed.content is not None and not contents:
            self.candidates = [signed.content]
        elif signed.content is not None:
            own = signed.content
            self.substituted = not any(_same(own, candidate) for candidate in self.candidates)
        self.tries_left = MAX_TRIES
        self._certificates = _readable((*signed.certificates, *extra))
        self._digests: dict[str, list[bytes]] = {}

    def digests(self, digest: Digest) -> list[bytes]:
        """Digest of each candidate; raises the verdict UNKNOWN past MAX_DIGESTS."""
        found = self._digests.get(digest.name)
        if found is None:
            if len(self._digests) >= MAX_DIGESTS:
                raise Finding(Integrity.UNKNOWN, "too many digests")
            found = self._digests[digest.name] = [digest.of(one) for one in self.candidates]
        return found

    def spend(self, tries: int) -> None:
        """Count public key operations; raises the verdict UNKNOWN past MAX_TRIES."""
        self.tries_left -= tries
        if self.tries_left < 0:
            raise Finding(Integrity.UNKNOWN, "too many certificates to try")

    def certificates(self, signer: SignerInfo) -> list[tuple[bytes, CertificateFields]]:
        """Every certificate the signer's identifier fits: two may share issuer and serial."""
        return [
            (certificate, fields)
            for certificate, fields in self._certificates
            if signer.sid.matches(fields.issuer, fields.serial, fields.ski)
        ]


def check_signature(
    trial: Trial,
    certificates: list[tuple[bytes, CertificateFields]],
    signer: SignerInfo,
    possible: list[Way],
    attributes: SignedAttributes | None,
) -> tuple[bytes, bool]:
    """The certificate whose key made the signature, and whether key or digest is weak."""
    if not certificates:
        raise Finding(Integrity.UNKNOWN, "no certificate")
    finding = None
    for certificate, fields in certificates:
        try:
            key = usable_key(fields, possible[0].kind, possible[0].pss)
        except UnsupportedAlgorithm as error:
            finding = finding or Finding(Integrity.UNKNOWN, str(error))
            continue
        used = _verifying_way(trial, signer, key, possible)
        if used is None:
            finding = Finding(Integrity.BROKEN, "the signature does not verify")
        elif attributes is not None and not _is_meant(certificate, attributes):
            finding = Finding(Integrity.BROKEN, "another certificate was signed with")
        else:
            weak = used.digest is not None and used.digest.strength is not Strength.STRONG
            return certificate, weak or is_weak(key)
    raise finding or Finding(Integrity.UNKNOWN, "no certificate")


def _verifying_way(
    trial: Trial, signer: SignerInfo, key: PublicKey, possible: list[Way]
) -> Way | None:
    for way in possible:
        if way.digest is None:
            if _verifies_octets(trial, signer, key):
                return way
            continue
        for hashed in _hashed(trial, signer, way.digest):
            trial.spend(1)
            if verifies(key, signer.signature, way.digest, hashed, way.pss):
                return way
    return None


def _verifies_octets(trial: Trial, signer: SignerInfo, key: PublicKey) -> bool:
    if signer.signed_attributes is not None:
        for encoding in encodings(signer.signed_attributes):
            trial.spend(1)
            if verifies_octets(key, signer.signature, encoding):
                return True
        return False
    for candidate in trial.candidates:
        trial.spend(WHOLE_CONTENT)
        octets = candidate[0] if len(candidate) == 1 else b"".join(candidate)
        if verifies_octets(key, signer.signature, octets):
            return True
    return False


def _hashed(trial: Trial, signer: SignerInfo, digest: Digest) -> Iterator[bytes]:
    """Digests of what may have been signed."""
    if signer.signed_attributes is None:
        yield from dict.fromkeys(trial.digests(digest))
    else:
        for encoding in encodings(signer.signed_attributes):
            yield digest.of((encoding,))


def _is_meant(certificate: bytes, attributes: SignedAttributes) -> bool:
    return all(
        digest.of((certificate,)) == value
        for digest, value in attributes.certificate_hashes
        if digest.new is not None
    )


def _same(one: Sequence[Octets], other: Sequence[Octets]) -> bool:
    return der.size(one) == der.size(other) and b"".join(one) == b"".join(other)


def _readable(certificates: Sequence[bytes]) -> list[tuple[bytes, CertificateFields]]:
    found = []
    for certificate in dict.fromkeys(certificates):
        try:
            found.append((certificate, read_certificate(certificate)))
        except CmsError:
            continue  # a certificate nobody can read identifies nobody
    return found
