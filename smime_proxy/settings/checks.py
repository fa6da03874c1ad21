"""Checks that settings fit together and that what they name on disk is there.

RFC 5321 3.6.2 and 7.9 (no relaying for strangers), RFC 8314 (TLS before credentials).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from smime_proxy.address import Mailbox
from smime_proxy.envelope import Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.policy.rules import Encrypt
from smime_proxy.settings.accounts import account_faults
from smime_proxy.settings.admission import (
    auth_faults,
    client_certificate_faults,
    oauth_faults,
    relay_faults,
)
from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.discovery import discovery_faults
from smime_proxy.settings.errors import Fault, KeyPath, dotted
from smime_proxy.settings.fields import Bind, Scheme
from smime_proxy.settings.model import Settings
from smime_proxy.settings.peers import client_info_faults, peer_faults

WILDCARD = "0.0.0.0"  # noqa: S104 - compared, not bound
NOT_ENFORCED = {
    Mode.SOFT: "refusals of ours are temporary",
    Mode.OBSERVE: "mail is relayed unchanged, whatever is decided",
}
DUAL_WILDCARD = "::"  # listeners bound there take IPv4 too


def check(settings: Settings) -> list[Fault]:
    """Find every contradiction between settings; opens no file."""
    return [
        *_upstream_faults(settings),
        *_listener_faults(settings),
        *_sent_copy_faults(settings),
        *_gateway_faults(settings),
        *(Fault(("discovery", *path), text) for path, text in discovery_faults(settings.discovery)),
        *_bind_faults(settings),
        *_token_faults(settings),
        *_notify_faults(settings),
        *(Fault(path, text) for path, text in account_faults(settings.accounts)),
    ]


def check_serving(settings: Settings) -> list[Fault]:
    """Find what keeps the service from running: no listener, files missing or unreadable."""
    faults = []
    if not settings.listeners:
        faults.append(Fault(("listeners",), "there is none; the service would take no mail"))
    for path, file in _named_files(settings):
        if reason := _unreadable(file):
            faults.append(Fault(path, f"{file}: {reason}"))
    return faults


def notices(settings: Settings) -> list[str]:
    """Say what is set and easily forgotten, or has no effect in this version."""
    said = [notice] if (notice := mode_notice(settings)) else []
    if settings.admin.bind is not None:
        bind = settings.admin.bind
        said.append(f"admin.bind: {bind} stays closed; this version has no web pages")
    return said


def mode_of(settings: Settings, listener: Listener) -> Mode:
    """Give the mode of a listener: its own, else that of the service."""
    return listener.mode or settings.service.mode


def mode_notice(settings: Settings) -> str:
    """Say in a line which listeners do not enforce what is decided; "" when all do."""
    found: dict[Mode, list[str]] = {}
    for name, listener in settings.listeners.items():
        found.setdefault(mode_of(settings, listener), []).append(name)
    said = [
        f"{mode.value} on {', '.join(found[mode])}: {meaning}"
        for mode, meaning in NOT_ENFORCED.items()
        if mode in found
    ]
    return f"mode {'; '.join(said)}" if said else ""


def signs_opaque(settings: Settings) -> bool:
    """Tell whether some mail may be signed opaque."""
    domains, partners = settings.domains.values(), settings.partners.values()
    set_to = [*(table.opaque for table in domains), *(table.opaque for table in partners)]
    return settings.policy.opaque or any(set_to)


def encrypts(settings: Settings) -> bool:
    """Tell whether policy, a domain, a partner or a declared account has some mail encrypted."""
    set_to = {
        *(table.encrypt for table in settings.domains.values()),
        *(table.encrypt for table in settings.partners.values()),
        *(table.encrypt for table in settings.accounts.values()),
    }
    return bool({settings.policy.encrypt, *set_to} - {None, Encrypt.NEVER})


def sent_copy_upstream(sent_copy: str) -> str:
    """Give the name of the upstream a sent copy goes to; empty when it goes elsewhere."""
    return sent_copy.removeprefix("upstream:") if sent_copy.startswith("upstream:") else ""


def sent_copy_maildir(sent_copy: str, mailbox: Mailbox) -> Path:
    """Give the Maildir of a `maildir:///path`, with the account's address for `{address}`.

    The address becomes one name: what would leave the directory is replaced.
    """
    folded = mailbox.key.replace("/", "_").lstrip(".") or "_"
    return Path(sent_copy.removeprefix("maildir://").replace("{address}", folded))


def reports_upstream(settings: Settings, listener: Listener) -> str:
    """Give the upstream for notices to outside senders; empty when there is none.

    It is the one set, else that of the only outbound listener.
    """
    outbound = [one for one in settings.listeners.values() if one.role is Role.OUTBOUND]
    return listener.reports or (outbound[0].upstream if len(outbound) == 1 else "")


def _upstream_faults(settings: Settings) -> Iterator[Fault]:
    for name, upstream in settings.upstreams.items():
        for key, text in (*_one_upstream(upstream), *client_info_faults(upstream)):
            yield Fault(("upstreams", name, *key.split(".")), text)


def _one_upstream(upstream: Upstream) -> Iterator[tuple[str, str]]:
    yield from oauth_faults(upstream)
    if not upstream.oauth.token_url and bool(upstream.username) != bool(upstream.password_file):
        missing = "password_file" if upstream.username else "username"
        yield missing, "must be set, username and password_file go together"
    if upstream.username and upstream.tls != "required":
        yield "tls", "must be required with a username; a password is never sent in clear text"
    if upstream.url.is_local and upstream.username:
        yield "username", f"means nothing with {upstream.url.scheme.value}:///path"
    if upstream.url.scheme is Scheme.SMTPS and upstream.tls == "never":
        yield "tls", "must be required with smtps://"


def _listener_faults(settings: Settings) -> Iterator[Fault]:
    for name, listener in settings.listeners.items():
        path = ("listeners", name)
        for key in ("upstream", "reports"):
            target = getattr(listener, key)
            if (key == "upstream" or target) and target not in settings.upstreams:
                yield Fault((*path, key), _no_upstream(target, settings.upstreams))
        found = (
            *_one_listener(listener),
            *_role_faults(listener),
            *relay_faults(listener),
            *auth_faults(settings, listener),
            *client_certificate_faults(listener),
            *peer_faults(listener),
        )
        for key, text in found:
            yield Fault((*path, key), text)


def _one_listener(listener: Listener) -> Iterator[tuple[str, str]]:
    if listener.tls_key and not listener.tls_certificate:
        yield "tls_certificate", "must be set with tls_key"
    if listener.tls_certificate and not listener.tls_key:
        yield "tls_key", "must be set with tls_certificate"
    if "prdr" in listener.model_fields_set and listener.prdr and listener.protocol == "lmtp":
        yield "prdr", "belongs to SMTP: LMTP has a reply for each recipient anyway"
    if listener.protocol == "smtps" and not listener.tls_certificate:
        yield "tls_certificate", "must be set with protocol smtps"


def _role_faults(listener: Listener) -> Iterator[tuple[str, str]]:
    if listener.role is Role.INBOUND:
        if not listener.domains:
            yield "domains", "must be set on an inbound listener, else it would relay for all"
        return
    for key in ("domains", "reports"):
        if getattr(listener, key):
            yield key, "belongs to inbound listeners"


def _sent_copy_faults(settings: Settings) -> Iterator[Fault]:
    places: list[tuple[KeyPath, str]] = [(("policy", "sent_copy"), settings.policy.sent_copy)]
    places += [
        (("domains", domain, "sent_copy"), table.sent_copy or "")
        for domain, table in settings.domains.items()
    ]
    places += [
        (("accounts", address, "sent_copy"), account.sent_copy or "")
        for address, account in settings.accounts.items()
    ]
    for path, place in places:
        name = sent_copy_upstream(place)
        if name and name not in settings.upstreams:
            yield Fault(path, _no_upstream(name, settings.upstreams))


def _token_faults(settings: Settings) -> Iterator[Fault]:
    table, keys = settings.pkcs11, settings.keys
    if table.module is None:
        for key in ("token", "pin_file"):
            if getattr(table, key):
                yield Fault(("pkcs11", key), "means nothing without pkcs11.module")
        if keys.master_key:
            yield Fault(("keys", "master_key"), "lies on a token: pkcs11.module must be set")
        return
    for key in ("token", "pin_file"):
        if not getattr(table, key):
            yield Fault(("pkcs11", key), "must be set with module")
    if keys.master_key and keys.master_key_file:
        yield Fault(("keys", "master_key_file"), "must be empty with master_key")


def _gateway_faults(settings: Settings) -> Iterator[Fault]:
    """Find gateways that would speak for people they have nothing to do with."""
    for name, table in settings.partners.items():
        path = ("partners", name)
        if table.gateway_trusted and not table.gateway_signer:
            yield Fault((*path, "gateway_trusted"), "means nothing without gateway_signer")
        if not table.gateway_signer:
            continue
        if "@" in name:
            yield Fault((*path, "gateway_signer"), "belongs to a domain, not to an address")
        elif table.gateway_signer.rpartition("@")[2] != name:
            yield Fault((*path, "gateway_signer"), f"must be an address in {name}")


def _notify_faults(settings: Settings) -> Iterator[Fault]:
    table = settings.notify
    if table.upstream and table.upstream not in settings.upstreams:
        yield Fault(("notify", "upstream"), _no_upstream(table.upstream, settings.upstreams))
    if (table.administrator or table.accounts) and not table.upstream:
        yield Fault(("notify", "upstream"), "must be set when somebody is to be told")


def _bind_faults(settings: Settings) -> Iterator[Fault]:
    """Find ports claimed twice; a wildcard address claims its port on every address."""
    claims: list[tuple[KeyPath, str, int]] = [
        (("listeners", name, "bind"), listener.bind.host, listener.bind.port)
        for name, listener in settings.listeners.items()
    ]
    if settings.status.bind:
        claims.append((("status", "bind"), settings.status.bind.host, settings.status.bind.port))
    for number, (path, host, port) in enumerate(claims):
        for other, other_host, other_port in claims[:number]:
            if port == other_port and _overlap(host, other_host):
                yield Fault(path, f"{Bind(host, port)} is taken by {dotted(other)}")


def _overlap(one: str, other: str) -> bool:
    """Tell whether two addresses share a socket: equal, or one is a wildcard for the other."""
    if one == other or DUAL_WILDCARD in (one, other):
        return True
    return WILDCARD in (one, other) and ":" not in one + other


def _no_upstream(name: str, upstreams: Iterable[str]) -> str:
    known = ", ".join(upstreams) or "none"
    return f"there is no upstream {name!r} (known: {known})"


def _named_files(settings: Settings) -> Iterator[tuple[KeyPath, Path]]:
    for key in ("module", "pin_file"):
        if file := getattr(settings.pkcs11, key):
            yield ("pkcs11", key), file
    for name, upstream in settings.upstreams.items():
        for key in ("tls_ca_file", "password_file"):
            if file := getattr(upstream, key):
                yield ("upstreams", name, key), file
        for key in ("client_secret_file", "tls_ca_file"):
            if file := getattr(upstream.oauth, key):
                yield ("upstreams", name, "oauth", key), file
    for name, listener in settings.listeners.items():
        for key in ("tls_certificate", "tls_key", "tls_client_ca"):
            if file := getattr(listener, key):
                yield ("listeners", name, key), file
    for name, directory in settings.discovery.ldap.items():
        for key in ("tls_ca_file", "password_file"):
            if file := getattr(directory, key):
                yield ("discovery", "ldap", name, key), file


def _unreadable(file: Path) -> str:
    if not file.exists():
        return "no such file"
    if not file.is_file():
        return "not a file"
    return "" if os.access(file, os.R_OK) else "not readable by this user"
