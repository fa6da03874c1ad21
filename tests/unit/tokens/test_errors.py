"""A token that cannot be used is a key that cannot be loaded."""

from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.tokens.errors import TokenUnavailable


def test_an_unavailable_token_defers_mail_as_an_unavailable_key_does() -> None:
    """The client is told 451 4.7.5."""
    assert issubclass(TokenUnavailable, KeyUnavailable)
