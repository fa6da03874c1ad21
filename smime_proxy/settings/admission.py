"""Checks of who may send: settings that would let in whom nobody knows.

RFC 5321 7.9 (no relaying for strangers), RFC 8314 (TLS before credentials), RFC 4954 4, RFC 8446
4.4.2 (certificates of clients).
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from smime_proxy.envelope import Role
from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.fields import Network, Scheme
from smime_proxy.settings.model import Settings

_CLIENT_KEYS = ("tls_client_ca", "tls_client_logins", "tls_client_names")
# Addresses anybody with IPv4 has; `ipaddress` counts them among those of special use.
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo, RFC 4380; 6to4, RFC 3056


def auth_faults(settings: Settings, listener: Listener) -> Iterator[tuple[str, str]]:
    """Find what keeps a listener from checking credentials as it says."""
    if listener.auth == "none":
        return
    if listener.role is Role.INBOUND:
        yield "auth", "belongs to outbound listeners; strangers deliver to inbound ones"
        return
    if not listener.bind.is_loopback and not listener.tls_certificate:
        yield "tls_certificate", "must be set with auth off loopback: no password in clear text"
    upstream = settings.upstreams.get(listener.upstream)
    if listener.auth != "upstream" or upstream is None:
        return
    if upstream.url.scheme not in (Scheme.SMTP, Scheme.SMTPS):
        yield "auth", f"upstream: {listener.upstream} is no SMTP server and checks no logins"
    elif upstream.tls != "required":
        yield "auth", f"upstream: upstreams.{listener.upstream}.tls must be required for it"
    elif upstream.username:
        yield "auth", f"upstream: upstreams.{listener.upstream} has a username of its own already"


def oauth_faults(upstream: Upstream) -> Iterator[tuple[str, str]]:
    """Find what keeps us from logging in at an upstream with access tokens."""
    table = upstream.oauth
    if not table.token_url:
        for key in ("client_id", "client_secret_file", "scope", "tls_ca_file"):
            if getattr(table, key):
                yield f"oauth.{key}", "means nothing without token_url"
        return
    for key in ("client_id", "client_secret_file"):
        if not getattr(table, key):
            yield f"oauth.{key}", "must be set with token_url"
    if not upstream.username:
        yield "username", "must be set with oauth: whose mailbox the token is for"
    if upstream.password_file:
        yield "password_file", "must be empty with oauth"
    if upstream.url.scheme not in (Scheme.SMTP, Scheme.SMTPS):
        yield "oauth.token_url", "means nothing for what is no SMTP server"


def client_certificate_faults(listener: Listener) -> Iterator[tuple[str, str]]:
    """Find what keeps a listener from going by the certificates of its clients."""
    asked = [key for key in _CLIENT_KEYS if getattr(listener, key)]
    if listener.role is Role.INBOUND:
        yield from ((key, "belongs to outbound listeners") for key in asked)
        return
    if asked and not listener.tls_certificate:
        yield "tls_certificate", f"must be set with {asked[0]}"
    if asked == ["tls_client_ca"]:
        yield "tls_client_ca", "means nothing without tls_client_logins or tls_client_names"
    if listener.tls_client_logins and not listener.tls_client_ca:
        yield (
            "tls_client_ca",
            "must be set with tls_client_logins: not everybody may vouch for them",
        )
    if listener.tls_client_logins and listener.auth == "upstream":
        yield "tls_client_logins", "cannot be used with auth upstream, which needs a password"
    if listener.tls_client_names and not listener.relaying_networks:
        yield "tls_client_names", "means nothing without trusted_networks"


def relay_faults(listener: Listener) -> Iterator[tuple[str, str]]:
    """Find what would make an outbound listener relay for strangers.

    Hosts of the internet may be trusted one by one; a network of them only with a mark of our own
    on the mail: others may have addresses there, today or tomorrow.
    """
    if listener.role is Role.INBOUND:
        if listener.require_header:
            yield "require_header", "belongs to outbound listeners"
        return
    for network in joined(listener.relaying_networks):
        if network.prefixlen == 0:
            family = f"all of IPv{network.version}"
            yield "trusted_networks", f"covers {family}: an open relay without authentication"
            return
        is_public = network.num_addresses > 1 and _is_public(network)
        marked = listener.require_header or listener.tls_client_names
        if is_public and not (listener.bind.is_loopback or marked):
            instead = "auth, require_header or tls_client_names"
            text = f"{network} is public: strangers there could send; use {instead}"
            yield "trusted_networks", text
            return


def _is_public(network: Network) -> bool:
    """Tell whether hosts of the internet may have addresses in a network."""
    return network.is_global or any(network.overlaps(one) for one in _TUNNELS)


def joined(networks: tuple[Network, ...]) -> Iterator[IPv4Network | IPv6Network]:
    """Give the networks joined where they adjoin: two halves are a whole."""
    yield from collapse_addresses([one for one in networks if isinstance(one, IPv4Network)])
    yield from collapse_addresses([one for one in networks if isinstance(one, IPv6Network)])
