"""Builds listeners and upstreams; what only root may read is read here.

No RFC. Parts are imported when they are built: no command pays for what it does not use.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ssl import SSLContext

    from smime_proxy.admin.engine import Outlet
    from smime_proxy.settings import Settings
    from smime_proxy.settings.connections import Listener, UpstreamOauth
    from smime_proxy.settings.connections import Upstream as UpstreamTable
    from smime_proxy.smtp.access_token import AccessTokens
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.smtp.auth import Authenticator
    from smime_proxy.smtp.relay import ClientInfo, Relay


def upstream_makers(settings: "Settings") -> "dict[str, Callable[[], Outlet]]":
    """Prepare every upstream; reads password and CA files, so root is still needed here.

    A process makes its own from it: a pool belongs to one event loop.
    """
    hostname = settings.service.hostname
    return {name: _upstream_maker(table, hostname) for name, table in settings.upstreams.items()}


def _upstream_maker(table: "UpstreamTable", hostname: str) -> "Callable[[], Outlet]":
    from smime_proxy.smtp.lmtp import LmtpUpstream
    from smime_proxy.smtp.maildir import MaildirUpstream
    from smime_proxy.smtp.relay import Timeouts
    from smime_proxy.smtp.upstream import SmtpUpstream

    place = find_place(table)
    if isinstance(place, Path):
        return lambda: MaildirUpstream(place)
    timeouts = Timeouts(**table.timeouts.model_dump())
    if place.scheme == "lmtp":
        return lambda: LmtpUpstream(place, hostname, timeouts)
    return lambda: SmtpUpstream(place, hostname, timeouts)


def find_place(table: "UpstreamTable") -> "Relay | Path":
    """Find where an upstream is; reads password and CA files. Raises `SmtpError`."""
    from smime_proxy.admin.cli.files import read_password
    from smime_proxy.settings.fields import Scheme
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.relay import Relay
    from smime_proxy.smtp.tls import client_context

    if table.url.scheme is Scheme.MAILDIR:
        return table.url.path
    local = table.url.path if table.url.is_local else None
    required = table.tls == "required" and local is None
    schemes: dict[Scheme, Literal["smtp", "smtps", "lmtp"]] = {
        Scheme.SMTP: "smtp",
        Scheme.SMTPS: "smtps",
        Scheme.LMTP: "lmtp",
    }
    told: dict[str, ClientInfo] = {
        "none": "none",
        "xforward": "xforward",
        "xclient": "xclient",
        "proxy": "proxy",
    }
    password = ""
    if table.password_file:
        try:
            password = read_password(table.password_file).decode()
        except UnicodeDecodeError:
            raise SmtpError(f"{table.password_file}: the password is not UTF-8") from None
    return Relay(
        table.url.host,
        table.url.port,
        scheme=schemes[table.url.scheme],
        tls="required" if required else "never",
        tls_context=client_context(table.tls_ca_file) if required else None,
        username=table.username,
        password=password,
        tokens=_tokens(table.oauth) if table.oauth.token_url else None,
        socket=local,
        client_info=told[table.client_info],
    )


def _tokens(table: "UpstreamOauth") -> "AccessTokens":
    """Prepare what fetches access tokens; reads the secret. Raises `SmtpError`."""
    from smime_proxy.admin.cli.files import read_password
    from smime_proxy.lookup.errors import LookupFailed
    from smime_proxy.lookup.token_endpoint import TokenEndpoint
    from smime_proxy.smtp.access_token import AccessTokens
    from smime_proxy.smtp.errors import SmtpError, TokenError
    from smime_proxy.smtp.tls import client_context

    file = table.client_secret_file
    try:
        secret = read_password(file).decode() if file else ""
    except UnicodeDecodeError:
        raise SmtpError(f"{file}: the secret is not UTF-8") from None
    trusting = client_context(table.tls_ca_file)
    endpoint = TokenEndpoint(table.token_url, table.client_id, secret, table.scope, trusting)

    async def ask() -> bytes:
        try:
            return await endpoint.ask()
        except LookupFailed as error:
            raise TokenError(f"{table.token_url}: {error}") from None

    return AccessTokens(ask)


def _authenticator(settings: "Settings", listener: "Listener") -> "Authenticator | None":
    """Prepare what checks the credentials of a listener's clients. Raises `SmtpError`."""
    if listener.auth == "none":
        return None
    if listener.auth == "local":
        from smime_proxy.settings.accounts import to_account
        from smime_proxy.smtp.local_login import LocalAuthenticator
        from smime_proxy.stores.logins import Passwords
        from smime_proxy.stores.open import STORE_FILE

        granted = (to_account(name, table).logins for name, table in settings.accounts.items())
        declared = frozenset(login for some in granted for login in some)
        return LocalAuthenticator(Passwords(settings.service.state_dir / STORE_FILE, declared).fits)
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.relay import Timeouts
    from smime_proxy.smtp.upstream_login import UpstreamAuthenticator

    table = settings.upstreams[listener.upstream]
    place = find_place(table)
    if isinstance(place, Path):
        raise SmtpError(f"{place}: a Maildir checks no logins")
    timeouts = Timeouts(**table.timeouts.model_dump())
    return UpstreamAuthenticator(place, settings.service.hostname, timeouts)


