"""The master key on a token: wraps the private keys of the store without being seen.

PKCS #11 v2.40 mechanisms 2.11.3 (AES-GCM); the interface is that of `cryptography`'s AESGCM.
"""

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
        parameters = GCMParams(nonce, associated_data or b"", TAG_BITS)
        try:
            return self._token.use(
                self._uri,
                ObjectClass.SECRET_KEY,
                lambda key: bytes(
                    key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
                ),
            )
        except (BadInput, NotOffered) as error:
            raise TokenUnavailable(f"{self._uri} does not encrypt: {error}") from error

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Decrypt; raises InvalidTag for what was altered, `TokenUnavailable`."""
        parameters = GCMParams(nonce, associated_data or b"", TAG_BITS)
        try:
            return self._token.use(
                self._uri,
                ObjectClass.SECRET_KEY,
                lambda key: bytes(
                    key.decrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
                ),
            )
        except BadInput:
            raise InvalidTag from None
        except NotOffered as error:
            raise TokenUnavailable(f"{self._uri} does not decrypt: {error}") from error
