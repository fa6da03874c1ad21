"""Reads the names of algorithms in the spellings people and other programs use for them.

The one name is that of reports and `inspect`; upper and lower case, `-` and `_` are not told apart.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)

_SIGNATURES = {
    "pss": Signature.RSASSA_PSS,
    "rsa_pss": Signature.RSASSA_PSS,
    "rsapss": Signature.RSASSA_PSS,
    "pkcs1": Signature.RSASSA_PKCS1V15,
    "pkcs1v15": Signature.RSASSA_PKCS1V15,
    "pkcs1_v1_5": Signature.RSASSA_PKCS1V15,
    "rsa_pkcs1": Signature.RSASSA_PKCS1V15,
    "rsa_pkcs1v15": Signature.RSASSA_PKCS1V15,
    "rsassa_pkcs1": Signature.RSASSA_PKCS1V15,
    "rsassa_pkcs1_v1_5": Signature.RSASSA_PKCS1V15,
}
_KEY_TRANSPORTS = {
    "oaep": KeyTransport.RSAES_OAEP,
    "rsa_oaep": KeyTransport.RSAES_OAEP,
    "rsaoaep": KeyTransport.RSAES_OAEP,
    "pkcs1": KeyTransport.RSAES_PKCS1V15,
    "pkcs1v15": KeyTransport.RSAES_PKCS1V15,
    "pkcs1_v1_5": KeyTransport.RSAES_PKCS1V15,
    "rsa_pkcs1": KeyTransport.RSAES_PKCS1V15,
    "rsa_pkcs1v15": KeyTransport.RSAES_PKCS1V15,
    "rsaes_pkcs1": KeyTransport.RSAES_PKCS1V15,
    "rsaes_pkcs1_v1_5": KeyTransport.RSAES_PKCS1V15,
}
_CONTENT_ENCRYPTIONS = {  # aes_256_cbc, as in AES-256-CBC
    one.value.replace("aes", "aes_"): one
    for one in ContentEncryption
    if one.value.startswith("aes")
} | {
    "chacha20": ContentEncryption.CHACHA20_POLY1305,
    "chacha20poly1305": ContentEncryption.CHACHA20_POLY1305,
}

AlgorithmT = TypeVar("AlgorithmT", bound=Enum)


def algorithm_reader(
    kind: type[AlgorithmT], aliases: Mapping[str, AlgorithmT]
) -> Callable[[Any], AlgorithmT | None]:
    """Make a reader of one kind of algorithm; it raises ValueError naming those that are known."""
    known = {one.value: one for one in kind} | dict(aliases)

    def read(value: Any) -> AlgorithmT | None:
        if value is None or isinstance(value, kind):
            return value
        found = known.get(str(value).strip().lower().replace("-", "_"))
        if found is None:
            names = " or ".join(str(one.value) for one in kind)
            raise ValueError(f"must be {names}, not {value!r}")
        return found

    return read


SignatureName = Annotated[Signature, BeforeValidator(algorithm_reader(Signature, _SIGNATURES))]
KeyTransportName = Annotated[
    KeyTransport, BeforeValidator(algorithm_reader(KeyTransport, _KEY_TRANSPORTS))
]
ContentEncryptionName = Annotated[
    ContentEncryption, BeforeValidator(algorithm_reader(ContentEncryption, _CONTENT_ENCRYPTIONS))
]
HeaderProtectionName = Annotated[
    HeaderProtection, BeforeValidator(algorithm_reader(HeaderProtection, {}))
]
