"""What a store asks of a token: private keys by their references, and the master key.

Implements `stores.vault.TokenKeys`. RFC 7512.
"""

from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.kek import TokenCipher
from smime_proxy.tokens.keys import TokenKey, belongs, key_on
from smime_proxy.tokens.token import KeyOnToken, Token
from smime_proxy.tokens.uri import KeyUri, UriError, parse_uri


class TokenKeys:
    """The keys of one token."""

    def __init__(self, token: Token) -> None:
        """Keep the token; it is opened when a key is used."""
        self._token = token

    def key(self, reference: str, public_key: object) -> TokenKey:
        """Give the private key at a URI, to which this public key belongs; touches no token.

        Raises `TokenUnavailable` for what is no URI of a key, and for keys of other kinds.
        """
        return key_on(self._token, _uri(reference), public_key)

    def proven_key(self, reference: str, public_key: object) -> TokenKey:
        """Give a private key after it was seen to belong to the public key (raises as `key`)."""
        key = self.key(reference, public_key)
        if not belongs(key):
            raise TokenUnavailable(f"the key {reference} is not that of the certificate")
        return key

    def cipher(self, reference: str) -> TokenCipher:
        """Give the master key at a URI; touches no token, raises `TokenUnavailable` likewise."""
        return TokenCipher(self._token, _uri(reference))

    def listing(self) -> tuple[KeyOnToken, ...]:
        """List the keys there; raises `TokenUnavailable`."""
        return self._token.keys()

    def close(self) -> None:
        """Log out."""
        self._token.close()


def _uri(reference: str) -> KeyUri:
    try:
        return parse_uri(reference)
    except UriError as error:
        raise TokenUnavailable(f"{reference!a}: {error}") from None
