"""A store finds its keys on a token by what it wrapped in their place."""

import pytest

from smime_proxy.stores.keys import OnToken, pkcs8
from smime_proxy.tokens.errors import TokenUnavailable
from smime_proxy.tokens.source import TokenKeys

from .conftest import rsa_key


def test_a_key_is_stored_as_the_uri_that_finds_it(keys: TokenKeys) -> None:
    key = keys.key("pkcs11:object=rsa", rsa_key().public_key())
    assert isinstance(key, OnToken)
    assert pkcs8(key) == b"pkcs11:object=rsa"


def test_what_is_no_uri_is_no_key(keys: TokenKeys) -> None:
    with pytest.raises(TokenUnavailable, match="not a URI"):
        keys.cipher("master")
