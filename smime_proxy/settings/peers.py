"""Checks of who may speak for whom: believed peers, and upstreams that are told of clients.

HAProxy's "The PROXY protocol" 2 (only known proxies), Postfix XCLIENT_README ("Security").
"""

from collections.abc import Iterator

from smime_proxy.settings.admission import joined
from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.fields import Scheme


def peer_faults(listener: Listener) -> Iterator[tuple[str, str]]:
    """Find what would let anybody take on any address."""
    if listener.proxy_protocol and not listener.trusted_peers:
        yield "trusted_peers", "must be set with proxy_protocol: who may say whose connection it is"
    for network in joined(listener.trusted_peers):
        if network.prefixlen == 0:
            text = f"covers all of IPv{network.version}: anybody could take on any address or login"
            yield "trusted_peers", text


def client_info_faults(upstream: Upstream) -> Iterator[tuple[str, str]]:
    """Find upstreams that cannot be told of clients as is set."""
    way = upstream.client_info
    if way == "none":
        return
    if upstream.url.scheme is Scheme.MAILDIR:
        yield "client_info", "must be none with maildir:///path, which is told nothing"
    elif way == "proxy" and upstream.url.is_local:
        yield "client_info", "proxy is for TCP; a UNIX socket has no addresses"