def _limits(settings: "Settings") -> "dict[str, Any]":
    """Give the limits under the names that `ListenerOptions` has for them."""
    limits = settings.limits
    return {
        "max_sessions": limits.sessions,
        "max_sessions_per_address": limits.sessions_per_address,
        "max_sessions_per_login": limits.sessions_per_login,
        "max_octets_held": limits.memory,
        "min_rate": limits.min_rate,
        "behind_seconds": limits.behind,
        "idle_seconds": limits.idle,
        "stress_seconds": limits.stress_idle,
        "line_seconds": limits.command,
        "max_lag": limits.lag,
    }


def _server_tls(listener: "Listener") -> "SSLContext | None":
    from smime_proxy.smtp.tls import server_context

    if not (listener.tls_certificate and listener.tls_key):
        return None
    return server_context(
        listener.tls_certificate,
        listener.tls_key,
        ask_clients=bool(listener.tls_client_logins or listener.tls_client_names),
        client_ca=listener.tls_client_ca,
    )


def listener_options(settings: "Settings") -> "tuple[ListenerOptions, ...]":
    """Prepare every listener; reads certificates and keys, so root is still needed here."""
    from smime_proxy.settings.checks import mode_of
    from smime_proxy.settings.rules import to_wording
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.smtp.client_certificate import ClientCertificates

    protocols: dict[str, Literal["smtp", "smtps", "lmtp"]] = {
        "smtp": "smtp",
        "smtps": "smtps",
        "lmtp": "lmtp",
    }
    bare_line_ends: dict[str, Literal["", "refuse", "normalise"]] = {
        "": "",
        "refuse": "refuse",
        "normalise": "normalise",
    }
    return tuple(
        ListenerOptions(
            name=name,
            role=one.role,
            bind=str(one.bind),
            protocol=protocols[one.protocol],
            trusted_networks=one.relaying_networks,
            trusted_peers=one.trusted_peers,
            proxy_protocol=one.proxy_protocol,
            domains=frozenset(one.domains),
            tls=_server_tls(one),
            authenticator=_authenticator(settings, one),
            clients=ClientCertificates(one.tls_client_logins, frozenset(one.tls_client_names)),
            wording=to_wording(settings),
            prdr=one.prdr,
            max_message_size=settings.service.max_message_size,
            bare_line_ends=bare_line_ends[one.bare_line_ends],
            mode=mode_of(settings, one),
            **_limits(settings),
        )
        for name, one in settings.listeners.items()
    )
