"""The composition root and console script: builds the adapters and hands them to the commands.

No RFC. The only module that knows every part; nothing imports it. Parts are imported when they
are built, so that `--help` is quick and no command pays for what it does not use.
"""

import asyncio
import os
import sys
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smime_proxy.admin.cli.program import run

if TYPE_CHECKING:
    from socket import socket

    from smime_proxy.address import Mailbox
    from smime_proxy.admin.cli.adapters import Adapters
    from smime_proxy.admin.engine import Outlet, ServiceEngine
    from smime_proxy.admin.expiry_watch import Notified
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.gateway.context import Context, Route
    from smime_proxy.gateway.ports import (
        Directory,
        Discovery,
        FoundKey,
        Measures,
        SeenCapabilities,
        Upstream,
    )
    from smime_proxy.lookup.revocation import RevocationFetcher
    from smime_proxy.lookup.source import Source
    from smime_proxy.settings import Settings
    from smime_proxy.settings.tables import Upstream as UpstreamTable
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.smtp.relay import Relay
    from smime_proxy.smtp.service import Overview, ServeStatus
    from smime_proxy.stores.connection import Store
    from smime_proxy.stores.open import Opened
    from smime_proxy.stores.watch import SnapshotSource
    from smime_proxy.tokens.source import TokenKeys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # cryptography on some roots of Mozilla's; what it says would stand before each answer.
    warnings.filterwarnings("ignore", message="Parsed a serial number which wasn't positive")
    sys.exit(run(sys.argv[1:], os.environ, build))


def build() -> "Adapters":
    """Build what commands ask for."""
    from smime_proxy.admin.cli.adapters import Adapters

    return Adapters(
        open_store=_open_store,
        context=_context_without_upstreams,
        serve=_serve,
        token=_token_keys,
        place=_place,
        sources=_sources_to_ask,
    )


def _open_store(settings: "Settings", *, migrate: bool = False) -> "Opened":
    from smime_proxy.stores.open import NO_TOKEN, Token, open_store

    on_token = NO_TOKEN
    if settings.pkcs11.module is not None:
        keys = _token_keys(settings)
        uri = settings.keys.master_key
        on_token = Token(keys, keys.cipher(uri) if uri else None)
    opened = open_store(
        settings.store.url,
        settings.service.state_dir,
        settings.keys.master_key_file,
        migrate=migrate,
        token=on_token,
    )
    served = frozenset(d for one in settings.listeners.values() for d in one.domains)
    return replace(opened, store=replace(opened.store, own_domains=served))


def _token_keys(settings: "Settings") -> "TokenKeys":
    """Prepare the token of the settings; it is opened when a key is needed."""
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.admin.cli.files import read_password

    try:
        from smime_proxy.tokens.source import TokenKeys
        from smime_proxy.tokens.token import Token
    except ImportError:
        raise CommandError(
            "pkcs11.module is set, and the extra is not installed: pip install smime-proxy[pkcs11]"
        ) from None
    table = settings.pkcs11
    if table.module is None or table.pin_file is None:
        raise CommandError("pkcs11.module: no token is set")
    try:
        pin = read_password(table.pin_file).decode()
    except UnicodeDecodeError:
        raise CommandError(f"{table.pin_file}: the PIN is not UTF-8") from None
    return TokenKeys(Token(table.module, table.token, pin))


def _context_without_upstreams(
    settings: "Settings", store: "Store", sources: "Sequence[Source] | None" = None
) -> "Context":
    """Build what a gateway works with, on the store as it is and without a way out.

    `sources` are directories that may be asked; without them it is only known which they would be.
    """
    from smime_proxy.smtp.maildir import MaildirUpstream
    from smime_proxy.stores.snapshot import Snapshot

    with store.reading() as connection:
        snapshot = Snapshot.load(
            connection, store.vault_now(connection), own_domains=store.own_domains
        )
    nowhere = dict.fromkeys(settings.upstreams, MaildirUpstream(Path(os.devnull)))
    revocation = _known_revocations(settings, store)
    named = _sources(settings, only_names=True) if sources is None else sources
    discovery = _discovery(settings, named, store, _NoMeasures(), revocation, quiet=True)
    return _context(
        settings, lambda: snapshot, nowhere, _NoMeasures(), discovery, revocation=revocation
    )


