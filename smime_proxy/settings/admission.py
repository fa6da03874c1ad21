"""Checks of who may send: settings that would let in whom nobody knows.

RFC 5321 7.9 (no relaying for strangers), RFC 8314 (TLS before credentials), RFC 4954 4.
"""

from collections.abc import Iterator

from smime_proxy.envelope import Role
from smime_proxy.settings.connections import Listener
from smime_proxy.settings.fields import Scheme
from smime_proxy.settings.model import Settings


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
