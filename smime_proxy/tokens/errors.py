"""What goes wrong with a token.

A token that cannot be used now is no fault of any mail: the client is told 451 4.7.5.
"""

from smime_proxy.gateway.ports import KeyUnavailable


class TokenUnavailable(KeyUnavailable):
    """The token, or a key on it, cannot be used now."""