def _known_revocations(settings: "Settings", store: "Store") -> "Revocation | None":
    """Judge revocations by the answers that are in the store; nothing is fetched."""
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.certs.revocation_mode import Mode
    from smime_proxy.stores.answers import AnswerShelf

    if settings.revocation.mode is Mode.OFF:
        return None
    shelf = AnswerShelf(store)
    shelf.refresh()
    return Revocation(settings.revocation.mode, shelf)


def _fetching_revocations(
    settings: "Settings", store: "Store", source: "SnapshotSource", measures: "Measures"
) -> "tuple[Revocation | None, RevocationFetcher | None]":
    """Judge revocations by the answers of a fetcher that is still to be run."""
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.certs.revocation_mode import Mode
    from smime_proxy.lookup.http import AddressRule, Http
    from smime_proxy.lookup.revocation import RevocationFetcher
    from smime_proxy.stores.answers import AnswerShelf

    table = settings.revocation
    if table.mode is Mode.OFF:
        return None, None
    shelf = AnswerShelf(store)
    rule = AddressRule(table.allowed_networks, allow_private=table.allow_private)
    fetcher = RevocationFetcher(Http(rule), shelf, measures, table.max_list_size)
    revocation = Revocation(table.mode, shelf, fetcher.want)
    fetcher.own = lambda: source.current.judge_own(revocation)
    return revocation, fetcher


class _NoMeasures:
    def count(self, name: str, **labels: str) -> None:
        """Count nothing: no mail is being handled."""


def _context(
    settings: "Settings",
    directory: "Callable[[], Directory]",
    upstreams: "Mapping[str, Upstream]",
    measures: "Measures",
    discovery: "Discovery | None",
    remember: "Callable[[SeenCapabilities], None]" = lambda _seen: None,
    harvest: "Callable[[FoundKey], None]" = lambda _found: None,
    revocation: "Revocation | None" = None,
) -> "Context":
    from smime_proxy.gateway.choices import RecipientChoices
    from smime_proxy.gateway.context import Context
    from smime_proxy.settings.rules import to_rules

    return Context(
        hostname=settings.service.hostname,
        authserv_id=settings.service.effective_authserv_id,
        rules=to_rules(settings),
        routes=_routes(settings, upstreams),
        directory=directory,
        sent_copy=_sent_copies(upstreams),
        measures=measures,
        random=os.urandom,
        remember=remember,
        harvest=harvest,
        discovery=discovery,
        slow_keys=settings.pkcs11.module is not None,
        choices=RecipientChoices(revocation),
        revocation=revocation,
    )


def _sources_to_ask(settings: "Settings") -> "Sequence[Source]":
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.smtp.errors import SmtpError

    try:
        return _sources(settings)
    except SmtpError as error:
        raise CommandError(str(error)) from None


def _sources(settings: "Settings", *, only_names: bool = False) -> "Sequence[Source]":
    if not settings.discovery.sources:
        return ()
    from smime_proxy.admin.sources import sources

    return sources(settings, only_names=only_names)


def _discovery(
    settings: "Settings",
    sources: "Sequence[Source]",
    store: "Store",
    measures: "Measures",
    revocation: "Revocation | None",
    *,
    quiet: bool = False,
) -> "Discovery | None":
    if not sources:
        return None
    from smime_proxy.admin.sources import discovery

    return discovery(settings, sources, store, measures, revocation, quiet=quiet)


def _routes(settings: "Settings", upstreams: "Mapping[str, Upstream]") -> "dict[str, Route]":
    from smime_proxy.envelope import Role
    from smime_proxy.gateway.context import Route
    from smime_proxy.settings.checks import reports_upstream

    routes = {}
    for name, listener in settings.listeners.items():
        upstream = upstreams[listener.upstream]
        reports: Upstream | None = upstream
        if listener.role is Role.INBOUND:
            reports = upstreams.get(reports_upstream(settings, listener))
        routes[name] = Route(upstream, reports)
    return routes


