"""Reads the parameters of RSASSA-PSS where the library does not: in OCSP responses.

RFC 4055 3.1. What is absent stands for SHA-1, by which nobody is believed here.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from smime_proxy.certs.names import read_element

MAX_SALT = 1024  # octets; no RSA key in use has room for more

_HASH, _MASK, _SALT, _TRAILER = 0xA0, 0xA1, 0xA2, 0xA3
_DEFAULT_SALT = 20
_TRAILER_BC = b"\x02\x01\x01"
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_SHA2 = bytes.fromhex("0609608648016503040200")[:-1]  # the arc of the NIST, without its last number
_DIGESTS: dict[bytes, hashes.HashAlgorithm] = {
    _SHA2 + b"\x01": hashes.SHA256(),
    _SHA2 + b"\x02": hashes.SHA384(),
    _SHA2 + b"\x03": hashes.SHA512(),
}


def read_pss(der: bytes) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """Read RSASSA-PSS-params; gives padding and digest. Raises ValueError or IndexError."""
    _, at, end = read_element(der, 0)
    fields: dict[int, bytes] = {}
    while at < end:
        tag, inside, after = read_element(der, at)
        if tag in fields or tag not in {_HASH, _MASK, _SALT, _TRAILER}:
            raise ValueError("not the parameters of RSASSA-PSS")
        fields[tag], at = der[inside:after], after
    if fields.get(_TRAILER, _TRAILER_BC) != _TRAILER_BC or not fields.keys() >= {_HASH, _MASK}:
        raise ValueError("SHA-1 or a trailer nobody uses")
    mask, parameters = _algorithm(fields[_MASK])
    if mask != _MGF1:
        raise ValueError("a mask nobody uses")
    return padding.PSS(padding.MGF1(_digest(parameters)), _salt(fields)), _digest(fields[_HASH])


def _algorithm(der: bytes) -> tuple[bytes, bytes]:
    """Give the encoded OID of an AlgorithmIdentifier, and its encoded parameters."""
    _, at, end = read_element(der, 0)
    behind = read_element(der, at)[2]
    return der[at:behind], der[behind:end]


def _digest(der: bytes) -> hashes.HashAlgorithm:
    digest = _DIGESTS.get(_algorithm(der)[0])
    if digest is None:
        raise ValueError("a digest nobody uses")
    return digest


def _salt(fields: dict[int, bytes]) -> int:
    if _SALT not in fields:
        return _DEFAULT_SALT
    _, first, last = read_element(fields[_SALT], 0)
    salt = int.from_bytes(fields[_SALT][first:last], "big", signed=True)
    if not 0 <= salt <= MAX_SALT:
        raise ValueError("a salt no key has room for")
    return salt
