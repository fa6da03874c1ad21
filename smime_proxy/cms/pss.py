"""Reads and writes the parameters of RSASSA-PSS, and holds them against those of a key.

RFC 4055 1.2 and 3.1 (structure, defaults, keys with parameters), RFC 4056 2.2 and 3.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from smime_proxy.cms import algorithms, ber, der
from smime_proxy.cms.algorithms import MGF1, SHA1, Digest
from smime_proxy.cms.ber import Element
from smime_proxy.cms.content_info import read_algorithm
from smime_proxy.cms.errors import MalformedCms, UnsupportedAlgorithm

MAX_SALT = algorithms.MAX_RSA_BITS // 8  # octets; no key used here has room for more

_HASH, _MASK, _SALT, _TRAILER = 0xA0, 0xA1, 0xA2, 0xA3
_FIELDS = frozenset((_HASH, _MASK, _SALT, _TRAILER))
_TRAILER_BC = 1  # the one value there is


@dataclass(frozen=True, slots=True)
class PssParameters:
    """Digest of the message, digest inside MGF1, salt length in octets."""

    digest: Digest
    mask_digest: Digest
    salt_length: int

    def encode(self) -> bytes:
        """RSASSA-PSS-params as DER; the digests with NULL as RFC 4055 2.1 writes them."""
        digest, mask = (
            der.element(der.SEQUENCE, der.object_identifier(one.oid), der.NULL)
            for one in (self.digest, self.mask_digest)
        )
        mask = der.element(der.SEQUENCE, der.object_identifier(MGF1), mask)
        fields = [] if self.digest is SHA1 else [der.element(_HASH, digest)]
        fields += [] if self.mask_digest is SHA1 else [der.element(_MASK, mask)]
        if self.salt_length != DEFAULT.salt_length:
            fields.append(der.element(_SALT, der.integer(self.salt_length)))
        return der.element(der.SEQUENCE, *fields)

    def keeps(self, restriction: "PssParameters") -> bool:
        """Whether a key with these restrictions may be used so (RFC 4055 3.3)."""
        return (
            self.digest.name == restriction.digest.name
            and self.mask_digest.name == restriction.mask_digest.name
            and self.salt_length >= restriction.salt_length
        )


DEFAULT = PssParameters(SHA1, SHA1, 20)  # RFC 4055 3.1: what absent fields stand for


def read_pss_parameters(encoded: bytes) -> PssParameters:
    """Parameters of an AlgorithmIdentifier; absent ones and absent fields are the defaults.

    Raises MalformedCms, and UnsupportedAlgorithm for digests, masks and trailers nobody uses.
    """
    if encoded in {b"", der.NULL}:
        return DEFAULT
    children = ber.read_only(encoded).expect(der.SEQUENCE).children()
    fields = {child.tag: _inner(child) for child in children}
    if len(fields) != len(children) or fields.keys() - _FIELDS:
        raise MalformedCms("RSASSA-PSS parameters are unreadable")
    if _TRAILER in fields and ber.integer(fields[_TRAILER]) != _TRAILER_BC:
        raise UnsupportedAlgorithm(algorithms.RSASSA_PSS, "unknown trailer")
    salt_length = ber.integer(fields[_SALT]) if _SALT in fields else DEFAULT.salt_length
    if not 0 <= salt_length <= MAX_SALT:
        raise MalformedCms("RSASSA-PSS salt length is out of range")
    return PssParameters(
        _digest(fields[_HASH]) if _HASH in fields else SHA1,
        _mask(fields[_MASK]) if _MASK in fields else SHA1,
        salt_length,
    )


def _inner(field: Element) -> Element:
    match field.children():
        case [inner]:
            return inner
        case _:
            raise MalformedCms("RSASSA-PSS parameters are unreadable")


def _digest(element: Element) -> Digest:
    oid, parameters = read_algorithm(element)
    digest = algorithms.read_digest(oid, parameters)
    # SHAKE has identifiers of its own for RSASSA-PSS (RFC 8702 3.2.1).
    if digest is None or isinstance(digest.primitive, hashes.ExtendableOutputFunction | None):
        raise UnsupportedAlgorithm(oid, "unsupported digest")
    return digest


def _mask(element: Element) -> Digest:
    oid, parameters = read_algorithm(element)
    if oid != MGF1:
        raise UnsupportedAlgorithm(oid, "unsupported mask")
    return _digest(ber.read_only(parameters)) if parameters else SHA1