def _sent_copies(upstreams: "Mapping[str, Upstream]") -> "Callable[[str, Mailbox], Upstream]":
    """Find where the copy of a mail sent encrypted goes: `upstream:NAME` or `maildir:///path`."""
    from smime_proxy.settings.checks import sent_copy_maildir, sent_copy_upstream
    from smime_proxy.smtp.errors import unreachable
    from smime_proxy.smtp.maildir import MaildirUpstream

    def find(place: str, mailbox: "Mailbox") -> "Upstream":
        name = sent_copy_upstream(place)
        if not name:
            return MaildirUpstream(sent_copy_maildir(place, mailbox))
        if name not in upstreams:  # the account is in the store, the upstream was in the settings
            raise unreachable(f"sent_copy of {mailbox}: there is no upstream {name}")
        return upstreams[name]

    return find


def _upstream_makers(settings: "Settings") -> "dict[str, Callable[[], Outlet]]":
    """Prepare every upstream; reads password and CA files, so root is still needed here.

    A process makes its own from it: a pool belongs to one event loop.
    """
    hostname = settings.service.hostname
    return {name: _upstream_maker(table, hostname) for name, table in settings.upstreams.items()}


def _upstream_maker(table: "UpstreamTable", hostname: str) -> "Callable[[], Outlet]":
    from smime_proxy.smtp.maildir import MaildirUpstream
    from smime_proxy.smtp.upstream import SmtpUpstream

    place = _place(table)
    if isinstance(place, Path):
        return lambda: MaildirUpstream(place)
    return lambda: SmtpUpstream(place, hostname)


def _place(table: "UpstreamTable") -> "Relay | Path":
    """Find where an upstream is; reads password and CA files. Raises `SmtpError`."""
    from smime_proxy.admin.cli.files import read_password
    from smime_proxy.settings.fields import Scheme
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.relay import Relay
    from smime_proxy.smtp.tls import client_context

    if table.url.scheme is Scheme.MAILDIR:
        return table.url.path
    required = table.tls == "required"
    password = ""
    if table.password_file:
        try:
            password = read_password(table.password_file).decode()
        except UnicodeDecodeError:
            raise SmtpError(f"{table.password_file}: the password is not UTF-8") from None
    return Relay(
        table.url.host,
        table.url.port,
        scheme="smtps" if table.url.scheme is Scheme.SMTPS else "smtp",
        tls="required" if required else "never",
        tls_context=client_context(table.tls_ca_file) if required else None,
        username=table.username,
        password=password,
    )


def _listener_options(settings: "Settings") -> "tuple[ListenerOptions, ...]":
    """Prepare every listener; reads certificates and keys, so root is still needed here."""
    from smime_proxy.smtp.admission import ListenerOptions
    from smime_proxy.smtp.tls import server_context

    return tuple(
        ListenerOptions(
            name=name,
            role=one.role,
            bind=str(one.bind),
            protocol="smtps" if one.protocol == "smtps" else "smtp",
            trusted_networks=one.relaying_networks,
            domains=frozenset(one.domains),
            tls=(
                server_context(one.tls_certificate, one.tls_key)
                if one.tls_certificate and one.tls_key
                else None
            ),
            max_message_size=settings.service.max_message_size,
        )
        for name, one in settings.listeners.items()
    )


def _serve(settings: "Settings") -> int:
    """Run the service; what only root may read or bind comes before root is given up."""
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.admin.cli.ownership import ensure
    from smime_proxy.admin.logs import configure
    from smime_proxy.smtp.errors import SmtpError
    from smime_proxy.smtp.service import ServiceOptions
    from smime_proxy.smtp.workers import run_service

    configure(settings.log.level, settings.log.format, settings.log.addresses)
    service = settings.service
    ensure(service.state_dir)
    try:
        listeners, makers = _listener_options(settings), _upstream_makers(settings)
        sources = _sources(settings)
        options = ServiceOptions(
            listeners=listeners,
            state_dir=service.state_dir,
            workers=service.workers,
            status_bind=str(settings.status.bind or ""),
        )
        return run_service(
            options,
            lambda: _engine(settings, makers, listeners, sources),
            _status_server(settings),
            lambda: _prepare(settings),
        )
    except SmtpError as error:
        raise CommandError(str(error)) from None


