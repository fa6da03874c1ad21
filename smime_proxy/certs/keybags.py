"""A look into a key file before it is opened: which keys it has and what opening would cost.

RFC 7292 4 (authenticated safe, bags), RFC 8018 A.4 (PBES2, PBKDF2), RFC 9579 (PBMAC1).
"""

from collections.abc import Iterator
from typing import Any

from asn1crypto import algos, core
from asn1crypto import keys as asn1_keys
from asn1crypto import pkcs12 as asn1_pkcs12

from smime_proxy.certs.definite import encoded, to_definite
from smime_proxy.certs.errors import KeyFileError

MAX_KDF_ROUNDS = 1_000_000  # about half a second of SHA-256; a file could ask for hours

_ENCRYPTED_KEY = "pkcs8_shrouded_key_bag"
_KEYS = frozenset({_ENCRYPTED_KEY, "key_bag"})
_SEQUENCE, _EXPLICIT_0, _OCTET_STRING = 0x30, 0xA0, 0x04
_DATA = core.ObjectIdentifier("1.2.840.113549.1.7.1").dump()
_PBMAC1 = "1.2.840.113549.1.5.14"


def key_bags(raw: bytes) -> tuple[bytes, ...]:
    """Give every PKCS #8 key of a PKCS #12 file that is not behind encrypted contents, as DER.

    Keys are nearly always outside, each encrypted by itself. Raises `KeyFileError` when the file
    is no PKCS #12 or asks for too many rounds of key derivation.
    """
    try:
        return tuple(_bags(asn1_pkcs12.Pfx.load(to_definite(raw))))
    except KeyFileError:
        raise
    except Exception as error:  # asn1crypto raises many kinds on malformed input
        raise KeyFileError("the file is neither PEM nor PKCS #12") from error


def without_keys(raw: bytes) -> bytes:
    """Give a PKCS #12 file that `key_bags` could read without its keys, and so without its MAC.

    Raises `KeyFileError` for faults where `key_bags` does not look.
    """
    try:
        return _rewritten(asn1_pkcs12.Pfx.load(to_definite(raw)))
    except Exception as error:  # asn1crypto raises many kinds on malformed input
        raise KeyFileError("the PKCS #12 file is malformed") from error


def _rewritten(pfx: Any) -> bytes:
    kept = []
    for content in asn1_pkcs12.AuthenticatedSafe.load(
        to_definite(bytes(pfx["auth_safe"]["content"]))
    ):
        if content["content_type"].native == "data":
            bags = asn1_pkcs12.SafeContents.load(to_definite(bytes(content["content"])))
            others = (bag.dump() for bag in bags if bag["bag_id"].native not in _KEYS)
            kept.append(_data(encoded(_SEQUENCE, b"".join(others))))
        else:
            kept.append(content.dump())
    authenticated = _data(encoded(_SEQUENCE, b"".join(kept)))
    return encoded(_SEQUENCE, pfx["version"].dump() + authenticated)


def _data(content: bytes) -> bytes:
    octets = encoded(_EXPLICIT_0, encoded(_OCTET_STRING, content))
    return encoded(_SEQUENCE, _DATA + octets)


def refuse_costly(der: bytes) -> None:
    """Refuse an EncryptedPrivateKeyInfo whose key derivation costs too much (RFC 5958 3).

    Raises `KeyFileError`, also for what is none.
    """
    try:
        _check_cost(asn1_keys.EncryptedPrivateKeyInfo.load(der)["encryption_algorithm"])
    except KeyFileError:
        raise
    except Exception as error:  # asn1crypto raises many kinds on malformed input
        raise KeyFileError("the encrypted private key is malformed") from error


def _bags(pfx: Any) -> Iterator[bytes]:
    if pfx["mac_data"].native is not None:
        _check_mac(pfx["mac_data"])
    safe = to_definite(bytes(pfx["auth_safe"]["content"]))
    for content in asn1_pkcs12.AuthenticatedSafe.load(safe):
        if content["content_type"].native == "encrypted_data":
            _check_cost(
                content["content"]["encrypted_content_info"]["content_encryption_algorithm"]
            )
        elif content["content_type"].native == "data":
            yield from _open_bags(bytes(content["content"]))


def _check_mac(mac: Any) -> None:
    _check_rounds(mac["iterations"].native)
    algorithm = mac["mac"]["digest_algorithm"]
    if algorithm["algorithm"].dotted == _PBMAC1:  # RFC 9579 2: its own rounds, in its parameters
        parameters = core.Sequence.load(algorithm["parameters"].dump())
        _check_derivation(algos.KdfAlgorithm.load(parameters[0].dump()))


def _open_bags(safe: bytes) -> Iterator[bytes]:
    for bag in asn1_pkcs12.SafeContents.load(to_definite(safe)):
        kind = bag["bag_id"].native
        if kind == _ENCRYPTED_KEY:
            _check_cost(bag["bag_value"]["encryption_algorithm"])
        if kind in _KEYS:
            # As it is: of kinds of keys asn1crypto does not know it takes nothing apart.
            yield bag["bag_value"].untag().dump()


def _check_cost(algorithm: Any) -> None:
    parameters = algorithm["parameters"]
    if algorithm["algorithm"].native != "pbes2":
        _check_rounds(parameters["iterations"].native)
        return
    _check_derivation(parameters["key_derivation_func"])


def _check_derivation(derivation: Any) -> None:
    # scrypt and Argon2 take memory as the file likes; key files in the wild use PBKDF2.
    if derivation["algorithm"].native != "pbkdf2":
        name = derivation["algorithm"].dotted
        raise KeyFileError(f"the file uses a key derivation that is not supported ({name})")
    _check_rounds(derivation["parameters"]["iteration_count"].native)


def _check_rounds(rounds: int) -> None:
    if rounds > MAX_KDF_ROUNDS:
        raise KeyFileError(f"opening the file would take {rounds} rounds of key derivation")
