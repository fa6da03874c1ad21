"""Builds what `[discovery]` asks for certificates from the settings, for service and commands.

RFC 4513 3 (TLS), RFC 8162.
"""

from collections.abc import Sequence

from smime_proxy.admin.cli.files import read_text_password
from smime_proxy.certs.revocation import Revocation
from smime_proxy.gateway.ports import Discovery, Measures
from smime_proxy.lookup.discovery import SourcesInOrder, Terms
from smime_proxy.lookup.ldap import LdapDirectory, Search, Server
from smime_proxy.lookup.ldap_filter import read_filter
from smime_proxy.lookup.smimea import SmimeaSource
from smime_proxy.lookup.source import Source
from smime_proxy.settings import Settings
from smime_proxy.settings.discovery import LDAP_PREFIX, SMIMEA, LdapTable, SmimeaTable
from smime_proxy.smtp.tls import client_context
from smime_proxy.stores.connection import Store
from smime_proxy.stores.findings import KeptAnswers


def sources(settings: Settings, *, only_names: bool = False) -> Sequence[Source]:
    """Prepare what is asked, in order; reads password and CA files.

    With `only_names` no file is read, and nobody can be asked. Raises `TlsSetupError` or
    `CommandError` for a file that is of no use.
    """
    table = settings.discovery
    found: list[Source] = []
    for source in table.sources:
        if source == SMIMEA:
            found.append(_smimea_source(table.smimea))
        else:
            name = source.removeprefix(LDAP_PREFIX)
            found.append(_ldap_directory(name, table.ldap[name], only_names=only_names))
    return found


def discovery(
    settings: Settings,
    prepared: Sequence[Source],
    store: Store,
    measures: Measures,
    revocation: Revocation | None,
    *,
    quiet: bool = False,
) -> Discovery | None:
    """Put sources into their order, with answers kept in the store; None without sources."""
    if not prepared:
        return None
    table = settings.discovery
    terms = Terms(table.budget, table.keep, table.keep_none)
    answers = KeptAnswers(store)
    return SourcesInOrder(prepared, answers, terms, measures, revocation=revocation, quiet=quiet)


def _smimea_source(table: SmimeaTable) -> Source:
    bind = table.resolver
    assert bind is not None  # noqa: S101 - the settings were checked
    return SmimeaSource(bind.host, bind.port, table.timeout)


def _ldap_directory(name: str, table: LdapTable, *, only_names: bool) -> Source:
    secure = table.tls == "required" and not only_names
    file = None if only_names else table.password_file
    server = Server(
        table.url.host,
        table.url.port,
        client_context(table.tls_ca_file) if secure else None,
        starttls=table.url.scheme == "ldap",
        bind_dn=table.bind_dn,
        password=read_text_password(file) if file else "",
    )
    search = Search(table.base, read_filter(table.filter), frozenset(table.domains))
    return LdapDirectory(name, server, search, table.timeout)