def _status_server(settings: "Settings") -> "ServeStatus":
    """Prepare the status endpoint, which needs no master key for what it publishes."""
    from smime_proxy.admin.publication import Publication
    from smime_proxy.admin.status import serve_status
    from smime_proxy.stores.open import STORE_FILE
    from smime_proxy.stores.revocation_lists import published

    store = settings.service.state_dir / STORE_FILE

    def serve(sock: "socket", overview: "Overview") -> "Coroutine[Any, Any, None]":
        return serve_status(sock, overview, Publication(lambda: published(store)))

    return serve


def _prepare(settings: "Settings") -> None:
    """Give up root and bring the store up to date, or find out that it cannot be used."""
    import structlog

    from smime_proxy.admin.cli.output import say
    from smime_proxy.admin.cli.ownership import act_as_owner
    from smime_proxy.settings.checks import notices

    act_as_owner(settings.service.state_dir)
    opened = _open_store(settings, migrate=True)
    opened.store.close()
    if opened.notice:
        say(opened.notice)
    for notice in notices(settings):
        structlog.get_logger("smime_proxy.service").info(notice)


async def _engine(
    settings: "Settings",
    makers: "Mapping[str, Callable[[], Outlet]]",
    listeners: "Sequence[ListenerOptions]",
    sources: "Sequence[Source]",
) -> "ServiceEngine":
    """Build what one process serves with, in its event loop."""
    from smime_proxy.admin.engine import Remembering, ServiceEngine, Way
    from smime_proxy.admin.expiry_watch import ExpiryWatch
    from smime_proxy.admin.metrics import Counters
    from smime_proxy.gateway.pipeline import Gateway
    from smime_proxy.settings.checks import signs_opaque
    from smime_proxy.stores.notes import CapabilityNotes, KeyNotes
    from smime_proxy.stores.revocation_lists import keep_signed
    from smime_proxy.stores.watch import SnapshotSource

    store = _open_store(settings).store
    source = SnapshotSource(store)
    upstreams = {name: Remembering(make()) for name, make in makers.items()}
    measures = Counters()
    notes = CapabilityNotes(store)
    keys = KeyNotes(
        store, settings.policy.harvest, lambda it: measures.count("keys_found", outcome=it)
    )
    revocation, fetcher = _fetching_revocations(settings, store, source, measures)
    learning = notes.note, keys.note
    discovery = _discovery(settings, sources, store, measures, revocation)
    context = _context(
        settings, lambda: source.current, upstreams, measures, discovery, *learning, revocation
    )
    tables, loop = settings.listeners, asyncio.get_running_loop()
    notified = _notified(settings, upstreams)
    expiry = ExpiryWatch(store, lambda: source.current, context.rules, context.hostname, notified)
    chores = {
        "keys found in mail": keys.write_always(),
        "revocation lists": keep_signed(store),
        "expiry": expiry.watch(),
    }
    if fetcher is not None:
        chores["revocation"] = fetcher.run()
    return ServiceEngine(
        Gateway(context),
        measures,
        {
            name: Way(one.role, upstreams[one.upstream], opaque=signs_opaque(settings))
            for name, one in tables.items()
        },
        background=loop.create_task(source.watch()),
        learning=loop.create_task(notes.write_always()),
        chores={name: loop.create_task(chore) for name, chore in chores.items()},
        gauges=expiry.gauges,
        reload=lambda: _reload_certificates(settings, listeners),
        release=store.close,
        discovery=discovery,
    )


def _notified(settings: "Settings", upstreams: "Mapping[str, Upstream]") -> "Notified":
    from smime_proxy.address import parse_mailbox
    from smime_proxy.admin.expiry_watch import Notified

    table = settings.notify
    return Notified(
        parse_mailbox(table.administrator) if table.administrator else None,
        table.accounts,
        table.days,
        upstreams.get(table.upstream),
    )


def _reload_certificates(settings: "Settings", listeners: "Sequence[ListenerOptions]") -> None:
    """Serve new sessions with the certificates as they are now, if all of them can be used."""
    from smime_proxy.smtp.tls import server_context

    renewed = []
    for options in listeners:
        table = settings.listeners[options.name]
        if options.tls and table.tls_certificate and table.tls_key:
            server_context(table.tls_certificate, table.tls_key)
            renewed.append((options.tls, table.tls_certificate, table.tls_key))
    for context, certificate, key in renewed:
        context.load_cert_chain(certificate, key)
