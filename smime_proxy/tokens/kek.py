"""The master key on a token: wraps the private keys of the store without being seen.

PKCS #11 v2.40 mechanisms 2.11.3 (AES-GCM); the interface is that of `cryptography`'s AESGCM.
"""

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from pkcs11 import GCMParams, Mechanism, ObjectClass

from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.token import BadInput, NotOffered, Token
from smime_proxy.tokens.uri import KeyUri

TAG_BITS = 128


class TokenCipher:
    """AES-GCM with a secret key on a token."""

    def __init__(self, token: Token, uri: KeyUri) -> None:
        """Keep where the key is."""
        self._token = token
        self._uri = uri

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Encrypt, the tag behind the ciphertext; raises `TokenUnavailable`."""
        how = _gcm(nonce, associated_data)
        try:
            return self._use(lambda key: key.encrypt(data, **how))
        except (BadInput, NotOffered) as error:
            raise TokenUnavailable(f"{self._uri} does not encrypt: {error}") from error

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Decrypt; raises InvalidTag for what was altered, `TokenUnavailable`."""
        how = _gcm(nonce, associated_data)
        try:
            return self._use(lambda key: key.decrypt(data, **how))
        except BadInput:
            raise InvalidTag from None
        except NotOffered as error:
            raise TokenUnavailable(f"{self._uri} does not decrypt: {error}") from error

    def _use(self, act: Callable[[Any], Any]) -> bytes:
        return self._token.use(self._uri, ObjectClass.SECRET_KEY, lambda key: bytes(act(key)))


def _gcm(nonce: bytes, associated_data: bytes | None) -> dict[str, Any]:
    parameters = GCMParams(nonce, associated_data or b"", TAG_BITS)
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": parameters}
