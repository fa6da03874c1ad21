"""The tables of `[discovery]`: where certificates of people are looked for who have none here.

RFC 4516 (LDAP URLs), RFC 4515 (filters), RFC 4513 (TLS), RFC 8162 (SMIMEA).
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from smime_proxy.lookup.ldap_filter import read_filter
from smime_proxy.settings.fields import Bind, OptionalBind, choice, is_address, is_domain, read_list
from smime_proxy.settings.tables import LOOPBACK, Domains, Networks, OptionalPath, Table

LDAP_PORTS = {"ldap": 389, "ldaps": 636}  # RFC 4516 2, and by custom
MAX_SECONDS = 60.0  # clients wait five minutes after the final dot (RFC 5321 4.5.3.2.6)
MAX_KEEP = 30 * 86_400  # seconds; a month, after which nobody expects the old answer
LDAP_PREFIX = "ldap:"
SMIMEA = "smimea"

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]


@dataclass(frozen=True, slots=True)
class LdapUrl:
    """Where a directory is; `scheme` is ldap or ldaps."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{Bind(self.host, self.port)}"


def read_ldap_url(value: Any) -> LdapUrl:
    """Read `ldap://host[:port]` or `ldaps://host[:port]`."""
    if isinstance(value, LdapUrl):
        return value
    try:
        url = urlsplit(str(value))
        port = url.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    host = url.hostname or ""
    named = is_domain(host) or is_address(host)
    whole = url.path in {"", "/"} and not (url.query or url.fragment or url.username)
    if url.scheme not in LDAP_PORTS or not named or not whole or port == 0:
        raise ValueError("must be ldap://host:port or ldaps://host:port and nothing more")
    return LdapUrl(url.scheme, host, port or LDAP_PORTS[url.scheme])


def check_filter(text: str) -> str:
    """Check a search filter; raises ValueError."""
    if "{address}" not in read_filter(text).text and "{local}" not in text:
        raise ValueError("must hold {address}, or {local}: else everybody is found")
    return text


class LdapTable(Table):
    """`[discovery.ldap.NAME]`: an LDAP directory."""

    url: Annotated[LdapUrl, BeforeValidator(read_ldap_url), PlainSerializer(str)]
    """ldaps://host:port or ldap://host:port."""
    tls: Annotated[str, AfterValidator(choice("required", "never"))] = "required"
    """`required`: certificate verified, for ldap:// by StartTLS; `never`: clear text."""
    tls_ca_file: OptionalPath = None
    """PEM file of authorities that vouch for the directory; default the system's."""
    bind_dn: str = ""
    """Name to bind as, with password_file; default anonymous."""
    password_file: OptionalPath = None
    """File whose first line is the password."""
    base: str = ""
    """Where in the directory is searched, with all below."""
    filter: Annotated[str, AfterValidator(check_filter)] = "(mail={address})"
    """Whom to find: {address}, {local} and {domain} stand for those of the recipient."""
    domains: Domains = ()
    """Domains whose addresses are looked for here; default all."""
    timeout: Seconds = 3.0
    """Seconds one question may take."""


class SmimeaTable(Table):
    """`[discovery.smimea]`: records in the DNS."""

    resolver: OptionalBind = Bind("127.0.0.1", 53)
    """IP address and port of a resolver that validates DNSSEC; its word is the proof."""
    trusted_networks: Networks = LOOPBACK
    """Networks in which a resolver is believed: on the way nobody may forge its answers."""
    timeout: Seconds = 3.0
    """Seconds one question may take."""


class DiscoveryTable(Table):
    """`[discovery]`: what is asked for certificates of recipients who have none here."""

    sources: Annotated[tuple[str, ...], BeforeValidator(read_list)] = ()
    """`ldap:NAME` and `smimea`, in the order they are asked; empty for off."""
    budget: Seconds = 5.0
    """Seconds a mail waits for all of its questions."""
    keep: Annotated[int, Field(ge=60, le=MAX_KEEP)] = 86_400
    """Seconds a certificate that was found is used without being asked for again, at most."""
    keep_none: Annotated[int, Field(ge=60, le=MAX_KEEP)] = 3_600
    """Seconds until what was not found is asked for again, at most."""
    ldap: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")], LdapTable] = (
        Field(default_factory=dict)
    )
    """LDAP directories, by name."""
    smimea: SmimeaTable = SmimeaTable()
    """Records in the DNS."""


def discovery_faults(table: DiscoveryTable) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find contradictions; each with the path of its key below `discovery`."""
    for source in table.sources:
        name = source.removeprefix(LDAP_PREFIX)
        if source != SMIMEA and (source == name or name not in table.ldap):
            known = ", ".join((SMIMEA, *(f"{LDAP_PREFIX}{name}" for name in table.ldap)))
            yield ("sources",), f"there is no {source!r} (known: {known})"
    if len(set(table.sources)) < len(table.sources):
        yield ("sources",), "names a source twice"
    for name, directory in table.ldap.items():
        for key, text in _ldap_faults(directory):
            yield ("ldap", name, key), text
    if SMIMEA in table.sources and (text := _resolver_fault(table.smimea)):
        yield ("smimea", "resolver"), text


def _ldap_faults(table: LdapTable) -> Iterator[tuple[str, str]]:
    if bool(table.bind_dn) != bool(table.password_file):
        missing = "password_file" if table.bind_dn else "bind_dn"
        yield missing, "must be set, bind_dn and password_file go together"
    if table.tls == "never" and table.url.scheme == "ldaps":
        yield "tls", "must be required with ldaps://"
    if table.tls == "never" and table.bind_dn:
        yield "tls", "must be required with a bind_dn; a password is never sent in clear text"


def _resolver_fault(table: SmimeaTable) -> str:
    if table.resolver is None or not is_address(table.resolver.host):
        return "must be the IP address and port of a validating resolver"
    address = ipaddress.ip_address(table.resolver.host)
    if not any(address in network for network in table.trusted_networks):
        return f"{address} is in none of the trusted_networks: its answers could be forged"
    return ""
